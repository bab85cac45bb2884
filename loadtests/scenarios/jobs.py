"""Background jobs: how many a second, beside procrastinate; what idleness costs; how they bloat.

And events of the CRM: what publishing costs, how many a relay moves.

The product's own worker, with as many slots and connections as it has by default, on a PostgreSQL
of the benchmark's own with fsync. Jobs do nothing: measured is what a job costs besides its work.
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median
from typing import Any, cast

import structlog
import uvloop

from gateway import db, demo, job_kinds
from gateway.context import Services
from gateway.db import Conn, Pool
from gateway.embedded import start_postgres
from gateway.events.relay import Relay
from gateway.jobs import Doorbell, Job, JobKind, NewJob, Queue, Upkeep, Worker, enqueue
from gateway.settings import Settings
from loadtests import published_events
from loadtests.baselines import procrastinate_jobs
from loadtests.options import Options
from loadtests.own_database import connected, own_directory
from loadtests.queries import jobs as queries
from loadtests.queries import statements
from loadtests.report import Figure, Result

KIND, QUEUE = "bench.run", "bench"
SLOTS: int = Settings.model_fields["jobs_at_once"].default
CONNECTIONS: int = Settings.model_fields["database_pool"].default
TURNS, JOBS_A_TURN = 5, 2_000
RIVALS_PART = 5
"""procrastinate gets so many times fewer jobs in its turn: it takes as long."""
JOBS = 100_000
BATCH = 200
AHEAD = 3_000
"""So many jobs wait at most while others are ordered."""
LOOK_S = 1.0
UPKEEP_S = 15.0
"""As in production."""
IDLE_S, SETTLE_S = 60.0, 5.0
LEAST_PER_S, MOST_IDLE_PER_S, MOST_MB = 1_500, 3, 50
MOST_PER_INSERT, LEAST_RELAYED_PER_S = 2, 2_000


def run(options: Options) -> Result:
    """Start the servers, measure, remove them."""
    # The product's parts run in this process; its figures have stdout for themselves.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(
            measure(
                jobs=options.jobs or JOBS,
                jobs_a_turn=min(JOBS_A_TURN, options.jobs or JOBS),
                idle_s=options.seconds or IDLE_S,
            )
        )


async def measure(*, jobs: int, jobs_a_turn: int, idle_s: float) -> Result:
    """Return all figures."""
    failures: list[str] = []
    with own_directory() as directory, start_postgres(directory) as server:
        dsn = server.dsn()
        async with connected(dsn) as conn:
            await db.migrate(conn)
            await demo.install(conn)
        pool = await db.open_pool(dsn, application_name="jobs", max_size=CONNECTIONS)
        rates, skipped = await _rates(pool, dsn, jobs_a_turn)
        size = await _size_under_a_snapshot(pool, dsn, jobs, failures)
        idle = await _idle(pool, dsn, idle_s)
        events = await _events(pool, dsn, min(jobs, published_events.RELAYED), failures)
        await pool.close()
    ours, theirs = rates["gateway"], rates["procrastinate"]
    if ours < LEAST_PER_S:
        failures.append(f"{ours:.0f} jobs/s: fewer than {LEAST_PER_S}")
    if theirs > ours:
        failures.append(f"procrastinate: {theirs:.0f} jobs/s")
    if idle > MOST_IDLE_PER_S:
        failures.append(f"{idle:.1f} statements/s while nothing is to be done")
    if size["jobs_mb_highest"] > MOST_MB:
        failures.append(f"{size['jobs_mb_highest']:.0f} MB under a snapshot")
    return Result(
        "jobs",
        f"{SLOTS} slots, {CONNECTIONS} connections; {TURNS} turns of {jobs_a_turn:,} jobs; then "
        f"{jobs:,} jobs under one snapshot" + (f"; procrastinate: {skipped}" if skipped else ""),
        {"jobs_per_s": rates, "idle_statements_per_s": idle, **size, **events},
        failures,
    )


async def _events(pool: Pool, dsn: str, count: int, failures: list[str]) -> dict[str, Figure]:
    """Measure publishing and the relay."""
    async with connected(dsn) as conn:
        found = await published_events.publish_ratios(conn)
    relayed = await published_events.relay_per_s(pool.acquire, events=count)
    if found["publish_per_insert"] > MOST_PER_INSERT:
        failures.append(f"realtime.publish costs {found['publish_per_insert']:.2f} plain INSERTs")
    if relayed < LEAST_RELAYED_PER_S:
        failures.append(f"{relayed:.0f} events/s relayed: fewer than {LEAST_RELAYED_PER_S}")
    return {**found, "relay_per_s": relayed}


class JobsBench:
    """A worker whose jobs do nothing, and what it needs."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.ran = 0
        self._awaited = 0
        self._reached = asyncio.Event()
        self.doorbell = Doorbell()
        self.worker = Worker(
            self.connect,
            self.doorbell,
            kinds=[JobKind(KIND, QUEUE, self._nothing)],
            queues=[Queue(QUEUE, 1.0)],
            slots=SLOTS,
        )

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Conn]:
        async with self.pool.acquire() as conn:
            yield conn

    async def order(self, count: int) -> None:
        """Order jobs in batches, and ring."""
        for start in range(0, count, BATCH):
            numbers = range(start, min(count, start + BATCH))
            async with self.connect() as conn:
                due_s = await enqueue(conn, [NewJob(KIND, QUEUE, {"id": n}) for n in numbers])
            self.doorbell.ring(due_s)

    async def left(self) -> int:
        async with self.connect() as conn:
            return await queries.left(conn)

    async def until(self, ran: int) -> None:
        """Wait until so many jobs have run."""
        self._awaited = ran
        self._reached.clear()
        if self.ran < ran:
            await self._reached.wait()

    async def _nothing(self, _job: Job) -> None:
        self.ran += 1
        if self.ran == self._awaited:
            self._reached.set()


