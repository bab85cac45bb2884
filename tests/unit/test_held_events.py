"""Events held while a session catches up: what is sent then, and what never."""

from __future__ import annotations

import asyncio

from gateway import topics
from gateway.bus import Announcement
from gateway.delivery import lanes
from gateway.delivery.shared_frame import SharedFrame
from gateway.sockets.session.held_events import MAX_PASSING, HeldEvents

ROOM = topics.conversation(1)


def frame(change: int, topic: str = ROOM, type_: str = "message.created") -> SharedFrame:
    return SharedFrame.of(Announcement(topic, type_, b"%d" % change, change))


def held(*frames: SharedFrame, limit_bytes: int = 10_000) -> HeldEvents:
    """Return what a session holds that got these while it was catching up."""
    events = HeldEvents(limit_bytes=limit_bytes, on_overflow=lambda: None)
    events.hold()
    for one in frames:
        assert not events.passes(one)
    return events


def payloads(frames: list[SharedFrame]) -> list[bytes]:
    return [one.payload for one in frames]


def test_what_the_snapshot_contains_is_not_sent_again() -> None:
    """At or below the floor of its topic; events without a number and other topics are sent."""
    other = topics.conversation(2)
    events = held(frame(4), frame(5), frame(6), frame(3, other), frame(0), SharedFrame(b"own"))

    assert payloads(events.release({ROOM: 5})) == [b"6", b"3", b"0", b"own"]
    assert events.done


def test_a_floor_stays_until_the_stream_of_this_node_has_reached_it() -> None:
    """Events that the client knows may still come from a stream that is behind."""
    events = held()
    assert events.release({ROOM: 5}, keep={ROOM}) == []

    assert not events.done
    assert not events.holding
    assert not events.passes(frame(5))
    assert events.passes(frame(6))


def test_every_hold_needs_its_release() -> None:
    """Two conversations may be joined at the same time."""
    events = held(frame(1))
    events.hold()

    assert events.release({}) == []
    assert events.holding
    assert payloads(events.release({})) == [b"1"]


def test_it_knows_which_changes_it_holds() -> None:
    """A gap is read from the database instead."""
    events = held(frame(4), frame(6))

    assert events.contains(ROOM, 4, 4)
    assert not events.contains(ROOM, 4, 6)


def test_unwanted_events_are_discarded() -> None:
    """Of one topic only."""
    events = held(frame(4), frame(5), frame(4, topics.conversation(2)))

    events.discard(ROOM, lambda event: event.change == 4)

    assert payloads(events.release({})) == [b"5", b"4"]


def test_few_passing_events_are_held() -> None:
    """Typing notices are worth nothing once the client has caught up."""
    typing = [frame(0, type_="typing.started") for _ in range(MAX_PASSING + 50)]

    assert len(held(*typing, frame(1)).release({})) == MAX_PASSING + 1
    assert typing[0].lane == lanes.PASSING


async def test_more_than_a_slow_reader_may_owe_ends_the_session() -> None:
    """Once, and not from within the delivery."""
    overflows: list[int] = []
    events = HeldEvents(limit_bytes=100, on_overflow=lambda: overflows.append(1))
    events.hold()
    large = SharedFrame(b"x" * 101)

    for _ in range(3):
        events.passes(large)
    assert not overflows
    await asyncio.sleep(0)

    assert overflows == [1]
    assert events.release({}) == []
