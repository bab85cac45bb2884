"""Jobs that fail, expire, take too long or are stopped: again, dropped or dead, never lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gateway.audit import Act, Origin
from gateway.jobs import (
    Again,
    Dead,
    Failed,
    Job,
    JobKind,
    Outcome,
    Postponed,
    backoff,
)
from gateway.jobs import worker as worker_module
from gateway.jobs.queries import dead
from tests.support.desk import eventually
from tests.support.job_tools import KIND, QUEUE, Jobs, new


async def test_a_closed_queue_uses_no_attempts(jobs: Jobs) -> None:
    """A provider that asks for patience gets it; the job is as fresh as before."""
    ran: list[int] = []

    async def run(job: Job) -> Outcome:
        ran.append(job.id)
        return Postponed("tests.busy", after_s=600)

    await jobs.order(*(new() for _ in range(5)))
    async with jobs.worker(run, slots=1) as worker:
        await eventually(lambda: ("tests.run", "postponed") in worker.seconds)
    rows = await jobs.rows()

    assert len(ran) == 1
    assert [row["attempts"] - row["uncounted"] for row in rows] == [0] * 5


async def test_a_failure_waits_longer_each_time_and_is_dead_in_the_end(jobs: Jobs) -> None:
    """The table of back-offs, with a fifth of jitter; then the job is moved, with its reason."""
    waits: list[float] = []

    async def run(_job: Job) -> Outcome:
        return Failed("tests.failed")

    await jobs.order(new(payload={"id": 7}))
    kinds = [JobKind(KIND, QUEUE, run, attempts=9)]
    for failures in range(1, 10):
        async with jobs.worker(run, kinds=kinds):
            await eventually(lambda: settled(jobs))
        for row in await jobs.rows():
            assert row["attempts"] - row["uncounted"] == failures
            [left] = await jobs.sql(
                "UPDATE realtime.jobs SET run_at = now() "
                "RETURNING (SELECT extract(epoch FROM run_at - now()) FROM realtime.jobs) AS s"
            )
            waits.append(float(left["s"]))
    [row] = await jobs.rows("dead_jobs")

    steps = [*backoff.STEPS_S, backoff.STEPS_S[-1]]
    assert len(waits) == len(steps)
    for waited, step in zip(waits, steps, strict=True):
        assert step * 0.8 - 10 <= waited <= step * 1.2
    assert (row["error_code"], row["attempts"], row["payload"]) == ("tests.failed", 9, {"id": 7})
    assert await jobs.empty()


async def settled(jobs: Jobs) -> bool:
    """Say whether no job is due or in work."""
    return not await jobs.sql(
        "SELECT FROM realtime.jobs WHERE claimed_until IS NOT NULL OR run_at <= now()"
    )


async def test_a_job_that_expires_is_tried_until_then_and_dropped(jobs: Jobs) -> None:
    """However often it failed: the time counts. It waits no longer than that, and is not dead."""

    async def run(_job: Job) -> Outcome:
        return Failed("tests.failed")

    expires_at = datetime.now(UTC) + timedelta(hours=1)
    await jobs.order(new(expires_at=expires_at))
    await jobs.sql("UPDATE realtime.jobs SET attempts = 50")
    async with jobs.worker(run) as worker:
        await eventually(lambda: worker.seconds)
        [row] = await jobs.rows()
        assert row["run_at"] == expires_at
        await jobs.sql("UPDATE realtime.jobs SET expires_at = now(), run_at = now()")
        await eventually(jobs.empty)

    assert worker.seconds[KIND, "expired"].count == 1
    assert await jobs.rows("dead_jobs") == []


@pytest.mark.parametrize("unstorable", [{"text": "\ud800"}, {"text": "x" * 5_000}, {"a": {1, 2}}])
async def test_a_payload_that_cannot_be_stored_is_a_failure(
    jobs: Jobs, unstorable: dict[str, object]
) -> None:
    """The job waits as after any other failure; the slot is free."""

    async def run(_job: Job) -> Outcome:
        return Again(unstorable)

    await jobs.order(new())
    async with jobs.worker(run) as worker:
        await eventually(lambda: (KIND, "failed") in worker.seconds)
    [row] = await jobs.rows()

    assert row["claimed_until"] is None
    assert row["attempts"] - row["uncounted"] == 1


async def test_an_error_nobody_expects_is_a_failure(jobs: Jobs) -> None:
    """Its name is what the dead letter says."""

    async def run(_job: Job) -> Outcome:
        raise ZeroDivisionError

    await jobs.order(new())
    async with jobs.worker(run, kinds=[JobKind(KIND, QUEUE, run, attempts=1)]) as worker:
        await eventually(jobs.empty)

    assert [row["error_code"] for row in await jobs.rows("dead_jobs")] == ["ZeroDivisionError"]
    assert worker.dead == {KIND: 1}


async def test_a_job_that_takes_too_long_is_ended(jobs: Jobs) -> None:
    """Its time is bounded by its kind."""

    async def run(_job: Job) -> Outcome | None:
        await asyncio.Event().wait()
        return None

    await jobs.order(new())
    kinds = [JobKind(KIND, QUEUE, run, attempts=1, timeout_s=0.05)]
    async with jobs.worker(run, kinds=kinds):
        await eventually(jobs.empty)

    assert [row["error_code"] for row in await jobs.rows("dead_jobs")] == ["timeout"]


async def test_stopping_is_no_failure(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that does not end in time is given back at its old place, its attempt not counted."""
    monkeypatch.setattr(worker_module, "STOP_S", 0.1)
    begun = asyncio.Event()

    async def run(_job: Job) -> None:
        begun.set()
        await asyncio.Event().wait()

    await jobs.order(new())
    [before] = await jobs.rows()
    async with jobs.worker(run):
        await begun.wait()
    [row] = await jobs.rows()

    assert row["run_at"] == before["run_at"]
    assert (row["claimed_until"], row["attempts"] - row["uncounted"]) == (None, 0)
    assert [job.id for job in await jobs.claim()] == [row["id"]]


