"""Jobs: ordered in the caller's transaction, run at least once, by one worker at a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gateway import topics
from gateway.jobs import (
    Again,
    Doorbell,
    Job,
    JobKind,
    Outcome,
    Queue,
    RateBudget,
    enqueue,
)
from gateway.jobs import worker as worker_module
from gateway.jobs.queries import claims, dead
from tests.support.desk import eventually
from tests.support.job_tools import KIND, QUEUE, Jobs, new


async def test_a_job_of_a_transaction_that_rolls_back_never_was(jobs: Jobs) -> None:
    """The order is a row of the caller's transaction."""
    async with jobs.connect() as conn:
        transaction = conn.transaction()
        await transaction.start()
        assert await enqueue(conn, [new()]) == 0
        await transaction.rollback()

    assert await jobs.claim() == []


async def test_every_job_runs_and_is_gone(jobs: Jobs) -> None:
    """More jobs than slots, on two workers: each runs, none twice, and no row is left."""
    ran: list[int] = []

    async def run(job: Job) -> None:
        ran.append(job.payload["number"])

    await jobs.order(*(new(payload={"number": number}) for number in range(100)))
    async with jobs.worker(run, slots=8), jobs.worker(run, slots=8):
        await eventually(jobs.empty)

    assert sorted(ran) == list(range(100))


async def test_jobs_begin_in_the_order_in_which_they_are_due(jobs: Jobs) -> None:
    """One slot: the earliest first, whichever was ordered first."""
    ran: list[int] = []

    async def run(job: Job) -> None:
        ran.append(job.payload["number"])

    now = datetime.now(UTC)
    await jobs.order(
        *(new(payload={"number": n}, run_at=now - timedelta(seconds=n)) for n in (2, 5, 1, 4, 3))
    )
    async with jobs.worker(run, slots=1):
        await eventually(jobs.empty)

    assert ran == [5, 4, 3, 2, 1]


