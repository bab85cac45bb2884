"""Ingest over a real PostgreSQL: every event once, in any order, from any number of nodes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest

from gateway.db import Pool, connect, open_pool
from ingest import (
    Busy,
    CallChange,
    CallEvent,
    CallState,
    Closed,
    IngestSettings,
    Pipeline,
    TooManyEvents,
    Unavailable,
    group,
    load_calls,
    partitions,
    shift,
)
from ingest.queries import partitions as partition_queries
from ingest.queries.events import LOCK_CLASS
from tests.unit.call_truth import calls_of, events_of_recording

SETTINGS = IngestSettings(batch_ms=1, retry_s=0.01)
WAIT_S = 20.0

SOME = (
    "l01_answered_caller_hangs_up",
    "l05_ring_no_answer_then_next",
    "l10_blind_transfer_to_queue",
    "l22_queue_full_join_empty_leave_empty",
    "s05_sip_attended_transfer",
    "s22_sip_pickup",
)


class Heard:
    """Remembers what was announced."""

    def __init__(self) -> None:
        self.changes: list[CallChange] = []

    async def __call__(self, changes: list[CallChange]) -> None:
        self.changes += changes

    @property
    def versions(self) -> dict[UUID, list[int]]:
        found: dict[UUID, list[int]] = {}
        for change in self.changes:
            found.setdefault(change.after.id, []).append(change.after.version)
        return found


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """Give a pool on this test's database."""
    async with await open_pool(database, application_name="test-ingest", max_size=4) as opened:
        yield opened


@pytest.fixture
def heard() -> Heard:
    return Heard()


@asynccontextmanager
async def held_back(
    database: str, source: str = "pbx"
) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Hold the source's lock: nothing of it is committed inside. Yields who waits for it."""
    conn = await connect(database, application_name="test-lock")
    try:
        await conn.execute("SELECT pg_advisory_lock($1, hashtext($2))", LOCK_CLASS, source)

        async def waiting() -> int:
            """Return the backend that waits for the lock, once there is one."""
            async with asyncio.timeout(WAIT_S):
                while True:
                    pid = await conn.fetchval(
                        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                    )
                    if pid:
                        return int(pid)

        yield waiting
    finally:
        await conn.close()


async def stored_calls(pool: Pool) -> list[CallState]:
    """Return all calls that go on or ended by themselves, comparable with a pure fold."""
    async with pool.acquire() as conn:
        ids = await conn.fetch("SELECT id FROM realtime.call_sessions WHERE merged_into IS NULL")
        states = await load_calls(conn, [row["id"] for row in ids])
    return sorted(states.values(), key=lambda call: call.started_at)


def anonymous(calls: list[CallState]) -> bytes:
    """Return the calls without their own ids and versions."""
    return orjson.dumps([replace(call, id=UUID(int=0), version=0) for call in calls])


async def count(pool: Pool, table: str) -> int:
    return int(await pool.fetchval(f"SELECT count(*) FROM realtime.{table}"))


def odd(**fields: Any) -> CallEvent:
    """Make an event about no call."""
    made = CallEvent(
        event_id=uuid4(), source="pbx", type="agent.paused", occurred_at=datetime.now(UTC)
    )
    return replace(made, **fields)


@pytest.mark.parametrize("name", SOME)
async def test_a_recording_is_stored_as_it_folds(name: str, pool: Pool, heard: Heard) -> None:
    """Calls, legs and stints in the tables equal the fold of the events."""
    events = events_of_recording(name)

    async with Pipeline(pool, announce=heard, settings=SETTINGS) as pipeline:
        receipt = await pipeline.submit(events)

    assert (receipt.accepted, receipt.duplicates, receipt.rejected) == (len(events), 0, ())
    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))
    assert await count(pool, "call_events") == len(events)


