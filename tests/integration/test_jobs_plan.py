"""How PostgreSQL goes about a claim: by the index, however many wait and whatever it believes."""

from __future__ import annotations

from contextlib import suppress

import pytest

from gateway.jobs.queries import claims
from tests.support.job_tools import Jobs
from tests.support.query_plans import Explaining

QUEUES = ["call", "mail", "bulk"]
WAITING = 2_000
ROOM = 12


@pytest.mark.parametrize("statistics", ["none", "of an empty table", "true"])
@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_a_claim_reads_what_it_claims(jobs: Jobs, mode: str, statistics: str) -> None:
    """6,000 jobs wait, as many are for later: three dozen are read, and found by their ids.

    With statistics from before they came it may read all that wait, and never the whole table.
    """
    if statistics == "of an empty table":
        await jobs.sql("ANALYZE realtime.jobs")
    await jobs.sql(
        "INSERT INTO realtime.jobs (queue, kind, run_at)"
        " SELECT q, 'tests.run', now() + make_interval(secs => n - $2)"
        " FROM unnest($1::text[]) AS q, generate_series(1, 2 * $2) AS n",
        QUEUES, WAITING,
    )  # fmt: skip
    if statistics == "true":
        await jobs.sql("ANALYZE realtime.jobs")
    async with jobs.connect() as conn:
        explaining = Explaining(conn, mode)
        with suppress(IndexError):  # it returns no rows
            await claims.claim(
                explaining,  # type: ignore[arg-type]
                dict.fromkeys(QUEUES, ROOM),
                kinds=["tests.run"],
                schedules=[],
                lease_s=60,
            )
        await conn.execute("RESET plan_cache_mode")
    reads = [(how, rows) for table, how, rows in explaining.reads() if table == "jobs"]

    assert {how for how, _ in reads} & {"Seq Scan"} == set()
    bound = 4 * ROOM if statistics == "true" else 3 * WAITING
    assert sum(rows for _, rows in reads) <= bound * len(QUEUES)
