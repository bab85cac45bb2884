"""Ingest over a real PostgreSQL: every event once, in any order, from any number of nodes."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.db import Pool
from ingest import (
    CallChange,
    CallState,
    Pipeline,
    group_by_call,
    load_calls,
    shift,
)
from tests.support.call_truth import calls_of, events_of_recording
from tests.support.ingest_tools import (
    SETTINGS,
    SOME,
    RecordedAnnouncements,
    anonymous,
    count,
    delayed_commit,
    stored_calls,
)


@pytest.mark.parametrize("name", SOME)
async def test_a_recording_is_stored_as_it_folds(
    name: str, pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Calls, legs and stints in the tables equal the fold of the events."""
    events = events_of_recording(name)

    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        receipt = await pipeline.submit(events)

    assert (receipt.accepted, receipt.duplicates, receipt.rejected) == (len(events), 0, ())
    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))
    assert await count(pool, "call_events") == len(events)


@pytest.mark.parametrize("name", SOME)
async def test_any_order_in_any_batches_stores_the_same(name: str, pool: Pool) -> None:
    """Shuffled, repeated, in pieces of random size: the same calls as in order and at once.

    What legs repeat of their call is right, too, whenever its beginning became known.
    """
    events = events_of_recording(name)
    dice = random.Random(name)
    shuffled = events + dice.choices(events, k=20)
    dice.shuffle(shuffled)
    settings = replace(SETTINGS, batch_events=7)

    async with Pipeline(pool, announce=RecordedAnnouncements(), settings=settings) as pipeline:
        while shuffled:
            size = dice.randrange(1, 12)
            await pipeline.submit(shuffled[:size])
            del shuffled[:size]

    strayed = await pool.fetchval(
        "SELECT count(*) FROM realtime.call_legs AS l JOIN realtime.call_sessions AS c"
        " ON c.id = l.call_id"
        " WHERE (l.source, l.started_at) IS DISTINCT FROM (c.source, c.started_at)"
    )
    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))
    assert strayed == 0


