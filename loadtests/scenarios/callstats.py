"""The cost of statistics over a million calls of 90 days: in SQL, cached, and in Python instead.

It runs the product's functions on a PostgreSQL and a Redis of its own, and compares every figure of
SQL with the one that plain Python computes from all rows.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

from redis.asyncio import Redis

from gateway.auth import Identity
from gateway.auth.permissions import STATS_VIEW
from gateway.context import Context, Services
from gateway.db import Conn
from gateway.embedded import start_valkey
from gateway.protocol import Employee
from gateway.telephony.stats import pauses, stats
from gateway.telephony.stats.counts import AgentCounts, OverviewCounts, QueueCounts
from gateway.telephony.stats.queries import stats as queries
from gateway.telephony.stats.queries import stats_agents, stats_queues
from gateway.telephony.stats.queries.stats import StatsFilter
from gateway.telephony.stats.stats import Kind, StatsRequest
from gateway.telephony.stats.stats_cache import RedisStatsCache
from loadtests.call_oracle import Oracle
from loadtests.generated_calls import CallGenerator
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_database import OneConnection, own_database, own_directory
from loadtests.queries import callstats
from loadtests.report import Result

UNTIL = datetime(2026, 4, 15, tzinfo=UTC)
"""The clocks of Kyiv changed within the 90 days before."""
UTC_MAX = datetime.max.replace(tzinfo=UTC)
KINDS: tuple[Kind, ...] = ("overview", "agents", "queues")
TIMES_FASTER = 10.0
CACHED_MS = 3.0


@dataclass(frozen=True, slots=True)
class CallVolume:
    """How many calls there are, over how many days, and how often is measured."""

    calls: int = 1_000_000
    days: int = 90
    runs: int = 3


def run(_options: Options) -> Result:
    """Load a database, measure, remove it."""
    return asyncio.run(measure(CallVolume()))


async def measure(size: CallVolume) -> Result:
    """Request all three, uncached and cached, and have Python compute the same."""
    async with own_database() as conn:
        maker = CallGenerator(1, UNTIL - timedelta(days=size.days), size.days, size.calls // 5)
        for made in maker.batches(size.calls):
            await callstats.store(conn, made)
        await callstats.store(conn, maker.pauses(size.calls // 20))
        await callstats.settle(conn)
        return await _measure(conn, size)


async def _measure(conn: Conn, size: CallVolume) -> Result:
    criteria = StatsFilter(
        since=UNTIL - timedelta(days=size.days), until=UNTIL, tz="Europe/Kyiv", direction=None,
        queue=None, agent_id=None, threshold_ms=20_000, short_ms=5_000,
    )  # fmt: skip
    before_kib = _peak_kib()
    for kind in KINDS:  # warm, and what it costs this process before rows are loaded into it
        await stats.compute(conn, kind, StatsRequest(criteria, "sl6"))
    counted_kib = _peak_kib() - before_kib
    cached = await _cached(conn, criteria)
    ms, failures = await _compared(conn, criteria, size.runs)
    python = {kind: ms[f"{kind}_in_python"] for kind in KINDS}
    ms |= {"cached": cached, "in_python": sum(python.values())}
    failures += [
        f"{kind}: only {python[kind] / ms[kind]:.1f} times faster than Python"
        for kind in KINDS
        if python[kind] < TIMES_FASTER * ms[kind]
    ]
    if ms["cached"] > CACHED_MS:
        failures.append(f"cached: {ms['cached']:.1f} ms")
    memory = {"counting": counted_kib / 1024, "in_python": (_peak_kib() - before_kib) / 1024}
    return Result(
        "callstats",
        f"{size.calls:,} calls over {size.days} days; each statistic by itself, SQL and "
        f"Python by turns, the best of {size.runs} each; in Python with loading its rows",
        {
            "ms": {name: round(value, 2) for name, value in ms.items()},
            "mib": {name: round(value, 1) for name, value in memory.items()},
        },
        failures,
    )


async def _compared(
    conn: Conn, criteria: StatsFilter, runs: int
) -> tuple[dict[str, float], list[str]]:
    """Return the best times: SQL and Python by turns, as a machine's speed varies by the minute."""
    best: dict[str, float] = {}
    failures: list[str] = []
    request = StatsRequest(criteria, "sl6")
    for _ in range(runs):
        began = time.perf_counter()
        rows = await callstats.load(conn, criteria.since, criteria.until)
        loaded_ms = (time.perf_counter() - began) * 1_000
        for kind in KINDS:
            gc.collect()
            took = {str(kind): await _timed(partial(stats.compute, conn, kind, request))}
            began = time.perf_counter()
            expected = getattr(Oracle(rows, criteria), kind)()
            took[f"{kind}_in_python"] = loaded_ms + (time.perf_counter() - began) * 1_000
            if await counted(conn, kind, criteria) != expected:
                failures.append(f"{kind}: SQL and Python disagree")
            best |= {name: min(ms, best.get(name, ms)) for name, ms in took.items()}
        del rows, expected  # otherwise the next round needs memory for both
    return best, failures


async def counted(conn: Conn, kind: Kind, criteria: StatsFilter) -> dict[Any, Any]:
    """Return the figures of SQL in the shape of the oracle's."""
    async with conn.transaction():
        await queries.tune_planner(conn)
        by_queue = kind == "queues" or (kind == "overview" and criteria.queue is not None)
        paused = await pauses.read(conn, criteria, by_queue=by_queue)
        if kind == "overview":
            overview = _plain_overview(await queries.overview(conn, criteria))
            return overview | {"wrap_ms": paused.wrap_up_ms(criteria.queue)}
        if kind == "queues":
            rows = await stats_queues.read(conn, criteria, limit=1_000)
            return {
                row.queue: _plain(row) | {"wrap_ms": paused.wrap_up_ms(row.queue)} for row in rows
            }
        counts = await stats_agents.read(conn, criteria, limit=1_000, pauses=paused.pauses)
        agents = [_plain(row) for row in counts]
        return {(row.pop("employee_id"), row.pop("telephone")): row for row in agents}


def _plain(counts: OverviewCounts | QueueCounts | AgentCounts) -> dict[str, Any]:
    """Return the counts as one flat row, as the oracle has them."""
    row: dict[str, Any] = asdict(counts)
    waits, talks = row.pop("waits", {}), row.pop("talks")
    return {**row, **waits, **talks}


def _plain_overview(counts: OverviewCounts) -> dict[str, Any]:
    row = _plain(counts)
    row["hours"] = {
        (cell["weekday"], cell["hour"]): (cell["calls"], round(cell["hours"], 6))
        for cell in row["hours"]
    }
    return row


async def _cached(conn: Conn, criteria: StatsFilter) -> float:
    """Return the median time in ms of a request whose answer is cached."""
    with own_directory() as directory, start_valkey(directory) as server:
        async with Redis.from_url(server.url) as redis:
            services = OneConnection(conn, RedisStatsCache(redis))
            person = Employee(id=1, name="Director")
            identity = Identity(person, frozenset({STATS_VIEW}), UTC_MAX)
            ctx = Context(identity, cast("Services", services))
            took = Latencies()
            for kind in KINDS:
                await stats.read(ctx, kind, StatsRequest(criteria, "sl6"))
                for _ in range(100):
                    began = time.perf_counter()
                    await stats.read(ctx, kind, StatsRequest(criteria, "sl6"))
                    took.add(time.perf_counter() - began)
            return took.percentile(0.5)


async def _timed(work: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1_000


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