async def test_a_job_that_can_end_in_time_ends(jobs: Jobs) -> None:
    """Stopping waits for what is nearly done."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def run(_job: Job) -> None:
        begun.set()
        await may_end.wait()

    await jobs.order(new())
    worker = jobs.worker(run)
    await worker.__aenter__()
    await begun.wait()
    stopping = asyncio.create_task(worker.__aexit__())
    await asyncio.sleep(0)
    may_end.set()
    await stopping

    assert await jobs.empty()


async def test_dead_jobs_do_not_slow_down_the_living(jobs: Jobs) -> None:
    """They are in a table of their own, with all that a person needs to see."""

    async def run(_job: Job) -> Outcome:
        return Dead("tests.refused")

    await jobs.order(new(payload={"id": 1}), new("key"))
    async with jobs.worker(run):
        await eventually(jobs.empty)
    async with jobs.connect() as conn:
        rows = await dead.page(conn, limit=10)
        assert await dead.page(conn, kind="tests.other", limit=10) == []
        act = Act("job.retry", Origin("cli"))
        assert await dead.retry(conn, rows[0].id, audit=act) == KIND
        assert await dead.retry(conn, rows[0].id, audit=act) is None
        assert await dead.discard(conn, rows[1].id, audit=act) == KIND
        assert await dead.discard(conn, rows[1].id, audit=act) is None
        assert await conn.fetchval("SELECT count(*) FROM realtime.audit") == 2
    [job] = await jobs.claim()

    assert [row.error_code for row in rows] == ["tests.refused"] * 2
    assert job.failures == 1
    assert (job.key, job.payload) == (rows[0].dedupe_key, rows[0].payload)
    assert await jobs.rows("dead_jobs") == []
