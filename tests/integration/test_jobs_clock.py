"""PostgreSQL's clock was ahead for a while, and is right again: nothing waits for that time."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from gateway.jobs import Schedule, schedules
from gateway.jobs.queries import claims, upkeep
from tests.support.job_tools import KIND, QUEUE, Jobs, new

AHEAD = [timedelta(days=3), timedelta(days=365), timedelta(days=36_500)]


async def look_and_fire(jobs: Jobs, schedule: Schedule) -> tuple[bool, int]:
    """Return whether a worker's look finds this schedule due, and how many runs it orders."""
    async with jobs.connect() as conn:
        found = await claims.claim(
            conn, {QUEUE: 0}, kinds=[KIND], schedules=[schedule.name], lease_s=60
        )
        assert found.next_schedule_s is not None
        fired = await schedules.fire(conn, [schedule], {KIND: QUEUE})
    return found.next_schedule_s <= 0, fired


@pytest.mark.parametrize("ahead", AHEAD)
@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(KIND, every_s=1),
        Schedule(KIND, every_s=30),
        Schedule(KIND, every_s=86_400),
        Schedule(KIND, at=time(3, 30), zone="Europe/Kyiv"),
        Schedule(KIND, at=time(0, 0), zone="Pacific/Kiritimati"),
    ],
    ids=lambda one: f"{one.every_s or one.zone}",
)
async def test_a_schedule_that_was_set_by_a_clock_ahead_runs_now(
    jobs: Jobs, schedule: Schedule, ahead: timedelta
) -> None:
    """Once, and then at its times again."""
    async with jobs.connect() as conn:
        await schedules.declare(conn, [schedule])
    wrong = datetime.now(UTC) + ahead
    next_at, done_on = schedule.next(wrong, wrong, None)
    await jobs.sql("UPDATE realtime.schedules SET next_at = $1, done_on = $2", next_at, done_on)

    assert await look_and_fire(jobs, schedule) == (True, 1)
    [row] = await jobs.rows_of_schedules()
    within = timedelta(seconds=schedule.every_s) if schedule.every_s else timedelta(days=1, hours=2)
    assert row["next_at"] <= row["at"] + within
    assert len(await jobs.rows()) == 1
    if schedule.every_s != 1:
        assert await look_and_fire(jobs, schedule) == (False, 0)


async def test_a_lease_that_a_clock_ahead_has_given_is_over(jobs: Jobs) -> None:
    """The job waits for a worker, is counted as waiting, and is claimed; a true lease holds."""
    await jobs.order(new("wrong"), new("right"))
    await jobs.claim(room=2)
    await jobs.sql(
        "UPDATE realtime.jobs SET claimed_until = now() + interval '1 year'"
        " WHERE dedupe_key = 'wrong'"
    )
    async with jobs.connect() as conn:
        [backlog] = await upkeep.backlog(conn, [QUEUE], limit=10)
        [kind] = await upkeep.by_kind(conn)
    again = await jobs.claim(room=2)

    assert backlog.waiting == 1
    assert (kind.due, kind.in_work) == (1, 1)
    assert [job.key for job in again] == ["wrong"]
    assert await jobs.claim(room=2) == []