@pytest.mark.parametrize("name", SOME)
async def test_any_order_in_any_batches_stores_the_same(name: str, pool: Pool) -> None:
    """Shuffled, repeated, in pieces of random size: the same calls as in order and at once."""
    events = events_of_recording(name)
    dice = random.Random(name)
    shuffled = events + dice.choices(events, k=20)
    dice.shuffle(shuffled)
    settings = replace(SETTINGS, batch_events=7)

    async with Pipeline(pool, announce=Heard(), settings=settings) as pipeline:
        while shuffled:
            size = dice.randrange(1, 12)
            await pipeline.submit(shuffled[:size])
            del shuffled[:size]

    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))


async def test_a_replay_stores_and_announces_nothing(pool: Pool, heard: Heard) -> None:
    """Every event is a duplicate, also when the replay is moved to another day."""
    events = events_of_recording(SOME[1])
    async with Pipeline(pool, announce=heard, settings=SETTINGS) as pipeline:
        await pipeline.submit(shift(events, timedelta(days=-40)))
        announced = len(heard.changes)

        again = await pipeline.submit(events)
        another_day = await pipeline.submit(shift(events, timedelta(days=3)))

    assert (again.accepted, again.duplicates) == (0, len(events))
    assert (another_day.accepted, another_day.duplicates) == (0, len(events))
    assert len(heard.changes) == announced
    assert await count(pool, "call_events") == len(events)


@pytest.mark.parametrize("name", SOME)
async def test_two_nodes_share_a_call(name: str, pool: Pool) -> None:
    """Interleaved halves through two pipelines at once give the call that one would give."""
    events = events_of_recording(name)
    settings = replace(SETTINGS, batch_events=3)
    async with (
        Pipeline(pool, announce=Heard(), settings=settings) as one,
        Pipeline(pool, announce=Heard(), settings=settings) as other,
    ):
        receipts = await asyncio.gather(one.submit(events[::2]), other.submit(events[1::2]))

    assert sum(receipt.accepted for receipt in receipts) == len(events)
    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))


async def test_two_nodes_given_the_same_events_store_them_once(pool: Pool) -> None:
    """Both get a receipt; together they accepted each event once, and versions never repeat."""
    events = events_of_recording(SOME[1])
    settings = replace(SETTINGS, batch_events=5)
    first, second = Heard(), Heard()
    async with (
        Pipeline(pool, announce=first, settings=settings) as one,
        Pipeline(pool, announce=second, settings=settings) as other,
    ):
        a, b = await asyncio.gather(one.submit(events), other.submit(events))

    (versions,) = first.versions.values() if first.versions else second.versions.values()
    both = sorted(v for heard in (first, second) for vs in heard.versions.values() for v in vs)
    assert a.accepted + b.accepted == len(events)
    assert a.duplicates + b.duplicates == len(events)
    assert both == list(range(1, len(both) + 1))
    assert versions == sorted(versions)
    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))


async def test_a_receipt_and_an_announcement_mean_committed(
    pool: Pool, database: str, heard: Heard
) -> None:
    """Before the COMMIT there is neither; afterwards both, and what is told can be read."""
    events = events_of_recording(SOME[0])
    readable: list[CallState] = []

    async def announce(changes: list[CallChange]) -> None:
        async with pool.acquire() as conn:
            calls = await load_calls(conn, [change.after.id for change in changes])
        readable.extend(calls.values())
        await heard(changes)

    async with Pipeline(pool, announce=announce, settings=SETTINGS) as pipeline:
        async with held_back(database) as waiting:
            receipt = asyncio.create_task(pipeline.submit(events))
            await waiting()
            assert not receipt.done()
            assert not heard.changes
        await receipt

    assert readable == [change.after for change in heard.changes]


