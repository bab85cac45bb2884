"""Cursors come back as they were, or are refused."""

from __future__ import annotations

import base64
import contextlib
import uuid
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import cursors
from gateway.errors import Invalid

NOW = datetime(2026, 3, 4, 5, 6, 7, 891_011, tzinfo=UTC)


def test_cursors_come_back_as_they_were() -> None:
    """To the microsecond."""
    call_id = uuid.uuid4()
    assert cursors.unpack_int(cursors.pack(NOW, 17)) == (NOW, 17)
    assert cursors.unpack_uuid(cursors.pack(NOW, call_id)) == (NOW, call_id)
    assert cursors.unpack_ranked(cursors.pack_ranked(1, "Олена", 5)) == (1, "Олена", 5)
    assert cursors.unpack_message(cursors.pack_message(NOW, 17, 4)) == (NOW, 17, 4)


@given(st.text(max_size=200))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    """Nothing but Invalid is raised, whatever a client makes up."""
    for unpack in (
        cursors.unpack_int, cursors.unpack_uuid, cursors.unpack_ranked, cursors.unpack_message,
    ):  # fmt: skip
        with contextlib.suppress(Invalid):
            unpack(text)


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+00:01"]
)
def test_a_moment_outside_of_the_calendar_is_refused(at: str) -> None:
    """In UTC it would lie before the year 1, or after 9999: no database takes it."""
    for unpack, rest in (
        (cursors.unpack_int, [1]),
        (cursors.unpack_uuid, [str(uuid.uuid4())]),
        (cursors.unpack_message, [1, 1]),
    ):
        made = base64.urlsafe_b64encode(orjson.dumps([at, *rest])).decode()
        with pytest.raises(Invalid):
            unpack(made)
