"""Jobs with a key: at most one waits, and no order is lost, whatever happens at the same time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncpg.transaction import Transaction

from gateway.db import Conn
from gateway.jobs import Again, Failed, Job, NewJob, Outcome, enqueue
from gateway.jobs.queries import claims, dead
from tests.support.desk import eventually
from tests.support.job_tools import KIND, Jobs, Watched, new


async def test_orders_of_a_job_that_waits_are_one_job(jobs: Jobs) -> None:
    """It runs no later than any of them asks; the first payload holds."""
    now = datetime.now(UTC)
    await jobs.order(new("room 1", payload={"number": 1}, run_at=now + timedelta(hours=2)))
    await jobs.order(new("room 1", payload={"number": 2}, run_at=now + timedelta(hours=1)))
    await jobs.order(new("room 1", payload={"number": 3}, run_at=now + timedelta(hours=3)))
    await jobs.order(new("room 1", run_at=now + timedelta(hours=5)), new("room 2"), new("room 1"))
    rows = await jobs.rows()

    assert [row["dedupe_key"] for row in rows] == ["room 1", "room 2"]
    assert rows[0]["payload"] == {"number": 1}
    assert rows[0]["run_at"] <= datetime.now(UTC)


async def test_orders_of_one_call_are_one_job_due_at_the_earliest(jobs: Jobs) -> None:
    """In whichever order they are named."""
    now = datetime.now(UTC)
    hours = [3, 1, 2]
    await jobs.order(*(new("room", run_at=now + timedelta(hours=hour)) for hour in hours))
    [row] = await jobs.rows()

    assert row["run_at"] == now + timedelta(hours=1)


async def test_a_job_that_failed_keeps_its_back_off(jobs: Jobs) -> None:
    """Orders do not make it hammer at what has just refused it."""
    await jobs.order(new("room"))
    [job] = await jobs.claim()
    async with jobs.connect() as conn:
        await claims.put_back(conn, job, after_s=600, counted=True)
    [before] = await jobs.rows()
    await jobs.order(new("room"))

    assert await jobs.rows() == [before]


@pytest.mark.parametrize(("first", "second", "expected"), [
    (None, None, None), (None, 1, None), (1, None, None), (1, 2, 2), (2, 1, 2),
])  # fmt: skip
async def test_a_job_lives_as_long_as_its_longest_order(
    jobs: Jobs, first: int | None, second: int | None, expected: int | None
) -> None:
    """An order that holds longer than the job that waits makes it hold as long."""
    now = datetime.now(UTC)

    def at(hours: int | None) -> datetime | None:
        return None if hours is None else now + timedelta(hours=hours)

    await jobs.order(new("room", expires_at=at(first)))
    await jobs.order(new("room", expires_at=at(second)))
    [row] = await jobs.rows()

    assert row["expires_at"] == at(expected)


@pytest.mark.parametrize("end", ["finish", "bury"])
async def test_a_job_ordered_while_it_runs_runs_once_more(jobs: Jobs, end: str) -> None:
    """What was true for the second order may not have been when the run looked."""
    await jobs.order(new("room"))
    [job] = await jobs.claim()
    due_s = await jobs.order(new("room", after_s=600))
    await jobs.order(new("room", after_s=1_200))
    async with jobs.connect() as conn:
        if end == "finish":
            again_s = await claims.finish_keyed(conn, job)
            assert again_s == pytest.approx(600, abs=20)
        else:
            assert await dead.bury(conn, job, "tests.failed")
    [row] = await jobs.rows()

    assert due_s == pytest.approx(600, abs=20)
    assert row["run_at"] > datetime.now(UTC) + timedelta(seconds=500)
    assert (row["again_at"], row["claimed_until"]) == (None, None)
    assert row["attempts"] == row["uncounted"] == 1
    assert len(await jobs.rows("dead_jobs")) == (end == "bury")


@pytest.mark.parametrize("outcome", [Failed("tests.failed"), Again()])
async def test_a_job_that_runs_again_anyway_needs_no_third_run(
    jobs: Jobs, outcome: Outcome
) -> None:
    """The order that came meanwhile is fulfilled by it."""
    ran = 0

    async def run(_job: Job) -> Outcome | None:
        nonlocal ran
        ran += 1
        if ran == 1:
            await jobs.order(new("room"))
            return outcome
        return None

    await jobs.order(new("room"))
    async with jobs.worker(run):
        await eventually(lambda: ran)
        if isinstance(outcome, Failed):
            await eventually(lambda: waits(jobs))
            await jobs.sql("UPDATE realtime.jobs SET run_at = now()")
        await eventually(lambda: gone(jobs))

    assert ran == 2


async def waits(jobs: Jobs) -> bool:
    return all(row["claimed_until"] is None for row in await jobs.rows())


async def gone(jobs: Jobs) -> bool:
    return not await jobs.rows()


async def test_a_claim_that_comes_before_the_end_of_the_last_is_known_keeps_its_slot(
    jobs: Jobs,
) -> None:
    """The job goes on, and is claimed while its last run waits for PostgreSQL's answer."""
    begun: list[asyncio.Event] = [asyncio.Event() for _ in range(4)]
    ran = 0

    async def run(_job: Job) -> Outcome | None:
        nonlocal ran
        begun[ran].set()
        ran += 1
        return Again() if ran < len(begun) else None

    async def hook(statement: str, moment: str) -> None:
        if (statement, moment) == ("claims.put_back", "after"):
            worker._doorbell.ring_here(0)
            await begun[ran].wait()

    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        async with jobs.connect() as conn:
            yield Watched(conn, hook)

    await jobs.order(new("room"))
    async with jobs.worker(run, connect=connect, slots=8) as worker:
        await eventually(lambda: gone(jobs))
        await eventually(lambda: not worker._in_work)

    assert ran == len(begun)
    assert worker._queues["tests"].running == 0


