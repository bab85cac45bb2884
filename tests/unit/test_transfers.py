"""Calls handed on: who did it, to whom, and whether anybody took them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from ingest import CallState, parse_events
from ingest.fold.fold import fold

T0 = datetime(2026, 11, 22, 10, tzinfo=UTC)
Said = tuple[float, str, dict[str, Any]]

TALK: list[Said] = [
    (0, "call.started", {"leg_key": "caller", "attrs": {"number": "+380671234567"}}),
    (1, "offer.started", {"leg_key": "a", "peer_leg_key": "caller", "extension": "101"}),
    (2, "leg.answered", {"leg_key": "a", "extension": "101"}),
]
RING: Said = (11, "offer.started", {"leg_key": "b", "peer_leg_key": "caller", "extension": "102"})
ASK: Said = (4, "offer.started", {"leg_key": "b", "peer_leg_key": "a", "extension": "102"})
OVER: list[Said] = [(30, "leg.ended", {"leg_key": "b"}), (30, "call.ended", {})]


def folded(*facts: Said) -> CallState:
    items = [
        {
            "event_id": f"e{number}",
            "call_key": "call",
            "type": event_type,
            "occurred_at": (T0 + timedelta(seconds=at)).isoformat(),
            **fields,
        }
        for number, (at, event_type, fields) in enumerate(facts)
    ]
    parsed = parse_events(items, source="main", region="UA", now=T0 + timedelta(minutes=1))
    assert parsed.rejected == []
    call = fold(parsed.events, call_id=UUID(int=1))
    assert call is not None
    return call


def test_a_blind_transfer_names_who_took_it() -> None:
    """What was dialled is kept, and when the other answered."""
    call = folded(
        *TALK,
        (10, "transfer.blind", {"leg_key": "a", "attrs": {"to": "700"}}),
        (10, "leg.ended", {"leg_key": "a"}),
        RING,
        (14, "leg.answered", {"leg_key": "b", "extension": "102"}),
        *OVER,
    )

    (moved,) = call.transfers
    assert (moved.kind, moved.by_extension, moved.to_number) == ("blind", "101", "700")
    assert (moved.to_extension, moved.answered_at) == ("102", T0 + timedelta(seconds=14))
    assert moved.consult_ms is None


def test_a_transfer_that_nobody_takes_says_so() -> None:
    """Sent on, rung, and given up: no answer, and the call stays answered by who had it."""
    call = folded(
        *TALK, (10, "transfer.blind", {"leg_key": "a", "attrs": {"to": "102"}}), RING, *OVER
    )

    (moved,) = call.transfers
    assert (moved.to_extension, moved.answered_at) == ("102", None)
    assert (call.outcome, call.answered_extension) == ("answered", "101")


@pytest.mark.parametrize(
    ("answered_s", "kind", "consult_ms"),
    [(6, "attended", 4_000), (12, "blonde", None), (None, "blonde", None)],
)
def test_an_attended_and_a_blonde_transfer_differ(
    answered_s: int | None, kind: str, consult_ms: int | None
) -> None:
    """Whether the one asked had answered when the call was handed on decides."""
    answer: list[Said] = [(answered_s, "leg.answered", {"leg_key": "b"})] if answered_s else []

    call = folded(*TALK, ASK, *answer, (10, "transfer.attended", {"leg_key": "a"}), *OVER)

    (moved,) = call.transfers
    assert (moved.kind, moved.consult_ms) == (kind, consult_ms)
    assert (moved.by_extension, moved.to_extension) == ("101", "102")
    assert (moved.answered_at is None) == (answered_s is None)


def test_a_transfer_into_a_queue_names_the_queue_and_who_answered_there() -> None:
    """Each of two transfers has what followed it, up to the next."""
    call = folded(
        *TALK,
        (10, "transfer.blind", {"leg_key": "a", "attrs": {"to": "8002"}}),
        (11, "queue.entered", {"leg_key": "caller", "queue": "support"}),
        (12, "offer.started", {"leg_key": "b", "peer_leg_key": "caller", "extension": "102"}),
        (14, "leg.answered", {"leg_key": "b", "extension": "102"}),
        (20, "transfer.blind", {"leg_key": "b", "attrs": {"to": "103"}}),
        (21, "offer.started", {"leg_key": "c", "peer_leg_key": "caller", "extension": "103"}),
        *OVER,
    )

    first, second = call.transfers
    assert (first.queue, first.by_extension, first.to_extension) == ("support", "101", "102")
    assert (second.queue, second.by_extension, second.to_extension) == (None, "102", "103")
    assert second.answered_at is None


def test_a_transfer_reported_twice_is_one() -> None:
    """Both lines of the telephone may tell of it."""
    moved: Said = (10, "transfer.attended", {"leg_key": "a"})

    call = folded(*TALK, ASK, (6, "leg.answered", {"leg_key": "b"}), moved, moved, *OVER)

    assert len(call.transfers) == 1


@pytest.mark.parametrize("told_s", [9.5, 9.998, 10, 10.002, 10.4])
@pytest.mark.parametrize("queued", [True, False])
def test_a_blind_transfer_may_be_told_after_what_it_caused(told_s: float, queued: bool) -> None:
    """Half a second before or after: what began since 101 took the call is of it."""
    call = folded(
        *TALK,
        (told_s, "transfer.blind", {"leg_key": "a", "attrs": {"to": "700"}}),
        *([(10, "queue.entered", {"leg_key": "caller", "queue": "support"})] if queued else []),
        (10.001, "offer.started", {"leg_key": "b", "peer_leg_key": "caller", "extension": "102"}),
        (10.5, "leg.ended", {"leg_key": "a"}),
        (14, "leg.answered", {"leg_key": "b", "extension": "102"}),
        *OVER,
    )

    (moved,) = call.transfers
    assert (moved.by_extension, moved.to_extension) == ("101", "102")
    assert moved.queue == ("support" if queued else None)
    assert moved.answered_at == T0 + timedelta(seconds=14)


@pytest.mark.parametrize("then", ["102 is rung", "another queue"])
def test_a_consultation_that_came_to_nothing_is_of_no_transfer(then: str) -> None:
    """101 asks in a queue, nobody answers there, and 101 hands the caller on elsewhere."""
    led: list[Said] = (
        [(10, "offer.started", {"leg_key": "b", "peer_leg_key": "caller", "extension": "102"})]
        if then == "102 is rung"
        else [(10, "queue.entered", {"leg_key": "caller", "queue": "support"})]
    )
    call = folded(
        *TALK,
        (4, "queue.entered", {"leg_key": "a2", "queue": "sales"}),
        (4.1, "offer.started", {"leg_key": "c", "peer_leg_key": "a2", "extension": "103"}),
        (7, "queue.left", {"leg_key": "a2", "queue": "sales"}),
        (7, "leg.ended", {"leg_key": "c"}),
        (7, "leg.ended", {"leg_key": "a2"}),
        *led,
        (10.004, "transfer.blind", {"leg_key": "a", "attrs": {"to": "700"}}),
        *OVER,
    )

    (moved,) = call.transfers
    assert moved.queue == ("support" if then == "another queue" else None)
    assert moved.to_extension == ("102" if then == "102 is rung" else None)


def test_what_follows_after_the_call_was_taken_is_of_no_transfer() -> None:
    """102 takes the call and hangs up; then the caller is asked in a queue how it was."""
    call = folded(
        *TALK,
        (10, "transfer.blind", {"leg_key": "a", "attrs": {"to": "102"}}),
        RING,
        (14, "leg.answered", {"leg_key": "b", "extension": "102"}),
        (20, "leg.ended", {"leg_key": "b"}),
        (20, "queue.entered", {"leg_key": "caller", "queue": "survey"}),
        (30, "call.ended", {}),
    )

    assert [(moved.to_extension, moved.queue) for moved in call.transfers] == [("102", None)]


@pytest.mark.parametrize("onward", ["103", "queue"])
def test_a_telephone_that_sends_a_call_on_without_answering_did_not_take_it(onward: str) -> None:
    """What follows its transfer is not credited to the one before, by which it was rung."""
    led: list[Said] = (
        [(21, "queue.entered", {"leg_key": "caller", "queue": "support"})]
        if onward == "queue"
        else [
            (21, "offer.started", {"leg_key": "c", "peer_leg_key": "caller", "extension": "103"}),
            (24, "leg.answered", {"leg_key": "c", "extension": "103"}),
        ]
    )
    call = folded(
        *TALK,
        (10, "transfer.blind", {"leg_key": "a", "attrs": {"to": "102"}}),
        (10, "leg.ended", {"leg_key": "a"}),
        RING,
        (20, "transfer.blind", {"leg_key": "b", "attrs": {"to": "700"}}),
        (20, "leg.ended", {"leg_key": "b"}),
        *led,
        (40, "call.ended", {}),
    )

    first, second = call.transfers
    assert (first.to_extension, first.answered_at, first.queue) == ("102", None, None)
    assert (second.by_extension, second.to_extension, second.queue) == (
        ("102", None, "support") if onward == "queue" else ("102", "103", None)
    )


def test_a_telephone_that_rings_beside_a_consultation_is_not_the_target() -> None:
    """Who spoke with the telephone that hands the call on is, not who was rung last."""
    call = folded(
        *TALK,
        ASK,
        (6, "leg.answered", {"leg_key": "b", "extension": "102"}),
        (8, "offer.started", {"leg_key": "c", "peer_leg_key": "caller", "extension": "103"}),
        (10, "transfer.attended", {"leg_key": "a"}),
        (12, "leg.ended", {"leg_key": "c"}),
        *OVER,
    )

    (moved,) = call.transfers
    assert (moved.kind, moved.to_extension, moved.consult_ms) == ("attended", "102", 4_000)


def test_who_was_rung_after_the_answer_was_not_answered_elsewhere() -> None:
    """101 answered and handed the caller on to 102, who missed a call of their own."""
    call = folded(
        *TALK,
        (10, "transfer.blind", {"leg_key": "a", "attrs": {"to": "102"}}),
        (10, "leg.ended", {"leg_key": "a"}),
        RING,
        (30, "leg.ended", {"leg_key": "b", "attrs": {"cause": 19}}),
        (30, "call.ended", {}),
    )

    assert [leg.ended_reason for leg in call.legs if leg.extension == "102"] == ["no_answer"]