# --- jobs a second ---------------------------------------------------------------------------


async def _rates(pool: Pool, dsn: str, jobs: int) -> tuple[dict[str, Figure], str]:
    """Drain a full queue in turns with procrastinate; return jobs a second, and why it did not."""
    drains: dict[str, Callable[[], Awaitable[float]]] = {"gateway": lambda: _drain(pool, jobs)}
    took: dict[str, list[float]] = {"gateway": [], "procrastinate": []}
    if not procrastinate_jobs.is_installed():
        for _ in range(TURNS):
            took["gateway"].append(await drains["gateway"]())
        return _per_s(took, jobs), procrastinate_jobs.MISSING
    async with procrastinate_jobs.open_procrastinate(dsn, connections=CONNECTIONS) as rival:

        async def theirs() -> float:
            part = max(1, jobs // RIVALS_PART)
            await rival.order(part)
            return await rival.drain(at_once=SLOTS) * jobs / part

        drains["procrastinate"] = theirs
        for _ in range(TURNS):
            for name, drain in drains.items():
                took[name].append(await drain())
        assert rival.ran == max(1, jobs // RIVALS_PART) * TURNS
    return _per_s(took, jobs), ""


def _per_s(took: dict[str, list[float]], jobs: int) -> dict[str, Figure]:
    return {name: jobs / median(some) if some else math.nan for name, some in took.items()}


async def _drain(pool: Pool, jobs: int) -> float:
    """Order jobs, then start a worker; return the seconds until all are done and gone."""
    bench = JobsBench(pool)
    await bench.order(jobs)
    began = time.perf_counter()
    async with bench.worker:
        await bench.until(jobs)
    took = time.perf_counter() - began
    assert await bench.left() == 0
    return took


# --- under somebody else's snapshot ----------------------------------------------------------


async def _size_under_a_snapshot(
    pool: Pool, dsn: str, jobs: int, failures: list[str]
) -> dict[str, Figure]:
    """Run jobs while somebody holds a snapshot; return how large the table is, and was."""
    bench = JobsBench(pool)
    upkeep = Upkeep(bench.connect, bench.worker)
    sizes = [0]
    async with connected(dsn) as report, connected(dsn) as watching:
        await queries.hold_snapshot(report)
        began = time.perf_counter()
        async with bench.worker:
            looking = asyncio.create_task(upkeep.run(every_s=UPKEEP_S))
            ordering = asyncio.create_task(_order_ahead(bench, jobs))
            while bench.ran < jobs:
                sizes.append(await queries.table_bytes(watching))
                await asyncio.sleep(LOOK_S)
            took = time.perf_counter() - began
            await ordering
        looking.cancel()
        sizes.append(await queries.table_bytes(watching))
        held_s = await queries.held_s(report)
    if left := await bench.left():
        failures.append(f"{left} jobs are left")
    return {
        "jobs_mb_after_million": sizes[-1] / 2**20,
        "jobs_mb_highest": max(sizes) / 2**20,
        "jobs_under_snapshot": jobs,
        "snapshot_s": held_s,
        "jobs_per_s_under_snapshot": jobs / took,
    }


async def _order_ahead(bench: JobsBench, jobs: int) -> None:
    for start in range(0, jobs, BATCH):
        await bench.until(start - AHEAD)
        await bench.order(min(BATCH, jobs - start))


# --- idle ------------------------------------------------------------------------------------


async def _idle(pool: Pool, dsn: str, seconds: float) -> float:
    """Return how many statements a second a worker needs that has nothing to do.

    With all kinds of the product and their schedules, whose runs find nothing, and a relay.
    """
    services = Services(pool, lambda _: None, cast("Any", None), cast("Any", None))
    settings = Settings(message_retention_days=365)
    worker = Worker(
        services.connection,
        services.doorbell,
        kinds=job_kinds.kinds(services, settings),
        queues=job_kinds.QUEUES,
        planned=job_kinds.schedules(settings),
        slots=SLOTS,
    )
    async with connected(dsn) as conn, worker:
        relay = Relay(services.connection, services.publish, poll_s=settings.event_poll_s)
        beside = [Upkeep(services.connection, worker).run(), relay.run(), relay.watch()]
        running = [asyncio.create_task(loop) for loop in beside]
        if not await statements.can_count(conn):
            return math.nan
        await asyncio.sleep(min(SETTLE_S, seconds))
        before = await statements.count(conn)
        await asyncio.sleep(seconds)
        found = (await statements.count(conn) - before) / seconds
        for task in running:
            task.cancel()
    return found
