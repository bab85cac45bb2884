"""Input rejected before it is an event: saved and counted, within bounds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.db import Pool, connect
from ingest import IngestUnavailable, Pipeline, RejectedInput
from ingest.storing.rejects import MAX_SAVED
from ingest.upkeep import partitions
from tests.support.ingest_tools import SETTINGS, RecordedAnnouncements, count


@pytest.fixture
def database(new_database: str) -> str:
    """Give a new database: without the partitions that others have made."""
    return new_database


async def test_of_a_flood_the_first_are_kept_and_all_are_counted(
    pool: Pool, announced: RecordedAnnouncements
) -> None:
    """In the order in which they stood."""
    refusals = [RejectedInput("event.invalid", "no", {"n": n}) for n in range(MAX_SAVED + 50)]

    async with Pipeline(pool, announce=announced, settings=SETTINGS) as pipeline:
        await pipeline.reject("p\0bx", refusals)

    kept = await pool.fetch("SELECT * FROM realtime.ingest_rejects ORDER BY id")
    assert [row["event"] for row in kept] == [f'{{"n":{n}}}' for n in range(MAX_SAVED)]
    assert {row["source"] for row in kept} == {"p\ufffdbx"}
    assert pipeline.metrics.received == pipeline.metrics.rejected == len(refusals)


async def test_what_could_not_be_kept_is_to_be_sent_again(
    pool: Pool, database: str, announced: RecordedAnnouncements
) -> None:
    """Nothing is counted that was not kept."""
    settings = replace(SETTINGS, database_timeout_s=0.2)
    refusals = [RejectedInput("event.invalid", "no", {})]
    async with Pipeline(pool, announce=announced, settings=settings) as pipeline:
        conn = await connect(database, application_name="test-lock")
        try:
            async with conn.transaction():
                await conn.execute("LOCK TABLE realtime.ingest_rejects")
                with pytest.raises(IngestUnavailable):
                    await pipeline.reject("pbx", refusals)
        finally:
            await conn.close()
        before = (pipeline.metrics.received, pipeline.metrics.rejected)
        await pipeline.reject("pbx", refusals)

    assert before == (0, 0)
    assert await count(pool, "ingest_rejects") == pipeline.metrics.rejected == 1


async def test_the_newest_100000_are_kept(pool: Pool) -> None:
    """A PBX that sends nothing else does not fill the disk; what is too old goes all the same."""
    await pool.execute(
        "INSERT INTO realtime.ingest_rejects (source, code, message, event)"
        " SELECT 'pbx', 'event.invalid', '', n::text FROM generate_series(1, 100050) AS n"
    )

    async with pool.acquire() as conn:
        await partitions.delete_old_rows(conn, before=datetime.now(UTC) - timedelta(days=1))

    assert await count(pool, "ingest_rejects") == 100_000
    assert await pool.fetchval("SELECT min(event::int) FROM realtime.ingest_rejects") == 51
