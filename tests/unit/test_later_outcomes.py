"""A client of this version goes on when a later server tells of calls in words that it adds."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.client.events import decode
from gateway.protocol import CallEnded, CallList, CallPage
from gateway.protocol.calls import Outcome

CALL: dict[str, Any] = {
    "id": "00000000-0000-0000-0000-000000000001", "version": 1, "source": "main",
    "direction": "inbound", "status": "ended", "started_at": "2026-11-22T10:00:00Z",
}  # fmt: skip


@pytest.mark.parametrize("outcome", [*get_args(Outcome), None])
def test_known_outcomes_are_what_they_are(outcome: str | None) -> None:
    """And none, while the call goes on."""
    event = decode({"type": "call.ended", "call": {**CALL, "outcome": outcome}})

    assert isinstance(event, CallEnded)
    assert event.call.outcome == outcome


@pytest.mark.parametrize("outcome", ["fetched_by_bot", "", "Answered"])
def test_an_outcome_of_a_later_version_is_unknown(outcome: str) -> None:
    """In events and in replies: the event is not lost, the list not refused."""
    call = {**CALL, "outcome": outcome, "new_field": 1}
    event = decode({"type": "call.ended", "call": call})
    page = TypeAdapter(CallPage).validate_python({"calls": [call]}, extra="ignore")

    assert isinstance(event, CallEnded)
    assert [event.call.outcome, page.calls[0].outcome] == ["unknown", "unknown"]


@pytest.mark.parametrize("outcome", [1, ["answered"], {}])
def test_what_is_no_word_is_no_event(outcome: object) -> None:
    """A later version changes no types."""
    assert decode({"type": "call.ended", "call": {**CALL, "outcome": outcome}}) is None


def test_a_filter_by_an_unknown_outcome_is_refused() -> None:
    """The server does not guess what a client asks for."""
    with pytest.raises(ValidationError):
        TypeAdapter(CallList).validate_python({"type": "call.list", "outcome": "fetched_by_bot"})