async def end_while_ordered(jobs: Jobs, settle: Callable[[Transaction], Awaitable[None]]) -> None:
    """End a job in work while a transaction has ordered it again, and then settle that one."""
    await jobs.order(new("room"))
    [job] = await jobs.claim()
    async with jobs.connect() as ordering, jobs.connect() as ending:
        transaction = ordering.transaction()
        await transaction.start()
        await enqueue(ordering, [new("room")])
        end = asyncio.create_task(claims.finish_keyed(ending, job))
        await eventually(lambda: waiting_for_a_lock(jobs, ending))
        await settle(transaction)
        await end


async def test_an_order_that_commits_while_its_job_ends_is_not_lost(jobs: Jobs) -> None:
    """The end waits for the transaction with the order, and reads what it left."""
    await end_while_ordered(jobs, Transaction.commit)
    [row] = await jobs.rows()

    assert (row["again_at"], row["claimed_until"]) == (None, None)


async def test_an_order_that_rolls_back_while_its_job_ends_leaves_nothing(jobs: Jobs) -> None:
    """Neither a job nor a second run."""
    await end_while_ordered(jobs, Transaction.rollback)

    assert await jobs.rows() == []


async def test_an_order_locks_its_job_until_it_is_committed(jobs: Jobs) -> None:
    """Even one that changes nothing: the run begins after it, and sees what came with it."""
    await jobs.order(new("room"))
    async with jobs.connect() as ordering, ordering.transaction():
        await enqueue(ordering, [new("room", after_s=60)])
        assert await jobs.claim() == []

    assert len(await jobs.claim()) == 1


async def test_a_locked_job_keeps_no_other_lease_from_being_renewed(jobs: Jobs) -> None:
    """Somebody's open transaction holds up the one job it is about."""
    await jobs.order(new("locked"), new("free"))
    held = await jobs.claim(room=2, lease_s=30)
    async with jobs.connect() as ordering, jobs.connect() as renewing, ordering.transaction():
        await enqueue(ordering, [new("locked")])
        kept = await claims.renew(renewing, held, lease_s=600)
    leases = {row["dedupe_key"]: row["claimed_until"] for row in await jobs.rows()}

    assert kept == {job.id for job in held}
    assert leases["free"] > leases["locked"] + timedelta(seconds=500)


async def waiting_for_a_lock(jobs: Jobs, conn: Conn) -> bool:
    [row] = await jobs.sql(
        "SELECT wait_event_type FROM pg_stat_activity WHERE pid = $1", conn.get_server_pid()
    )
    return bool(row["wait_event_type"] == "Lock")


async def test_no_order_among_many_at_once_is_lost(jobs: Jobs) -> None:
    """After every committed order of a key, a run of it begins that sees the order.

    Orders of several keys at once, some rolled back, by many connections, against two workers
    whose runs take a moment, fail and go on; seeds 0 to 2.
    """
    for seed in range(3):
        await _orders_at_once(jobs, random.Random(seed))


async def _orders_at_once(jobs: Jobs, rng: random.Random) -> None:
    keys = [f"room {number}" for number in range(5)]
    stored = dict.fromkeys(keys, 0)  # as a row of the CRM that the order is about
    seen = dict.fromkeys(keys, 0)
    running = dict.fromkeys(keys, 0)

    async def run(job: Job) -> Outcome | None:
        assert job.key is not None
        running[job.key] += 1
        assert running[job.key] == 1
        now_stored = stored[job.key]
        await asyncio.sleep(rng.random() * 0.01)
        running[job.key] -= 1
        if rng.random() < 0.2:
            return Failed("tests.failed", after_s=0.0) if rng.random() < 0.5 else Again()
        seen[job.key] = now_stored
        return None

    async def order(number: int) -> None:
        named = rng.sample(keys, rng.randint(1, 3))
        wanted = [NewJob(KIND, "tests", key=key) for key in named]
        rolls_back = rng.random() < 0.3
        await asyncio.sleep(rng.random() * 0.5)
        async with jobs.connect() as conn:
            transaction = conn.transaction()
            await transaction.start()
            await enqueue(conn, wanted)
            if rolls_back:
                await transaction.rollback()
                return
            for key in named:
                stored[key] = number
            await transaction.commit()

    async with jobs.worker(run), jobs.worker(run):
        await asyncio.gather(*(order(number) for number in range(1, 150)))
        await eventually(lambda: gone(jobs), timeout_s=60)

    assert seen == stored
    assert await jobs.rows("dead_jobs") == []