async def test_a_ring_starts_a_job_long_before_the_next_look(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's own transactions wake it, and so does what another node published."""
    monkeypatch.setattr(worker_module, "POLL_S", 3_600)
    ran = asyncio.Queue[int]()

    async def run(job: Job) -> None:
        ran.put_nowait(job.id)

    here, elsewhere = Doorbell(jobs.rung.extend), Doorbell(jobs.rung.extend)
    async with jobs.worker(run, doorbell=here):
        here.ring(await jobs.order(new()))
        await ran.get()
        elsewhere.ring(await jobs.order(new()))
        here.heard(jobs.rung[-1])
        await ran.get()

    assert {one.topic for one in jobs.rung} == {topics.JOBS}


async def test_a_job_that_is_due_later_is_found_without_a_ring(jobs: Jobs) -> None:
    """Each look says when the next job is due."""
    ran = asyncio.Event()

    async def run(_job: Job) -> None:
        ran.set()

    await jobs.order(new(after_s=0.3))
    before = await jobs.look()
    async with jobs.worker(run):
        await ran.wait()

    assert before.jobs == []
    assert before.next_s is not None
    assert 0 < before.next_s <= 0.3


async def test_a_kind_that_a_worker_does_not_know_is_left_to_others(jobs: Jobs) -> None:
    """In a rolling upgrade the older worker takes what it knows, past what it does not."""
    ran: list[str] = []

    async def run(job: Job) -> None:
        ran.append(job.kind)

    await jobs.order(*(new(kind="tests.newer") for _ in range(20)), new())
    older = jobs.worker(run, slots=2)
    async with older:
        await eventually(lambda: ran)
    newer = [job.kind for job in (await jobs.look(room=99, kind="tests.newer")).jobs]

    assert ran == [KIND]
    assert newer == ["tests.newer"] * 20
    assert [row["attempts"] for row in await jobs.rows()] == [1] * 20


async def test_a_full_queue_holds_up_no_other(jobs: Jobs) -> None:
    """Each queue has its share of the slots: one whose jobs hang fills its own."""
    hang = asyncio.Event()
    ran = asyncio.Event()

    async def run(job: Job) -> None:
        await hang.wait() if job.queue == "slow" else ran.set()

    kinds = [JobKind("slow.run", "slow", run), JobKind(KIND, QUEUE, run)]
    queues = [Queue("slow", 0.5), Queue(QUEUE, 0.5)]
    await jobs.order(*(new(kind="slow.run", queue="slow") for _ in range(50)), new())
    async with jobs.worker(run, kinds=kinds, queues=queues, slots=4):
        await ran.wait()
        claimed = [row for row in await jobs.rows() if row["claimed_until"]]
        hang.set()

    assert len(claimed) <= 3


async def test_a_budget_bounds_what_is_claimed(jobs: Jobs) -> None:
    """Jobs beyond the rate stay in the table, for whoever has budget."""
    ran: list[int] = []

    async def run(job: Job) -> None:
        ran.append(job.id)

    stopped = RateBudget(1, burst=3, now=lambda: 0.0)
    await jobs.order(*(new() for _ in range(10)))
    async with jobs.worker(run, queues=[Queue(QUEUE, 1.0, stopped)], slots=10):
        await eventually(lambda: len(ran) == 3)
    rows = await jobs.rows()

    assert len(rows) == 7
    assert {row["attempts"] for row in rows} == {0}


async def test_a_job_goes_on_with_what_is_left(jobs: Jobs) -> None:
    """`Again` is no failure, however often: a long sweep goes portion by portion."""
    seen: list[int] = []

    async def run(job: Job) -> Outcome | None:
        seen.append(job.payload["left"])
        assert job.failures == 1
        return Again({"left": job.payload["left"] - 1}) if job.payload["left"] else None

    await jobs.order(new("sweep", payload={"left": 20}))
    async with jobs.worker(run):
        await eventually(jobs.empty)

    assert seen == list(range(20, -1, -1))


async def test_whoever_lost_its_lease_changes_nothing(jobs: Jobs) -> None:
    """Each way to end a claim names its attempt; another worker has the next one."""
    await jobs.order(new())
    [mine] = await jobs.claim(lease_s=-1)
    [others] = await jobs.claim()
    before = await jobs.rows()
    async with jobs.connect() as conn:
        await claims.finish(conn, [mine])
        await claims.finish_keyed(conn, mine)
        assert not await claims.put_back(conn, mine, after_s=None)
        assert not await dead.bury(conn, mine, "tests.failed")
        assert await claims.renew(conn, [mine], lease_s=600) == set()
        kept = await claims.renew(conn, [others], lease_s=60)
    after = await jobs.rows()

    assert kept == {others.id}
    assert others.lost == 1
    assert {**before[0], "claimed_until": 0} == {**after[0], "claimed_until": 0}
    assert await jobs.rows("dead_jobs") == []


async def test_an_attempt_that_was_not_counted_is_still_another_one(jobs: Jobs) -> None:
    """The number that guards never comes twice: neither by going on nor by giving back."""
    await jobs.order(new())
    [late] = await jobs.claim(lease_s=-1)
    for payload in (None, "{}"):
        [job] = await jobs.claim()
        async with jobs.connect() as conn:
            await claims.put_back(conn, job, after_s=0, payload=payload)
    [job] = await jobs.claim()
    async with jobs.connect() as conn:
        await claims.finish(conn, [late])

    assert [row["id"] for row in await jobs.rows()] == [job.id]


async def test_a_lease_is_renewed_while_the_job_runs(jobs: Jobs) -> None:
    """A job may take many times its lease; nobody else gets it."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def run(_job: Job) -> None:
        begun.set()
        await may_end.wait()

    await jobs.order(new())
    async with jobs.worker(run, lease_s=0.6):
        await begun.wait()
        [first] = await jobs.rows()
        await eventually(lambda: renewed(jobs, first["claimed_until"] + timedelta(seconds=1)))
        others = await jobs.claim()
        may_end.set()
        await eventually(jobs.empty)

    assert others == []


async def renewed(jobs: Jobs, until: datetime) -> bool:
    [row] = await jobs.rows()
    return bool(row["claimed_until"] > until)


async def test_a_run_whose_lease_is_lost_is_ended(jobs: Jobs) -> None:
    """Two runs of a job meet as shortly as can be: the older one is cancelled."""
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def run(_job: Job) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    await jobs.order(new())
    async with jobs.worker(run, lease_s=0.3) as worker:
        await begun.wait()
        await jobs.sql("UPDATE realtime.jobs SET attempts = attempts + 1")  # another has claimed it
        await cancelled.wait()
        await eventually(lambda: (KIND, "lost") in worker.seconds)
        [row] = await jobs.rows()

    assert row["attempts"] == 2
