"""Each statistic of calls equals what plain Python computes from all rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.db import Conn
from gateway.telephony.stats.queries import stats, stats_agents, stats_queues
from gateway.telephony.stats.queries.stats import StatsFilter
from loadtests.call_oracle import Oracle
from loadtests.generated_calls import CallGenerator
from loadtests.queries import callstats
from loadtests.scenarios.callstats import KINDS, counted

SPRING = datetime(2026, 3, 27, 22, 10, 30, tzinfo=UTC)
"""Kyiv's clocks go forward on the 29th."""
AUTUMN = datetime(2025, 10, 23, 21, 0, tzinfo=UTC)


@pytest.fixture
def database(new_database: str) -> str:
    """Give a new database: what is tested here is planned by what a server remembers."""
    return new_database


def criteria(since: datetime, **changes: Any) -> StatsFilter:
    """Return the criteria for five days."""
    plain = StatsFilter(
        since=since, until=since + timedelta(days=5), tz="Europe/Kyiv", direction=None, queue=None,
        agent_id=None, threshold_ms=20_000, short_ms=5_000,
    )  # fmt: skip
    return replace(plain, **changes)


async def fill(conn: Conn, since: datetime, seed: int, calls: int = 500) -> None:
    """Store calls of seven days, from a day before."""
    maker = CallGenerator(seed, since - timedelta(days=1), 7, numbers=calls // 5)
    for made in maker.batches(calls):
        await callstats.store(conn, made)
    await callstats.store(conn, maker.pauses(calls // 3))


FILTERS: list[dict[str, Any]] = [
    {},
    {"direction": "inbound"},
    {"direction": "outbound"},
    {"queue": "sales"},
    {"agent_id": 2},
    {"queue": "support", "agent_id": 1, "direction": "inbound"},
    {"queue": "no such queue"},
    {"threshold_ms": 5_000, "short_ms": 0, "tz": "Asia/Kathmandu"},
    {"tz": "America/St_Johns"},
]


@pytest.mark.parametrize(("since", "seed"), [(SPRING, 1), (AUTUMN, 2)])
async def test_sql_equals_plain_python(conn: Conn, since: datetime, seed: int) -> None:
    """Every figure of all three, in weeks of changing clocks, with every kind of filter."""
    await fill(conn, since, seed)

    for changes in FILTERS:
        what = criteria(since, **changes)
        oracle = Oracle(await callstats.load(conn, what.since, what.until), what)
        for kind in KINDS:
            assert await counted(conn, kind, what) == getattr(oracle, kind)(), (kind, changes)


async def test_the_peak_of_a_crowded_hour_equals_plain_python(conn: Conn) -> None:
    """When many minutes could hold it, and calls begin and end within one."""
    maker = CallGenerator(3, SPRING, 1 / 24, numbers=50)
    for made in maker.batches(1_500):
        await callstats.store(conn, made)
    what = criteria(SPRING)
    oracle = Oracle(await callstats.load(conn, what.since, what.until), what)

    found = await counted(conn, "overview", what)

    assert found["peak"] == oracle.overview()["peak"] > 50


async def test_no_calls_are_counted_as_zero(conn: Conn) -> None:
    """An empty table has counts, too."""
    what = criteria(AUTUMN)

    row = await stats.overview(conn, what)

    assert (row.calls, row.waits.offered, row.talks.talked, row.talks.talk_ms) == (0, 0, 0, 0)
    assert row.waits.wait is None
    assert await stats_queues.read(conn, what, limit=10) == []
    assert await stats_agents.read(conn, what, limit=10) == []


async def test_the_sixth_run_is_planned_for_its_arguments(conn: Conn) -> None:
    """PostgreSQL's generic plan is 2 to 3 times slower: it is not used."""
    async with conn.transaction():
        await stats.tune_planner(conn)
        for _ in range(7):
            await stats.overview(conn, criteria(SPRING))
        plans = await conn.fetchrow(
            "SELECT sum(generic_plans) AS any, sum(custom_plans) AS own"
            " FROM pg_prepared_statements WHERE statement LIKE $1",
            "%-- stats.overview%",
        )

    assert plans is not None
    assert (plans["any"], plans["own"]) == (0, 7)
