"""SQL for schedules: one function per statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time

from gateway.db import Conn
from gateway.jobs.queries.orders import JOIN_NOW

DUE_AT = """CASE WHEN next_at > now() + make_interval(secs => coalesce(every_s + 1, 172800))
                         THEN now() ELSE next_at END"""
"""When a schedule is due: at next_at, but now if no run can be so far away: PostgreSQL's clock was
ahead when it was set. A second is for transactions that began one after the other; a local time is
two days away at most."""


@dataclass(frozen=True, slots=True)
class DueSchedule:
    """A schedule whose time has come."""

    name: str
    next_at: datetime
    done_on: date | None
    now: datetime
    """PostgreSQL's."""


async def now(conn: Conn) -> datetime:
    """Return PostgreSQL's time: no worker's clock decides."""
    found: datetime = await conn.fetchval(
        """
        -- schedules.now
        SELECT now()
        """
    )
    return found


async def declare(
    conn: Conn,
    name: str,
    *,
    every_s: float | None,
    local_time: time | None,
    zone: str | None,
    next_at: datetime,
) -> None:
    """Store a schedule; one that is there as it is keeps its time."""
    await conn.execute(
        """
        -- schedules.declare
        INSERT INTO realtime.schedules AS s (name, every_s, local_time, zone, next_at)
        VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (name) DO UPDATE
           SET every_s = excluded.every_s, local_time = excluded.local_time, zone = excluded.zone,
               next_at = excluded.next_at
         WHERE (s.every_s, s.local_time, s.zone)
               IS DISTINCT FROM (excluded.every_s, excluded.local_time, excluded.zone)
        """,
        name,
        every_s,
        local_time,
        zone,
        next_at,
    )


async def due(conn: Conn, names: list[str]) -> list[DueSchedule]:
    """Return those of these schedules that are due."""
    rows = await conn.fetch(
        f"""
        -- schedules.due
        SELECT name, next_at, done_on, now() AS now
          FROM realtime.schedules
         WHERE name = ANY ($1) AND {DUE_AT} <= now()
        """,  # noqa: S608 - a part of two statements
        names,
    )
    return [DueSchedule(**row) for row in rows]


async def fire(
    conn: Conn, schedule: DueSchedule, *, queue: str | None, next_at: datetime, on: date | None
) -> bool:
    """Order the schedule's job and set when it is due next; False when another worker has.

    Without a queue nothing is ordered. A run that failed is tried again now, whatever its back-off:
    after an outage of hours a job of every minute comes within a minute.
    """
    return bool(
        await conn.fetchval(
            f"""
            -- schedules.fire
            WITH moved AS (
                UPDATE realtime.schedules SET next_at = $4, done_on = $5
                 WHERE name = $1 AND next_at = $2
                RETURNING name
            ), ordered AS (
            INSERT INTO realtime.jobs AS j (queue, kind, dedupe_key)
            SELECT $3::text, name, name FROM moved WHERE $3 IS NOT NULL
            {JOIN_NOW}
            )
            SELECT count(*) FROM moved
            """,  # noqa: S608 - a part of two statements
            schedule.name,
            schedule.next_at,
            queue,
            next_at,
            on,
        )
    )