async def test_a_replay_stores_and_announces_nothing(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Every event is a duplicate, also when the replay is moved to another day."""
    events = events_of_recording(SOME[1])
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.submit(shift(events, timedelta(days=-40)))
        again = await pipeline.submit(events)
        another_day = await pipeline.submit(shift(events, timedelta(days=3)))

    assert (again.accepted, again.duplicates) == (0, len(events))
    assert (another_day.accepted, another_day.duplicates) == (0, len(events))
    assert [change.before for change in announced.changes] == [None] * len(group_by_call(events))
    assert await count(pool, "call_events") == len(events)


@pytest.mark.parametrize("name", SOME)
async def test_two_nodes_share_a_call(name: str, pool: Pool) -> None:
    """Interleaved halves through two pipelines at once give the call that one would give."""
    events = events_of_recording(name)
    settings = replace(SETTINGS, batch_events=3)
    async with (
        Pipeline(pool, announce=RecordedAnnouncements(), settings=settings) as one,
        Pipeline(pool, announce=RecordedAnnouncements(), settings=settings) as other,
    ):
        receipts = await asyncio.gather(one.submit(events[::2]), other.submit(events[1::2]))

    assert sum(receipt.accepted for receipt in receipts) == len(events)
    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))


async def test_two_nodes_given_the_same_events_store_them_once(pool: Pool) -> None:
    """Both get a receipt; together they accepted each event once, and versions never repeat."""
    events = events_of_recording(SOME[1])
    settings = replace(SETTINGS, batch_events=5)
    first, second = RecordedAnnouncements(), RecordedAnnouncements()
    async with (
        Pipeline(pool, announce=first, settings=settings) as one,
        Pipeline(pool, announce=second, settings=settings) as other,
    ):
        a, b = await asyncio.gather(one.submit(events), other.submit(events))

    (versions,) = first.versions.values() if first.versions else second.versions.values()
    both = sorted(
        v for announced in (first, second) for vs in announced.versions.values() for v in vs
    )
    assert a.accepted + b.accepted == len(events)
    assert a.duplicates + b.duplicates == len(events)
    assert both == list(range(1, len(both) + 1))
    assert versions == sorted(versions)
    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))


async def test_a_receipt_and_an_announcement_mean_committed(
    pool: Pool, database: str, announced: RecordedAnnouncements
) -> None:
    """Before the COMMIT there is neither; afterwards both, and what is told can be read."""
    events = events_of_recording(SOME[0])
    readable: list[CallState] = []

    async def announce(changes: list[CallChange]) -> None:
        async with pool.acquire() as conn:
            calls = await load_calls(conn, [change.after.id for change in changes])
        readable.extend(calls.values())
        await announced(changes)

    async with Pipeline(pool, announce=announce, settings=SETTINGS) as pipeline:
        async with delayed_commit(database) as waiting:
            receipt = asyncio.create_task(pipeline.submit(events))
            await waiting()
            assert not receipt.done()
            assert not announced.changes
        await receipt

    assert readable == [change.after for change in announced.changes]


async def test_the_next_batch_is_stored_while_one_is_announced(pool: Pool) -> None:
    """Receipts do not wait for announcements; those stay in order, and none is lost at the end."""
    events = events_of_recording(SOME[0])
    told: list[int] = []
    go_on = asyncio.Event()

    async def announce(changes: list[CallChange]) -> None:
        await go_on.wait()
        told.extend(change.after.version for change in changes)

    async with Pipeline(pool, announce=announce, settings=SETTINGS) as pipeline:
        await pipeline.submit(events[:5])
        receipt = await pipeline.submit(events[5:])
        assert (receipt.accepted, told) == (len(events) - 5, [])
        go_on.set()

    assert told == [1, 2]


async def test_versions_rise_by_one_and_only_for_what_can_be_seen(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Each event by itself: every announced version is the next one, and the last one is stored."""
    events = events_of_recording(SOME[0])
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        for event in events:
            await pipeline.submit([event])

    (versions,) = announced.versions.values()
    (call,) = await stored_calls(pool)
    assert versions == list(range(1, len(versions) + 1))
    assert call.version == versions[-1] < len(events)
    assert [change.offered for change in announced.changes if change.offered] == [{"101"}]
    assert [change.after.version for change in announced.changes if change.ended] == [call.version]


async def test_a_consultation_becomes_part_of_the_call(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Two calls until the transfer; then the younger is over and names the one that goes on."""
    events = events_of_recording("s05_sip_attended_transfer")
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        for event in events:
            await pipeline.submit([event])

    merged = [change.after for change in announced.changes if change.after.merged_into]
    (call,) = await stored_calls(pool)
    assert [(loser.merged_into, loser.status, loser.legs) for loser in merged] == [
        (call.id, "ended", ())
    ]
    assert await pool.fetchval("SELECT count(DISTINCT call_id) FROM realtime.call_aliases") == 1
    assert await pool.fetchval("SELECT count(DISTINCT call_id) FROM realtime.call_events") == 1
    assert anonymous([call]) == anonymous(calls_of(events))


async def test_a_missed_call_is_one_row_and_is_taken_back(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """A late answer turns a missed call into an answered one; the version rises."""
    events = events_of_recording("l01_answered_caller_hangs_up")
    proof = {"leg.answered", "queue.connected", "bridge.joined", "bridge.left", "offer.ended"}
    late = [event for event in events if event.type in proof]
    early = [event for event in events if event not in late]

    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.submit(early)
        (missed,) = await pool.fetch("SELECT * FROM realtime.missed_calls")
        (before,) = await stored_calls(pool)
        await pipeline.submit(late)

    (after,) = await stored_calls(pool)
    assert missed["number_e164"] == "+380671234567"
    assert (before.status, before.missed, after.outcome) == ("ended", True, "answered")
    assert after.version == before.version + 1
    assert await count(pool, "missed_calls") == 0


async def test_an_abandoned_call_is_missed_and_an_answered_one_is_not(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Of l01 (answered) and l03 (abandoned while ringing), one row."""
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.submit(events_of_recording("l01_answered_caller_hangs_up"))
        await pipeline.submit(events_of_recording("l03_abandon_while_ringing"))

    (missed,) = await pool.fetch("SELECT * FROM realtime.missed_calls")
    assert (missed["number_raw"], missed["outcome"]) == ("+380501112233", "abandoned")
    assert missed["queue"] == "sales"
    assert abs(missed["wait_ms"] - 4_000) < 1_000


async def test_the_pure_grouping_and_the_database_agree(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Several recordings at once, shuffled together: as many calls as the pure grouping finds."""
    events = [event for name in SOME for event in events_of_recording(name)]
    random.Random(7).shuffle(events)
    async with Pipeline(
        pool, announce=announced, settings=replace(SETTINGS, batch_events=50)
    ) as pipe:
        await pipe.submit(events)

    assert len(await stored_calls(pool)) == len(group_by_call(events))
    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))
