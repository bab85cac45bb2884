"""The table of jobs stays small and is watched, whatever others do to the database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from gateway import db
from gateway.jobs import Job, Queue, enqueue
from gateway.jobs import upkeep as upkeep_module
from gateway.jobs.queries import claims, upkeep
from gateway.jobs.upkeep import Upkeep
from tests.support.desk import eventually
from tests.support.job_tools import QUEUE, Jobs, new


async def nothing(_job: Job) -> None:
    """Do nothing."""


def upkeep_of(jobs: Jobs) -> Upkeep:
    worker = jobs.worker(nothing, queues=[Queue(QUEUE, 1.0), Queue("empty", 1.0)])
    return Upkeep(jobs.connect, worker)


async def table_bytes(jobs: Jobs) -> int:
    [row] = await jobs.sql("SELECT pg_total_relation_size('realtime.jobs') AS bytes")
    return int(row["bytes"])


async def run_and_forget(jobs: Jobs, count: int) -> None:
    """Let so many jobs be ordered, claimed and done, as workers do."""
    for start in range(0, count, 1_000):
        await jobs.order(*(new() for _ in range(start, min(count, start + 1_000))))
        done = await jobs.claim(room=1_000)
        async with jobs.connect() as conn:
            await claims.finish(conn, done)


async def test_what_waits_is_counted_by_queue(jobs: Jobs) -> None:
    """What is due and nobody has: neither later ones, nor those in work; up to a bound."""
    now = datetime.now(UTC)
    await jobs.order(*(new(run_at=now - timedelta(seconds=90)) for _ in range(5)))
    await jobs.order(new(after_s=600), new(kind="tests.unknown"))
    await jobs.claim(room=2)
    async with jobs.connect() as conn:
        found = {one.queue: one for one in await upkeep.backlog(conn, [QUEUE, "no"], limit=100)}
        bounded = await upkeep.backlog(conn, [QUEUE], limit=3)
        kinds = {one.kind: one for one in await upkeep.by_kind(conn)}

    assert found[QUEUE].waiting == 4
    assert 90 <= found[QUEUE].oldest_s < 200
    assert (found["no"].waiting, found["no"].oldest_s) == (0, 0)
    assert bounded[0].waiting == 3
    of_tests = kinds["tests.run"]
    assert (of_tests.due, of_tests.later, of_tests.in_work) == (3, 1, 2)
    assert kinds["tests.unknown"].due == 1


async def test_the_table_is_compacted_under_somebody_elses_snapshot(
    database: str, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report of the CRM keeps rows that are gone from being vacuumed; jobs stay as they are."""
    monkeypatch.setattr(upkeep_module, "COMPACT_BYTES", 500_000)
    report = await db.connect(database, application_name="report")
    await report.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await report.fetch("SELECT count(*) FROM crm.employees")
    await run_and_forget(jobs, 4_000)
    await jobs.order(new("waits", payload={"id": 1}), new(after_s=60))
    [held] = await jobs.claim()
    before = await jobs.rows()
    full = await table_bytes(jobs)
    await jobs.sql("VACUUM realtime.jobs")

    assert await table_bytes(jobs) >= full > 500_000
    await upkeep_of(jobs).look()
    assert await table_bytes(jobs) < 200_000
    assert await jobs.rows() == before
    async with jobs.connect() as conn:  # who holds a job holds it still
        await claims.finish_keyed(conn, held)
    await jobs.order(new("waits"))
    assert len({row["id"] for row in [*before, *await jobs.rows()]}) == 3
    await report.close()


