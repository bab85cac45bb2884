"""Periodic jobs: one of all workers orders a run, whoever is there and whatever was missed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, time, timedelta

import pytest

from gateway.jobs import Job, Schedule, schedules
from gateway.jobs.queries import claims
from tests.support.desk import eventually
from tests.support.job_tools import KIND, QUEUE, Jobs


async def declare(jobs: Jobs, *planned: Schedule) -> None:
    async with jobs.connect() as conn:
        await schedules.declare(conn, planned)


async def fire(jobs: Jobs, *planned: Schedule) -> int:
    async with jobs.connect() as conn:
        return await schedules.fire(conn, planned, dict.fromkeys((KIND, "tests.other"), QUEUE))


async def test_of_many_workers_one_orders_each_run(jobs: Jobs) -> None:
    """A schedule that is new runs at once; missed runs are one."""
    hourly = Schedule(KIND, every_s=3_600)
    await declare(jobs, hourly)
    at_once = await asyncio.gather(*(fire(jobs, hourly) for _ in range(8)))
    await jobs.sql("UPDATE realtime.schedules SET next_at = next_at - interval '5 days'")
    await jobs.sql("DELETE FROM realtime.jobs")
    late = await asyncio.gather(*(fire(jobs, hourly) for _ in range(8)))
    [job] = await jobs.rows()
    [row] = await jobs.rows_of_schedules()

    assert (sum(at_once), sum(late)) == (1, 1)
    assert (job["kind"], job["queue"], job["dedupe_key"]) == (KIND, QUEUE, KIND)
    assert row["at"] < row["next_at"] <= row["at"] + timedelta(hours=1)


async def test_a_run_that_still_waits_or_works_is_not_doubled(jobs: Jobs) -> None:
    """A run takes longer than its period: it is done again afterwards, once."""
    often = Schedule(KIND, every_s=0.001)
    await declare(jobs, often)
    await fire(jobs, often)
    await fire(jobs, often)
    assert len(await jobs.claim()) == 1
    await fire(jobs, often)
    await fire(jobs, often)
    [row] = await jobs.rows()

    assert row["again_at"] is not None


async def test_a_periodic_job_comes_at_its_time_after_an_outage(jobs: Jobs) -> None:
    """It failed for hours, and its back-off is as long: its schedule waits for neither."""
    often = Schedule(KIND, every_s=60)
    await declare(jobs, often)
    await fire(jobs, often)
    [job] = await jobs.claim()
    async with jobs.connect() as conn:
        await claims.put_back(conn, job, after_s=21_600, counted=True)
    assert await fire(jobs, often) == 0
    assert await jobs.claim() == []
    await jobs.sql("UPDATE realtime.schedules SET next_at = now()")
    assert await fire(jobs, often) == 1
    [again] = await jobs.claim()

    assert (again.id, again.failures) == (job.id, 2)


async def test_a_worker_orders_only_what_it_knows(jobs: Jobs) -> None:
    """Schedules of another version are left to workers of that version, and stay as they are."""
    newer, older = Schedule("tests.other", every_s=5), Schedule(KIND, every_s=5)
    await declare(jobs, newer, older)

    assert await fire(jobs, older) == 1
    assert [row["kind"] for row in await jobs.rows()] == [KIND]


async def test_a_schedule_is_stored_once_and_begins_anew_when_it_changes(jobs: Jobs) -> None:
    """Restarts do not postpone a run; a new period holds at once."""
    await declare(jobs, Schedule(KIND, every_s=3_600))
    await fire(jobs, Schedule(KIND, every_s=3_600))
    [first] = await jobs.rows_of_schedules()
    await declare(jobs, Schedule(KIND, every_s=3_600))
    [same] = await jobs.rows_of_schedules()
    await declare(jobs, Schedule(KIND, every_s=60))
    [changed] = await jobs.rows_of_schedules()

    assert same["next_at"] == first["next_at"]
    assert changed["next_at"] <= changed["at"]
    assert changed["every_s"] == 60


async def test_a_local_date_has_one_run_also_when_the_hour_is_moved(jobs: Jobs) -> None:
    """Today's was an hour ago; the new time of day is now: it holds from tomorrow on."""
    now = datetime.now(UTC)
    if now.hour == 0:
        pytest.skip("the hour before is of another date")
    before = Schedule(KIND, at=(now - timedelta(hours=1)).time(), zone="UTC")
    after = Schedule(KIND, at=now.time(), zone="UTC")
    await declare(jobs, before)
    await jobs.sql("UPDATE realtime.schedules SET next_at = now() - interval '1 hour'")
    assert await fire(jobs, before) == 1
    await declare(jobs, after)
    await jobs.sql("UPDATE realtime.schedules SET next_at = now()")
    await jobs.sql("DELETE FROM realtime.jobs")
    await fire(jobs, after)
    [row] = await jobs.rows_of_schedules()

    assert await jobs.rows() == []
    assert row["done_on"] == now.date()
    assert row["next_at"] == after.instant(now.date() + timedelta(days=1))


async def test_workers_run_what_is_planned(jobs: Jobs) -> None:
    """Two workers, a schedule of moments: its runs come, one at a time."""
    ran, running = 0, 0

    async def run(job: Job) -> None:
        nonlocal ran, running
        running += 1
        assert (running, job.kind) == (1, KIND)
        await asyncio.sleep(0.01)
        running -= 1
        ran += 1

    planned = [Schedule(KIND, every_s=0.05)]
    async with jobs.worker(run, planned=planned), jobs.worker(run, planned=planned):
        await eventually(lambda: ran >= 5)


async def test_a_local_time_is_stored_with_its_zone(jobs: Jobs) -> None:
    """For those who look into the table."""
    await declare(jobs, Schedule(KIND, at=time(3, 30), zone="Europe/Kyiv"))
    [row] = await jobs.rows_of_schedules()

    assert (row["local_time"], row["zone"], row["every_s"]) == (time(3, 30), "Europe/Kyiv", None)
    assert row["next_at"] > row["at"]
