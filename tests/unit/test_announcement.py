"""What travels between nodes: one announcement after the other in one message."""

from __future__ import annotations

import pytest

from gateway.bus.announcement import Announcement
from gateway.bus.publisher import MESSAGE_BYTES, _coalesce

TOPIC = "conversation:1"


def said(payload: bytes = b"{}", *, topic: str = TOPIC, change: int = 0) -> Announcement:
    return Announcement(topic, "message.created", payload, change, by=7)


def test_several_are_read_as_they_were_written() -> None:
    """Whatever their events hold, also new lines and what looks like a head."""
    written = [said(change=1), said(b'["x",0,0,2]\n{}', change=2), said(b"", change=3)]

    read = Announcement.from_wire(TOPIC, b"".join(one.to_wire() for one in written))

    assert read == written


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no head at all",
        b"nonsense\n{}",
        b'["message.created",0,0]\n{}',
        b'["message.created",0,0,3]\n{}',
        b'["message.created",0,0,-5]\n{}',
        b'["message.created",0,0,"2"]\n{}',
        b"[1,0,0,2]\n{}",
        b'["message.created",0,0,2]\n{} and more',
        b'["message.created",0,0,2]\n{}["message.created",0,0,2',
    ],
)
def test_what_is_anything_else_is_refused(data: bytes) -> None:
    """As a whole: half of it may not be what somebody meant."""
    with pytest.raises(ValueError, match=r"."):
        Announcement.from_wire(TOPIC, data)


def test_what_follows_on_one_topic_is_said_in_one_breath() -> None:
    """In the order in which it was said, and no longer than a breath is."""
    other = said(topic="conversation:2")
    large = said(b"x" * (MESSAGE_BYTES - 3))

    found = list(_coalesce([said(), said(), other, said(), large, said(), said()]))

    assert [[one.topic[-1] for one in breath] for breath in found] == [
        ["1", "1"], ["2"], ["1", "1"], ["1", "1"],
    ]  # fmt: skip
    assert [sum(len(one.payload) for one in breath) for breath in found] == [
        4, 2, MESSAGE_BYTES - 1, 4,
    ]  # fmt: skip


def test_an_announcement_longer_than_a_breath_is_said_alone() -> None:
    """It is one message, as it always was."""
    large = said(b"x" * (MESSAGE_BYTES + 1))

    assert [len(breath) for breath in _coalesce([said(), large, large, said()])] == [1, 1, 1, 1]
