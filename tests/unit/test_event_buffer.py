"""What a PBX said and nobody has stored yet: bounded, in order, its end last."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from ingest.connectors.event_buffer import SUBMISSION_EVENTS, EventBuffer
from ingest.connectors.link import ConnectionLost
from ingest.model.events import CallEvent
from ingest.model.snapshot import PbxSnapshot
from ingest.settings import IngestSettings

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
MIB = 1024 * 1024


def event(said: str = "", leg: str = "a") -> CallEvent:
    return CallEvent(
        event_id=uuid4(), source="pbx", type="party.updated", occurred_at=NOW, leg_key=leg,
        attrs={"name": said},
    )  # fmt: skip


async def fill(buffer: EventBuffer, *events: CallEvent) -> int:
    """Put each of these, until one has to wait; return how many went in."""
    for number, one in enumerate(events):
        putting = asyncio.ensure_future(buffer.put(NOW, [[one]]))
        for _ in range(5):  # it waits for nothing but room
            await asyncio.sleep(0)
        if not putting.done():
            putting.cancel()
            return number
    return len(events)


@pytest.mark.parametrize(
    "large",
    [event("x" * MIB), event(leg="x" * MIB), PbxSnapshot(taken_at=NOW, facts=(event("x" * MIB),))],
)
async def test_a_few_large_events_fill_it(large: CallEvent | PbxSnapshot) -> None:
    """It is bounded in bytes, whichever field holds them, and reads on once it is emptier."""
    buffer = EventBuffer(most_events=1_000, most_bytes=3 * MIB)
    received = large if isinstance(large, PbxSnapshot) else [large]
    for _ in range(3):
        await buffer.put(NOW, [received])

    full = await fill(buffer, event())
    for _ in range(3 if isinstance(large, PbxSnapshot) else 1):
        await buffer.get()

    assert (full, await fill(buffer, event())) == (0, 1)


async def test_many_small_events_fill_it() -> None:
    """It is bounded in events, too, and a read of none counts as one."""
    buffer = EventBuffer(most_events=10)
    await buffer.put(NOW, [[]] * 4)

    assert await fill(buffer, *[event() for _ in range(20)]) == 6


async def test_what_is_larger_than_the_bound_goes_in_alone() -> None:
    """An empty inbox takes everything: nothing is too large to be stored."""
    buffer = EventBuffer(most_bytes=1_000)

    assert await fill(buffer, event("x" * MIB), event()) == 1


async def test_reads_leave_in_order_and_together_and_the_error_is_last() -> None:
    """Events of several reads go on as one submission, not beyond a snapshot."""
    buffer, snapshot = EventBuffer(), PbxSnapshot(taken_at=NOW)
    first, second, third = event("1"), event("2"), event("3")
    await buffer.put(NOW, [[first], [second], snapshot, [third]])
    await buffer.close(ConnectionLost("gone"))

    taken = [(await buffer.get())[1] for _ in range(3)]

    assert taken == [[first, second], snapshot, [third]]
    assert IngestSettings().max_submission_events >= SUBMISSION_EVENTS
    with pytest.raises(ConnectionLost):
        await buffer.get()
