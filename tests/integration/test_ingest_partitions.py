"""Events by month: odd times, retention, and what is deleted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.db import Pool, connect
from ingest import Pipeline, shift
from ingest.queries import partitions as partition_queries
from ingest.upkeep import partitions
from tests.support.call_truth import events_of_recording
from tests.support.desk import eventually
from tests.support.ingest_tools import (
    SETTINGS,
    SOME,
    RecordedAnnouncements,
    count,
    pause_event,
    stored_calls,
)

WAITS = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1"


@pytest.fixture
def database(new_database: str) -> str:
    """Give a new database: without the partitions that others have made."""
    return new_database


async def test_events_of_an_odd_time_move_to_their_month(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """They go to the default partition, and to their month's as soon as there is one."""
    events = events_of_recording(SOME[0])
    long_ago = datetime(2020, 3, 5, tzinfo=UTC)
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.submit(shift(events, long_ago - events[0].occurred_at))
    default = await count(pool, "call_events_default")

    async with pool.acquire() as conn:
        kept = await partitions.maintain(conn, now=long_ago, months_ahead=0, keep_months=12)

    assert default == len(events)
    assert kept.created == ("call_events_2020_02", "call_events_2020_03")
    assert await count(pool, "call_events_default") == 0
    assert await count(pool, "call_events_2020_03") == len(events)


async def test_months_beyond_retention_are_dropped_and_calls_stay(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """Events older than the bound go with their partition; the call keeps its row."""
    events = events_of_recording(SOME[0])
    then = datetime(2020, 3, 5, tzinfo=UTC)
    async with pool.acquire() as conn:
        await partitions.maintain(conn, now=then, months_ahead=0, keep_months=12)
    async with Pipeline(
        pool, announce=announced, settings=replace(SETTINGS, keep_months=1200)
    ) as pipe:
        await pipe.submit(shift(events, then - events[0].occurred_at))

    async with pool.acquire() as conn:
        kept = await partitions.maintain(
            conn, now=datetime(2021, 4, 1, tzinfo=UTC), months_ahead=0, keep_months=12
        )

    assert kept.dropped[:2] == ("call_events_2020_02", "call_events_2020_03")
    assert await count(pool, "call_events") == 0
    assert [call.outcome for call in await stored_calls(pool)] == ["answered"]


async def test_ids_are_forgotten_with_their_events(
    pool: Pool, announced: RecordedAnnouncements, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks, until none is older; what is younger stays."""
    monkeypatch.setattr(partitions, "CHUNK_ROWS", 10)
    events = events_of_recording(SOME[0])
    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.submit([*events, pause_event(queue="\0")])
    await pool.execute(
        "INSERT INTO realtime.ingest_gaps VALUES"
        " ('pbx', now() - interval '9 min', now() - interval '8 min', 'not connected')"
    )
    keys, aliases = await count(pool, "call_event_keys"), await count(pool, "call_aliases")
    now = datetime.now(UTC)

    async with pool.acquire() as conn:
        too_young = await partitions.delete_old_rows(conn, before=now - timedelta(hours=1))
        forgotten = await partitions.delete_old_rows(conn, before=now + timedelta(hours=1))

    assert too_young == 0
    assert forgotten >= keys + aliases + 2 > len(events)
    for table in ("call_event_keys", "call_aliases", "ingest_rejects", "ingest_gaps"):
        assert await count(pool, table) == 0


async def test_a_gap_stays_as_long_as_it_reaches_into_what_is_kept(pool: Pool) -> None:
    """It began before the bound and ended after it: the hours behind are still incomplete."""
    now = datetime.now(UTC)
    await pool.execute(
        "INSERT INTO realtime.ingest_gaps VALUES ('pbx', $1, $2, 'not connected')",
        now - timedelta(hours=2),
        now,
    )

    async with pool.acquire() as conn:
        await partitions.delete_old_rows(conn, before=now - timedelta(hours=1))

    assert await count(pool, "ingest_gaps") == 1


async def test_this_month_and_the_next_two_have_partitions(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """A pipeline makes them when it starts; a second one finds nothing to do."""
    now = datetime.now(UTC)
    month = partitions.PartitionMonth(now.year, now.month)
    async with (
        Pipeline(pool, announce=announced, settings=SETTINGS),
        Pipeline(pool, announce=announced, settings=SETTINGS),
        pool.acquire() as conn,
    ):
        there = await partition_queries.names(conn)

    assert [month.plus(offset).name for offset in range(-1, 3)] == there


@pytest.mark.parametrize(("table", "insert"), [
    ("audit", "INSERT INTO realtime.audit (act) VALUES ('deal.win')"),
    ("call_event_payloads",
     "INSERT INTO realtime.call_event_payloads VALUES ('main', gen_random_uuid(), '{}', now())"),
])  # fmt: skip
async def test_a_row_that_waits_for_its_month_is_stored_in_it(
    database: str, table: str, insert: str
) -> None:
    """Written while the month is made: it is no row of the default partition any more."""
    name, begin = f"{table}_this_month", datetime.now(UTC).replace(hour=0, minute=0, second=0)
    making, writing = [await connect(database, application_name=one) for one in ("make", "write")]
    await writing.execute(insert)
    prepared = await writing.prepare(insert)
    await prepared.fetch()
    made = making.transaction()
    await made.start()
    await partition_queries.create(
        making,
        partition_queries.PartitionedTable(table, "at" if table == "audit" else "received_at"),
        name,
        since=begin - timedelta(days=1),
        until=begin + timedelta(days=2),
    )

    late = asyncio.create_task(prepared.fetch())
    await eventually(lambda: making.fetchval(WAITS, writing.get_server_pid()))
    await made.commit()
    await late

    assert await making.fetchval(f"SELECT count(*) FROM realtime.{name}") == 3
    for conn in (making, writing):
        await conn.close()
