"""Jobs of scheduled messages: each message has one in time, and none kills workers for ever."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

import pytest

from gateway.chat import schedule_worker
from gateway.chat.queries import scheduled
from gateway.context import Services
from gateway.jobs import Again, Job, JobKind, Queue
from gateway.jobs.queries import claims
from tests.support.desk import OKSANA, eventually
from tests.support.job_tools import Jobs

BATCH = schedule_worker.BATCH


def services_of(jobs: Jobs) -> Services:
    return Services(jobs.pool, list, None, None)  # type: ignore[arg-type]


async def wait(jobs: Jobs, count: int = 1, *, ago_s: float = 0.0) -> list[int]:
    """Let messages of hers have been due for so long; return their ids."""
    rows = await jobs.sql(
        """
        WITH room AS (
            INSERT INTO realtime.conversations (kind, title, last_change)
            VALUES ('group', 'Deal 17', 1) RETURNING id
        )
        INSERT INTO realtime.scheduled_messages
               (employee_id, conversation_id, client_key, text, send_at)
        SELECT $1, room.id, gen_random_uuid(), 'later', now() - make_interval(secs => $3)
          FROM room, generate_series(1, $2)
        RETURNING id
        """,
        OKSANA, count, ago_s,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def collect(jobs: Jobs, *, most: int) -> int:
    """Run the job until it is done; return after how many runs."""
    payload: dict[str, Any] = {}
    for runs in range(1, most + 1):
        job = Job(
            id=1, queue="upkeep", kind=schedule_worker.COLLECT, key=None, payload=payload,
            attempts=runs, failures=1, lost=0, expires_at=None, expired=False, traceparent=None,
        )  # fmt: skip
        outcome = await schedule_worker.collect(services_of(jobs), job)
        if outcome is None:
            return runs
        assert isinstance(outcome, Again)
        payload = dict(outcome.payload)
    pytest.fail(f"not done after {most} runs")


async def claim(jobs: Jobs, room: int = 1) -> list[Job]:
    async with jobs.connect() as conn:
        found = await claims.claim(
            conn,
            {schedule_worker.QUEUE: room},
            kinds=[schedule_worker.SEND],
            schedules=[],
            lease_s=60,
        )
    return found.jobs


async def ordered(jobs: Jobs) -> set[str]:
    return {row["dedupe_key"] for row in await jobs.rows()}


async def test_messages_that_wait_after_a_failure_keep_no_other_from_its_job(jobs: Jobs) -> None:
    """A whole batch failed and is tried again later; what is due after it is not late."""
    await wait(jobs, BATCH, ago_s=20)
    await collect(jobs, most=3)
    failed = await claim(jobs, BATCH)
    assert len(failed) == BATCH
    async with jobs.connect() as conn:
        for job in failed:
            await claims.put_back(conn, job, after_s=60, counted=True)
    before = await ordered(jobs)
    [late] = await wait(jobs)

    assert await collect(jobs, most=1) == 1
    assert await ordered(jobs) - before == {f"scheduled:{late}"}


async def test_each_batch_goes_on_after_the_last(jobs: Jobs) -> None:
    """Also when the jobs of a batch are gone at once, as of messages that somebody has claimed."""
    ids = [*await wait(jobs, BATCH + 2, ago_s=20), *await wait(jobs, BATCH, ago_s=10)]
    orders: list[set[str]] = []
    payload: dict[str, Any] = {}
    for _ in range(3):
        job = Job(
            id=1, queue="upkeep", kind=schedule_worker.COLLECT, key=None, payload=payload,
            attempts=1, failures=1, lost=0, expires_at=None, expired=False, traceparent=None,
        )  # fmt: skip
        outcome = await schedule_worker.collect(services_of(jobs), job)
        payload = dict(outcome.payload) if isinstance(outcome, Again) else {}
        orders.append(await ordered(jobs))
        await jobs.sql("DELETE FROM realtime.jobs")

    assert [len(batch) for batch in orders] == [BATCH, BATCH, 2]
    assert set.union(*orders) == {f"scheduled:{one}" for one in ids}
    assert payload == {}


async def test_a_message_that_is_due_earlier_by_now_moves_its_job(jobs: Jobs) -> None:
    """One that waits; neither one in work nor one that failed is ordered again."""
    waiting, working, failed = await wait(jobs, 3, ago_s=20)
    await collect(jobs, most=1)
    later: datetime = (await jobs.sql("SELECT now() + interval '1 hour' AS at"))[0]["at"]
    await jobs.sql("UPDATE realtime.jobs SET run_at = $1", later)
    await jobs.sql(
        "UPDATE realtime.jobs SET claimed_until = now() + interval '1 min', attempts = 1"
        " WHERE dedupe_key = $1", f"scheduled:{working}",
    )  # fmt: skip
    await jobs.sql(
        "UPDATE realtime.jobs SET attempts = 1 WHERE dedupe_key = $1", f"scheduled:{failed}"
    )
    assert await collect(jobs, most=1) == 1
    found = {row["dedupe_key"]: (row["run_at"], row["again_at"]) for row in await jobs.rows()}

    assert found[f"scheduled:{waiting}"][0] < later
    assert found[f"scheduled:{working}"] == (later, None)
    assert found[f"scheduled:{failed}"] == (later, None)


async def die_sending(jobs: Jobs) -> None:
    """Let a worker claim the job and its message, and die; both leases are over."""
    [job] = await claim(jobs)
    async with jobs.connect() as conn:
        assert await scheduled.claim(conn, int(job.payload["scheduled_id"]), lease_s=50)
    for table in ("jobs", "scheduled_messages"):
        await jobs.sql(f"UPDATE realtime.{table} SET claimed_until = now() - interval '1 s'")


async def test_a_message_that_kills_its_workers_is_given_up(jobs: Jobs) -> None:
    """Its job is dead after three of them; the message gets another, which does not send it."""
    await wait(jobs, ago_s=20)
    await collect(jobs, most=1)
    for _ in range(3):
        await die_sending(jobs)
    send = partial(schedule_worker.send, services_of(jobs))

    async def settled() -> bool:
        return not await jobs.rows()

    options: dict[str, Any] = {
        "kinds": [JobKind(schedule_worker.SEND, schedule_worker.QUEUE, send)],
        "queues": [Queue(schedule_worker.QUEUE, 1.0)],
    }
    async with jobs.worker(send, **options):
        await eventually(settled)
        assert [row["error_code"] for row in await jobs.rows("dead_jobs")] == ["lost"]
        await collect(jobs, most=1)
        await eventually(settled)
    [message] = await jobs.sql("SELECT * FROM realtime.scheduled_messages")
    await collect(jobs, most=1)

    assert (message["state"], message["failed_code"]) == ("failed", "internal")
    assert await jobs.rows() == []


async def test_a_message_is_given_up_after_its_attempts_whatever_its_job_knows(
    jobs: Jobs,
) -> None:
    """Its jobs ended without a word, such as those that took too long each time."""
    [one] = await wait(jobs, ago_s=20)
    await jobs.sql("UPDATE realtime.scheduled_messages SET attempts = $1", schedule_worker.ATTEMPTS)
    await collect(jobs, most=1)
    await jobs.sql("UPDATE realtime.jobs SET attempts = 100, uncounted = 100")
    [job] = await claim(jobs)
    assert job.payload == {"scheduled_id": one}
    assert await schedule_worker.send(services_of(jobs), job) is None
    [message] = await jobs.sql("SELECT state, failed_code FROM realtime.scheduled_messages")

    assert (message["state"], message["failed_code"]) == ("failed", "internal")


async def test_a_message_that_a_clock_ahead_has_claimed_is_sent(jobs: Jobs) -> None:
    """A true claim holds."""
    far, near = await wait(jobs, 2, ago_s=20)
    for one, until in ((far, "1 year"), (near, "40 s")):
        await jobs.sql(
            "UPDATE realtime.scheduled_messages SET claimed_until = now() + $2::text::interval"
            " WHERE id = $1", one, until,
        )  # fmt: skip
    async with jobs.connect() as conn:
        found = await scheduled.claim(conn, far, lease_s=50)
        held = await scheduled.claim(conn, near, lease_s=50)

    assert found is not None
    assert found.id == far
    assert held is None
