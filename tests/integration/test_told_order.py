"""The order in which a PBX told its events is stored: other nodes and rebuilds find it again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from gateway.db import Pool
from ingest import CallEvent, IngestSettings, Pipeline
from ingest.model.events import EventType
from ingest.upkeep.rebuild import rebuild
from tests.support.ingest_tools import SETTINGS, RecordedAnnouncements, stored_calls

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)


def told(kind: EventType, second: int, leg: str | None = "caller", **fields: Any) -> CallEvent:
    return CallEvent(
        event_id=uuid4(), source="pbx", type=kind, occurred_at=NOW + timedelta(seconds=second),
        leg_key=leg, **fields,
    )  # fmt: skip


def overflowing() -> list[CallEvent]:
    """Tell of a caller who leaves one queue and enters the next in second 20."""
    return [
        told("leg.created", 0, attrs={"number_raw": "0671112233"}),
        told("queue.entered", 0, queue="s"),
        told("queue.outcome", 20, attrs={"outcome": "timeout"}),
        told("queue.left", 20, queue="s"),
        told("queue.entered", 20, queue="t"),
    ]


def answered() -> list[CallEvent]:
    return [told("queue.connected", 25, queue="t", peer_leg_key="a"), told("leg.ended", 60)]


WANTED = [("s", "timeout", 20_000), ("t", "connected", 5_000)]


async def send(pool: Pool, *batches: list[CallEvent]) -> list[int]:
    """Send each batch to a node of its own; return how many events each accepted."""
    accepted = []
    for batch in batches:
        async with Pipeline(pool, announce=RecordedAnnouncements(), settings=SETTINGS) as node:
            accepted.append((await node.submit([replace(one) for one in batch])).accepted)
    return accepted


async def stays(pool: Pool) -> list[tuple[str, str | None, int | None]]:
    (call,) = await stored_calls(pool)
    return [(stint.queue, stint.outcome, stint.wait_ms) for stint in call.stints]


async def corrected(pool: Pool) -> int:
    """Rebuild all calls; return how many were wrong."""
    most = IngestSettings().max_call_events
    return [step async for step in rebuild(pool, max_call_events=most)][-1].changed


async def test_another_node_and_a_rebuild_read_the_order_again(pool: Pool) -> None:
    """The node that stores the answer was not there when the caller changed the queue."""
    await send(pool, overflowing(), answered())

    assert await stays(pool) == WANTED
    assert await corrected(pool) == 0
    assert await stays(pool) == WANTED


async def test_the_first_telling_counts(pool: Pool) -> None:
    """What is repeated in another order is known already, also within one batch."""
    events = [*overflowing(), *answered()]

    accepted = await send(pool, [*events, *reversed(events)], events[::-1])

    assert accepted == [len(events), 0]
    assert await stays(pool) == WANTED
    assert await corrected(pool) == 0


async def test_batches_of_two_nodes_are_in_the_order_of_their_receipt(pool: Pool) -> None:
    """Each keeps the order within; numbers of a PBX never repeat, those of others do not count."""
    events, other = overflowing(), [replace(told("leg.created", 20), source="other")]

    await send(pool, events[:3], other, events[3:], answered())

    numbers = await pool.fetch(
        "SELECT event_id, told FROM realtime.call_events WHERE source = 'pbx' ORDER BY told"
    )
    found = {row["event_id"]: row["told"] for row in numbers}
    assert [found[one.event_id] for one in events] == [1, 2, 3, 4, 5]
    calls = [call for call in await stored_calls(pool) if call.source == "pbx"]
    assert [(one.queue, one.outcome, one.wait_ms) for one in calls[0].stints] == WANTED


async def test_rows_of_an_earlier_release_are_ordered_by_their_kind(pool: Pool) -> None:
    """It writes no numbers, and takes its turn as ever; new events of that time follow."""
    events = overflowing()
    await send(pool, events[:2])
    await pool.execute("UPDATE realtime.call_events SET told = NULL")
    await pool.execute(
        "INSERT INTO realtime.ingest_turns AS t (source, turn) VALUES ('pbx', gen_random_uuid())"
        " ON CONFLICT (source) DO UPDATE SET turn = excluded.turn, before = t.turn"
    )

    await send(pool, events[2:], answered())

    assert await stays(pool) == WANTED
    told_by = await pool.fetch("SELECT told FROM realtime.call_events ORDER BY told NULLS FIRST")
    assert [row["told"] for row in told_by] == [None, None, 3, 4, 5, 6, 7]


async def test_a_pause_and_its_end_of_one_second_leave_nobody_paused(pool: Pool) -> None:
    """In whatever batches they come, the last one told counts; so does a rebuild."""
    kinds: list[EventType] = ["agent.paused", "agent.unpaused", "agent.paused", "agent.unpaused"]
    events = [told(kind, 5, None, extension="101", queue="s") for kind in kinds]

    await send(pool, events[:3])
    paused = await pool.fetchval("SELECT paused FROM realtime.agent_marks")
    await send(pool, events[3:])

    assert paused
    assert not await pool.fetchval("SELECT paused FROM realtime.agent_marks")
    await corrected(pool)
    assert not await pool.fetchval("SELECT paused FROM realtime.agent_marks")