async def test_versions_rise_by_one_and_only_for_what_can_be_seen(pool: Pool, heard: Heard) -> None:
    """Each event by itself: every announced version is the next one, and the last one is stored."""
    events = events_of_recording(SOME[0])
    async with Pipeline(pool, announce=heard, settings=SETTINGS) as pipeline:
        for event in events:
            await pipeline.submit([event])

    (versions,) = heard.versions.values()
    (call,) = await stored_calls(pool)
    assert versions == list(range(1, len(versions) + 1))
    assert call.version == versions[-1] < len(events)
    assert [change.offered for change in heard.changes if change.offered] == [{"101"}]
    assert [change.after.version for change in heard.changes if change.ended] == [call.version]


async def test_a_consultation_becomes_part_of_the_call(pool: Pool, heard: Heard) -> None:
    """Two calls until the transfer; then the younger is over and names the one that goes on."""
    events = events_of_recording("s05_sip_attended_transfer")
    async with Pipeline(pool, announce=heard, settings=SETTINGS) as pipeline:
        for event in events:
            await pipeline.submit([event])

    merged = [change.after for change in heard.changes if change.after.merged_into]
    (call,) = await stored_calls(pool)
    assert [(loser.merged_into, loser.status, loser.legs) for loser in merged] == [
        (call.id, "ended", ())
    ]
    assert await pool.fetchval("SELECT count(DISTINCT call_id) FROM realtime.call_aliases") == 1
    assert await pool.fetchval("SELECT count(DISTINCT call_id) FROM realtime.call_events") == 1
    assert anonymous([call]) == anonymous(calls_of(events))


async def test_a_missed_call_is_one_row_and_is_taken_back(pool: Pool, heard: Heard) -> None:
    """A late answer turns a missed call into an answered one; the version rises."""
    events = events_of_recording("l01_answered_caller_hangs_up")
    proof = {"leg.answered", "queue.connected", "bridge.joined", "bridge.left", "offer.ended"}
    late = [event for event in events if event.type in proof]
    early = [event for event in events if event not in late]

    async with Pipeline(pool, announce=heard, settings=SETTINGS) as pipeline:
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
    pool: Pool, heard: Heard
) -> None:
    """Of l01 (answered) and l03 (abandoned while ringing), one row."""
    async with Pipeline(pool, announce=heard, settings=SETTINGS) as pipeline:
        await pipeline.submit(events_of_recording("l01_answered_caller_hangs_up"))
        await pipeline.submit(events_of_recording("l03_abandon_while_ringing"))

    (missed,) = await pool.fetch("SELECT * FROM realtime.missed_calls")
    assert (missed["number_raw"], missed["outcome"]) == ("+380501112233", "abandoned")
    assert missed["queue"] == "sales"
    assert abs(missed["wait_ms"] - 4_000) < 1_000


@pytest.mark.parametrize(
    "poison",
    [
        odd(attrs={"reason": "a\0b"}),
        odd(queue="nul\0"),
        odd(extension="\ud800"),
        odd(occurred_at="not a time"),
    ],
    ids=["nul in attrs", "nul", "surrogate", "no time"],
)
async def test_a_poisonous_event_does_not_spoil_its_batch(
    poison: CallEvent, pool: Pool, heard: Heard
) -> None:
    """All others are stored; the culprit is named, and kept with the reason."""
    events = events_of_recording(SOME[0])
    at = 13

    async with Pipeline(pool, announce=heard, settings=SETTINGS) as pipeline:
        receipt = await pipeline.submit([*events[:at], poison, *events[at:]])

    (rejected,) = receipt.rejected
    (kept,) = await pool.fetch("SELECT * FROM realtime.ingest_rejects")
    assert (receipt.accepted, rejected.index) == (len(events), at)
    assert (kept["source"], kept["code"]) == ("pbx", rejected.code)
    assert str(poison.event_id) in kept["event"]
    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))


