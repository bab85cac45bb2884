"""When periodic jobs are ordered: every so many seconds, or at a local time of day.

Worker ─▶ fire ─▶ realtime.schedules, realtime.jobs. One of all workers orders a run, as a job whose
kind and key are the schedule's name; runs that were missed are one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.db import Conn
from gateway.jobs.queries import schedules as queries
from gateway.jobs.queries.schedules import DueSchedule


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job that is ordered every `every_s`, or each day at the local time `at` in `zone`."""

    name: str
    every_s: float | None = None
    at: time | None = None
    zone: str | None = None

    def next(
        self, now: datetime, last: datetime, done_on: date | None
    ) -> tuple[datetime, date | None]:
        """Return when it is due after the run that was due at `last`, and the local date done.

        A time that the clock skips is as much later as the clock was put forward; one that it
        repeats is the first. Each local date has one run, also when zone or time are changed. What
        was stored while PostgreSQL's clock was ahead does not count.
        """
        if self.every_s is not None:
            last = min(last, now)
            missed = math.floor((now - last).total_seconds() / self.every_s)
            return last + timedelta(seconds=self.every_s * (max(0, missed) + 1)), None
        today = now.astimezone(self._zone).date()
        done = today if self.instant(today) <= now else today - timedelta(days=1)
        if done_on is not None and done_on <= today + timedelta(days=1):  # as in another zone
            done = max(done, done_on)
        following = done + timedelta(days=1)
        while self.instant(following) <= now:  # the zone has no such date
            done, following = following, following + timedelta(days=1)
        return self.instant(following), done

    def first(self, now: datetime) -> datetime:
        """Return when it is due if it never was: at once, or at the next such time."""
        return now if self.every_s is not None else self.next(now, now, None)[0]

    def instant(self, day: date) -> datetime:
        """Return the moment of this schedule's local time on a date."""
        assert self.at is not None
        # fold=0 is the first of two; in a gap it counts by the offset before: so much later.
        return datetime.combine(day, self.at.replace(fold=0), self._zone).astimezone(UTC)

    @property
    def _zone(self) -> ZoneInfo:
        assert self.zone is not None
        return ZoneInfo(self.zone)


async def declare(conn: Conn, schedules: Sequence[Schedule]) -> None:
    """Store what this worker knows; a schedule that changed begins anew."""
    now = await queries.now(conn)
    for one in schedules:
        await queries.declare(
            conn,
            one.name,
            every_s=one.every_s,
            local_time=one.at,
            zone=one.zone,
            next_at=one.first(now),
        )


async def fire(conn: Conn, schedules: Sequence[Schedule], queues: Mapping[str, str]) -> int:
    """Order the runs that are due; `queues` has the queue of each. Return how many."""
    known = {one.name: one for one in schedules}
    fired = 0
    for due in await queries.due(conn, [*known]):
        fired += await _fire(conn, known[due.name], due, queues[due.name])
    return fired


async def _fire(conn: Conn, schedule: Schedule, due: DueSchedule, queue: str) -> bool:
    next_at, on = schedule.next(due.now, due.next_at, due.done_on)
    has_run = on is not None and on == due.done_on  # today, before its time was changed
    return await queries.fire(conn, due, queue=None if has_run else queue, next_at=next_at, on=on)