async def test_a_table_of_many_jobs_is_left_alone(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rewriting it would hold up everybody."""
    monkeypatch.setattr(upkeep_module, "COMPACT_BYTES", 1)
    monkeypatch.setattr(upkeep_module, "COMPACT_ROWS", 10)
    await run_and_forget(jobs, 500)
    await jobs.order(*(new() for _ in range(11)))
    before = await table_bytes(jobs)
    await upkeep_of(jobs).look()

    assert await table_bytes(jobs) == before
    assert len(await jobs.rows()) == 11


async def test_compacting_waits_for_nobody_and_loses_no_order(jobs: Jobs) -> None:
    """An open transaction with an order puts it off; those who order at the same time lose none."""
    async with jobs.connect() as ordering, ordering.transaction():
        await enqueue(ordering, [new()])
        async with jobs.connect() as conn:
            with pytest.raises(asyncpg.LockNotAvailableError):
                await upkeep.compact(conn, most=1_000)

    async def order(number: int) -> None:
        await jobs.order(new(f"job {number}", payload={"number": number}))

    async def compact() -> None:
        for _ in range(20):
            async with jobs.connect() as conn:
                try:
                    await upkeep.compact(conn, most=1_000)
                except asyncpg.LockNotAvailableError:
                    continue

    await asyncio.gather(compact(), *(order(number) for number in range(100)))
    assert len(await jobs.rows()) == 101


async def test_work_goes_on_while_the_table_is_compacted(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every job runs once, as if nothing was."""
    monkeypatch.setattr(upkeep_module, "COMPACT_BYTES", 1)
    ran: list[int] = []

    async def run(job: Job) -> None:
        ran.append(job.payload["number"])

    async with jobs.worker(run) as worker:
        looking = asyncio.create_task(Upkeep(jobs.connect, worker).run(every_s=0.01))
        for start in range(0, 400, 20):
            await jobs.order(*(new(payload={"number": start + n}) for n in range(20)))
        await eventually(lambda: len(ran) >= 400, timeout_s=60)
        looking.cancel()

    assert sorted(ran) == list(range(400))


async def test_the_table_is_vacuumed_when_more_is_gone_than_there(jobs: Jobs) -> None:
    """Without waiting for autovacuum, whose workers may be elsewhere for hours."""
    await jobs.sql("ALTER TABLE realtime.jobs SET (autovacuum_enabled = false)")
    await run_and_forget(jobs, 1_500)
    await eventually(lambda: has_dead_rows(jobs))

    async def vacuumed() -> bool:  # what PostgreSQL counts comes a moment later
        await upkeep_of(jobs).look(vacuum=True)
        return await was_vacuumed(jobs)

    await eventually(vacuumed)
    await jobs.sql("ALTER TABLE realtime.jobs RESET (autovacuum_enabled)")


async def has_dead_rows(jobs: Jobs) -> bool:
    [row] = await jobs.sql("SELECT pg_stat_get_dead_tuples('realtime.jobs'::regclass) AS n")
    return bool(row["n"] > 1_000)


async def was_vacuumed(jobs: Jobs) -> bool:
    [row] = await jobs.sql(
        "SELECT vacuum_count, n_dead_tup FROM pg_stat_user_tables"
        " WHERE relid = 'realtime.jobs'::regclass"
    )
    return bool(row["vacuum_count"]) and row["n_dead_tup"] < 100


async def test_the_planner_is_told_of_a_flood(jobs: Jobs) -> None:
    """At the next look, not when autovacuum comes; nothing is analyzed without a flood."""
    await jobs.sql("ALTER TABLE realtime.jobs SET (autovacuum_enabled = false)")
    await upkeep_of(jobs).look()
    before = await analyzed(jobs)
    await jobs.order(*(new() for _ in range(1_100)))

    async def told() -> bool:
        await upkeep_of(jobs).look()
        return await analyzed(jobs) == 1_100

    await eventually(told)
    await jobs.sql("ALTER TABLE realtime.jobs RESET (autovacuum_enabled)")

    assert before <= 0


async def analyzed(jobs: Jobs) -> float:
    [row] = await jobs.sql("SELECT reltuples FROM pg_class WHERE oid = 'realtime.jobs'::regclass")
    return float(row["reltuples"])


async def test_jobs_that_no_version_knows_are_dead_after_a_week(jobs: Jobs) -> None:
    """A newer worker would have taken them; a person can order them again."""
    ago = datetime.now(UTC) - timedelta(days=8)
    await jobs.order(new(kind="tests.gone", run_at=ago), new(kind="tests.newer"), new(run_at=ago))
    await jobs.sql(
        "INSERT INTO realtime.dead_jobs"
        " (error_code, queue, kind, created_at, attempts, lost, payload, died_at)"
        " SELECT 'old', 'q', 'a.b', now(), 1, 0, '{}'::json, now() - make_interval(days => days)"
        " FROM (VALUES (29), (31)) AS d (days)"
    )
    await upkeep_of(jobs).look(vacuum=True)

    assert [row["kind"] for row in await jobs.rows()] == ["tests.newer", "tests.run"]
    letters = {row["kind"]: row["error_code"] for row in await jobs.rows("dead_jobs")}
    assert letters == {"tests.gone": "unknown_kind", "a.b": "old"}


async def test_kinds_that_only_other_workers_run_are_not_unknown(jobs: Jobs) -> None:
    """A worker without a place for files does not bury the jobs of those that have one."""
    ago = datetime.now(UTC) - timedelta(days=8)
    await jobs.order(new(kind="tests.elsewhere", run_at=ago), new(kind="tests.gone", run_at=ago))
    here = Upkeep(jobs.connect, jobs.worker(nothing), known=["tests.elsewhere"])
    await here.look(vacuum=True)

    assert [row["kind"] for row in await jobs.rows()] == ["tests.elsewhere"]
    assert [row["kind"] for row in await jobs.rows("dead_jobs")] == ["tests.gone"]


async def test_an_outage_delays_the_watch(jobs: Jobs) -> None:
    """The loop outlives any error."""
    upkeep_loop = upkeep_of(jobs)
    await jobs.order(new())
    broken = jobs.pool
    asked = 0

    class Broken:
        def acquire(self) -> object:
            nonlocal asked
            asked += 1
            raise ValueError("nobody expects this")

    jobs.pool = Broken()  # type: ignore[assignment]
    loop = asyncio.create_task(upkeep_loop.run(every_s=0.001))
    await eventually(lambda: asked > 3)
    jobs.pool = broken
    await eventually(lambda: upkeep_loop.backlogs)
    loop.cancel()

    assert upkeep_loop.backlogs[0].waiting == 1