async def test_events_about_no_call_are_kept(pool: Pool, heard: Heard) -> None:
    """An agent's pause is a fact without a call, and nobody is told of a call."""
    async with Pipeline(pool, announce=heard, settings=SETTINGS) as pipeline:
        receipt = await pipeline.submit([odd(extension="101", attrs={"reason": "Обід"})])

    row = await pool.fetchrow("SELECT * FROM realtime.call_events")
    assert row is not None
    assert (receipt.accepted, row["call_id"], row["attrs"]) == (1, None, {"reason": "Обід"})
    assert not heard.changes


async def test_a_full_pipeline_says_when_to_come_back(
    pool: Pool, database: str, heard: Heard
) -> None:
    """What was admitted is stored; what was refused is not, and may be sent again."""
    settings = replace(SETTINGS, batch_events=1, max_waiting_events=3)
    async with Pipeline(pool, announce=heard, settings=settings) as pipeline:
        async with held_back(database) as waiting:
            first = asyncio.create_task(pipeline.submit([odd()]))
            await waiting()
            more = asyncio.create_task(pipeline.submit([odd(), odd(), odd()]))
            await asyncio.sleep(0)
            with pytest.raises(Busy) as busy:
                await pipeline.submit([refused := odd()])
        receipts = await asyncio.gather(first, more)
        again = await pipeline.submit([refused])

    assert busy.value.retry_after > 0
    assert [receipt.accepted for receipt in receipts] == [1, 3]
    assert again.accepted == 1
    assert pipeline.metrics.refused == 1
    assert await count(pool, "call_events") == 5


async def test_bytes_are_bounded_too(pool: Pool, database: str, heard: Heard) -> None:
    """Three large events are too much where three small ones are not."""
    settings = replace(SETTINGS, batch_events=1, max_waiting_bytes=5_000)
    large = {"member": "x" * 2_000}
    async with Pipeline(pool, announce=heard, settings=settings) as pipeline:
        async with held_back(database) as waiting:
            tasks = [asyncio.create_task(pipeline.submit([odd()]))]
            await waiting()
            tasks.append(asyncio.create_task(pipeline.submit([odd(attrs=large)])))
            await asyncio.sleep(0)
            with pytest.raises(Busy):
                await pipeline.submit([odd(attrs=large), odd(attrs=large)])
        await asyncio.gather(*tasks)

    assert (pipeline.waiting_events, pipeline.waiting_bytes) == (0, 0)


async def test_too_many_events_at_once_are_refused(pool: Pool, heard: Heard) -> None:
    """The bound is exact, and nothing of a refused submission is stored."""
    settings = replace(SETTINGS, max_submission_events=3)
    async with Pipeline(pool, announce=heard, settings=settings) as pipeline:
        with pytest.raises(TooManyEvents):
            await pipeline.submit([odd() for _ in range(4)])
        receipt = await pipeline.submit([odd() for _ in range(3)])

    assert receipt.accepted == await count(pool, "call_events") == 3


async def test_a_lost_connection_is_survived(pool: Pool, database: str, heard: Heard) -> None:
    """The backend is killed in the middle of a batch; the batch is stored by the next attempt."""
    events = events_of_recording(SOME[0])
    async with Pipeline(pool, announce=heard, settings=SETTINGS) as pipeline:
        async with held_back(database) as waiting:
            receipt = asyncio.create_task(pipeline.submit(events))
            killed = await waiting()
            await pool.execute("SELECT pg_terminate_backend($1)", killed)
            async with asyncio.timeout(WAIT_S):
                while await waiting() == killed:
                    pass
        result = await receipt

    assert result.accepted == len(events)
    assert pipeline.metrics.retries == 1
    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))


async def test_a_commit_whose_answer_was_lost_is_announced_all_the_same(
    pool: Pool, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt commits and loses its connection; the second tells what there is."""
    events = events_of_recording(SOME[0])
    async with Pipeline(pool, announce=heard, settings=SETTINGS) as pipeline:
        store = pipeline._store
        transaction = store._transaction
        lost: list[bool] = []

        async def commit_and_lose(batch: Any, *, again: bool) -> Any:
            stored = await transaction(batch, again=again)
            if not lost:
                lost.append(True)
                raise asyncpg.ConnectionDoesNotExistError("the answer to COMMIT never came")
            return stored

        monkeypatch.setattr(
            type(store), "_transaction", lambda _, b, again: commit_and_lose(b, again=again)
        )
        receipt = await pipeline.submit(events)

    (change,) = heard.changes
    assert receipt.duplicates == len(events)
    assert (change.before, change.after.outcome) == (None, "answered")


async def test_a_database_that_stays_away_is_told_to_the_sender(
    pool: Pool, database: str, heard: Heard
) -> None:
    """After its attempts the batch is given up with a temporary error; a later one succeeds."""
    settings = replace(SETTINGS, attempts=2, database_timeout_s=0.2)
    events = events_of_recording(SOME[0])
    async with Pipeline(pool, announce=heard, settings=settings) as pipeline:
        async with held_back(database):
            with pytest.raises(Unavailable):
                await pipeline.submit(events)
        receipt = await pipeline.submit(events)

    assert receipt.accepted == len(events)
    assert pipeline.metrics.failed_batches == 1


async def test_shutting_down_stores_what_waits(pool: Pool, heard: Heard) -> None:
    """Everything submitted before the end has its receipt; afterwards nothing is taken."""
    events = events_of_recording(SOME[0])
    settings = replace(SETTINGS, batch_ms=60_000)
    async with Pipeline(pool, announce=heard, settings=settings) as pipeline:
        receipt = asyncio.create_task(pipeline.submit(events))
        await asyncio.sleep(0)

    assert (await receipt).accepted == len(events)
    with pytest.raises(Closed):
        await pipeline.submit(events)


async def test_a_failing_announcement_harms_nobody(pool: Pool) -> None:
    """The receipt is given, the next batch is announced, and the failure is counted."""
    heard: list[int] = []

    async def announce(changes: list[CallChange]) -> None:
        heard.append(len(changes))
        if len(heard) == 1:
            raise RuntimeError("nobody listens")

    async with Pipeline(pool, announce=announce, settings=SETTINGS) as pipeline:
        first = await pipeline.submit(events_of_recording(SOME[0]))
        second = await pipeline.submit(events_of_recording(SOME[1]))

    assert first.accepted
    assert second.accepted
    assert heard == [1, 1]
    assert pipeline.metrics.announce_failures == 1


async def test_a_key_used_without_end_does_not_slow_everybody(pool: Pool, heard: Heard) -> None:
    """A call beyond its bound of events stays as it is; its events are stored."""
    settings = replace(SETTINGS, max_call_events=40)
    start = datetime.now(UTC)
    made = [
        replace(odd(), type="leg.ringing", leg_key="leg", occurred_at=start + timedelta(seconds=n))
        for n in range(60)
    ]
    async with Pipeline(pool, announce=heard, settings=settings) as pipeline:
        await pipeline.submit(made[:30])
        receipt = await pipeline.submit(made[30:])

    assert receipt.accepted == 30
    assert pipeline.metrics.overlong == 1
    assert [change.after.version for change in heard.changes] == [1]


async def test_events_of_an_odd_time_move_to_their_month(pool: Pool, heard: Heard) -> None:
    """They go to the default partition, and to their month's as soon as there is one."""
    events = events_of_recording(SOME[0])
    long_ago = datetime(2020, 3, 5, tzinfo=UTC)
    async with Pipeline(pool, announce=heard, settings=SETTINGS) as pipeline:
        await pipeline.submit(shift(events, long_ago - events[0].occurred_at))
    default = await count(pool, "call_events_default")

    async with pool.acquire() as conn:
        kept = await partitions.keep(conn, now=long_ago, months_ahead=0, keep_months=12)

    assert default == len(events)
    assert kept.created == ("call_events_2020_02", "call_events_2020_03")
    assert await count(pool, "call_events_default") == 0
    assert await count(pool, "call_events_2020_03") == len(events)


async def test_months_beyond_retention_are_dropped_and_calls_stay(pool: Pool, heard: Heard) -> None:
    """Events older than the bound go with their partition; the call keeps its row."""
    events = events_of_recording(SOME[0])
    then = datetime(2020, 3, 5, tzinfo=UTC)
    async with pool.acquire() as conn:
        await partitions.keep(conn, now=then, months_ahead=0, keep_months=12)
    async with Pipeline(pool, announce=heard, settings=replace(SETTINGS, keep_months=1200)) as pipe:
        await pipe.submit(shift(events, then - events[0].occurred_at))

    async with pool.acquire() as conn:
        kept = await partitions.keep(
            conn, now=datetime(2021, 4, 1, tzinfo=UTC), months_ahead=0, keep_months=12
        )

    assert kept.dropped[:2] == ("call_events_2020_02", "call_events_2020_03")
    assert await count(pool, "call_events") == 0
    assert [call.outcome for call in await stored_calls(pool)] == ["answered"]


async def test_ids_are_forgotten_with_their_events(
    pool: Pool, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks, until none is older; what is younger stays."""
    monkeypatch.setattr(partitions, "CHUNK_ROWS", 10)
    events = events_of_recording(SOME[0])
    async with Pipeline(pool, announce=heard, settings=SETTINGS) as pipeline:
        await pipeline.submit([*events, odd(queue="\0")])
    keys, aliases = await count(pool, "call_event_keys"), await count(pool, "call_aliases")
    now = datetime.now(UTC)

    async with pool.acquire() as conn:
        too_young = await partitions.forget(conn, before=now - timedelta(hours=1))
        forgotten = await partitions.forget(conn, before=now + timedelta(hours=1))

    assert too_young == 0
    assert forgotten >= keys + aliases + 1 > len(events)
    for table in ("call_event_keys", "call_aliases", "ingest_rejects"):
        assert await count(pool, table) == 0


async def test_this_month_and_the_next_two_have_partitions(pool: Pool, heard: Heard) -> None:
    """A pipeline makes them when it starts; a second one finds nothing to do."""
    now = datetime.now(UTC)
    month = partitions.Month(now.year, now.month)
    async with (
        Pipeline(pool, announce=heard, settings=SETTINGS),
        Pipeline(pool, announce=heard, settings=SETTINGS),
        pool.acquire() as conn,
    ):
        there = await partition_queries.names(conn)

    assert [month.plus(offset).name for offset in range(-1, 3)] == there


async def test_received_equals_accepted_plus_duplicates_plus_rejected(
    pool: Pool, heard: Heard
) -> None:
    """The books balance."""
    events = events_of_recording(SOME[0])
    async with Pipeline(pool, announce=heard, settings=SETTINGS) as pipeline:
        await pipeline.submit([*events, odd(queue="\0"), *events[:5]])
        await pipeline.submit(events)

    metrics = pipeline.metrics
    assert (metrics.accepted, metrics.duplicates, metrics.rejected) == (
        len(events), 5 + len(events), 1,
    )  # fmt: skip
    assert metrics.received == metrics.accepted + metrics.duplicates + metrics.rejected


async def test_the_pure_grouping_and_the_database_agree(pool: Pool, heard: Heard) -> None:
    """Several recordings at once, shuffled together: as many calls as the pure grouping finds."""
    events = [event for name in SOME for event in events_of_recording(name)]
    random.Random(7).shuffle(events)
    async with Pipeline(pool, announce=heard, settings=replace(SETTINGS, batch_events=50)) as pipe:
        await pipe.submit(events)

    assert len(await stored_calls(pool)) == len(group(events))
    assert anonymous(await stored_calls(pool)) == anonymous(calls_of(events))
