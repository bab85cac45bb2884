"""SQL that claims jobs and ends claims: one function per statement.

Whoever ends a claim names its attempt: a worker that lost its lease changes nothing any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.db import Conn, bigints
from gateway.jobs.job import Job
from gateway.jobs.queries.schedules import DUE_AT

LONGEST_LEASE_S = 120.0
FREE = f"""(claimed_until IS NULL OR claimed_until < now()
                           OR claimed_until > now() + make_interval(secs => {LONGEST_LEASE_S}))"""
"""No worker has this job: also when its lease ends later than any can, because PostgreSQL's clock
was ahead when it was given."""


GONE_OR_AGAIN = """gone AS (
            DELETE FROM realtime.jobs AS j USING mine WHERE j.id = mine.id AND mine.again_at IS NULL
        ), armed AS (
            UPDATE realtime.jobs AS j
               SET run_at = mine.again_at, again_at = NULL, claimed_until = NULL,
                   uncounted = j.attempts, lost = 0
              FROM mine
             WHERE j.id = mine.id AND mine.again_at IS NOT NULL
        )"""
"""A claim of `mine` ends: its job is gone, or waits once more if it was ordered again meanwhile."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What one look into the table found."""

    jobs: list[Job]
    next_s: float | None
    """Seconds until the next job is due; None when none waits."""
    next_schedule_s: float | None
    """Seconds until the next schedule is due, negative when it is."""


async def claim(
    conn: Conn,
    rooms: Mapping[str, int],
    *,
    kinds: Sequence[str],
    schedules: Sequence[str],
    lease_s: float,
) -> Claimed:
    """Claim due jobs of these kinds, at most so many of each queue, the earliest first.

    The attempt is counted here: a job that kills its worker has had it. The plan must stay one by
    the index, whatever the statistics say: hence the array of ids, and the scalar subqueries.
    """
    rows = await conn.fetch(
        f"""
        -- claims.claim
        WITH wanted AS MATERIALIZED (
            SELECT queue, room
              FROM unnest((SELECT $1::text[]), (SELECT $2::int[])) AS w (queue, room)
        ), due AS MATERIALIZED (
            SELECT j.id
              FROM wanted
             CROSS JOIN LATERAL (
                   SELECT id
                     FROM realtime.jobs
                    WHERE queue = wanted.queue AND run_at <= now()
                      AND kind = ANY ((SELECT $3::text[])::text[])
                      AND {FREE}
                    ORDER BY run_at, id
                    LIMIT wanted.room
                      FOR UPDATE SKIP LOCKED
                   ) AS j
        ), claimed AS (
            UPDATE realtime.jobs
               SET claimed_until = now() + make_interval(secs => $5),
                   attempts = attempts + 1,
                   lost = lost + (claimed_until IS NOT NULL)::int
             WHERE id = ANY (ARRAY(SELECT id FROM due))
            RETURNING *
        )
        SELECT (SELECT extract(epoch FROM min(soon.run_at) - now())::float8
                  FROM wanted
                 CROSS JOIN LATERAL (
                       SELECT run_at
                         FROM realtime.jobs
                        WHERE queue = wanted.queue AND run_at > now()
                        ORDER BY run_at
                        LIMIT 1) AS soon) AS next_s,
               (SELECT extract(epoch FROM min({DUE_AT}) - now())::float8
                  FROM realtime.schedules
                 WHERE name = ANY ((SELECT $4::text[])::text[])) AS next_schedule_s,
               claimed.id, claimed.queue, claimed.kind, claimed.dedupe_key, claimed.payload,
               claimed.attempts, claimed.attempts - claimed.uncounted AS failures, claimed.lost,
               claimed.expires_at, claimed.expires_at <= now() AS expired, claimed.traceparent
          FROM (VALUES (1)) AS always
          LEFT JOIN claimed ON true
         ORDER BY claimed.run_at, claimed.id
        """,  # noqa: S608 - parts of several statements
        list(rooms),
        list(rooms.values()),
        kinds,
        schedules,
        lease_s,
    )
    jobs = [
        Job(
            id=row["id"],
            queue=row["queue"],
            kind=row["kind"],
            key=row["dedupe_key"],
            payload=row["payload"],
            attempts=row["attempts"],
            failures=row["failures"],
            lost=row["lost"],
            expires_at=row["expires_at"],
            expired=bool(row["expired"]),
            traceparent=row["traceparent"],
        )
        for row in rows
        if row["id"] is not None
    ]
    return Claimed(jobs, rows[0]["next_s"], rows[0]["next_schedule_s"])


async def renew(conn: Conn, jobs: Iterable[Job], *, lease_s: float) -> set[int]:
    """Renew the leases of jobs in work; return the ids of those that are still this worker's.

    A row that an order with the same key has locked is left for the next time: the others do not
    wait for somebody's COMMIT.
    """
    mine = [*jobs]
    rows = await conn.fetch(
        """
        -- claims.renew
        WITH mine AS MATERIALIZED (
            SELECT j.id
              FROM unnest($1::text::bigint[], $2::text::int[]) AS m (id, attempts)
              JOIN realtime.jobs AS j ON j.id = m.id AND j.attempts = m.attempts
        ), free AS MATERIALIZED (
            SELECT id FROM realtime.jobs
             WHERE id = ANY (ARRAY(SELECT id FROM mine))
               FOR NO KEY UPDATE SKIP LOCKED
        ), renewed AS (
            UPDATE realtime.jobs AS j
               SET claimed_until = now() + make_interval(secs => $3)
              FROM unnest($1::text::bigint[], $2::text::int[]) AS m (id, attempts)
             WHERE j.id = m.id AND j.attempts = m.attempts
               AND j.id = ANY (ARRAY(SELECT id FROM free))
        )
        SELECT id FROM mine
        """,
        bigints(job.id for job in mine),
        bigints(job.attempts for job in mine),
        lease_s,
    )
    return {row["id"] for row in rows}


async def finish(conn: Conn, jobs: Sequence[Job]) -> None:
    """Delete jobs that are done and have no key: nobody can have ordered them again."""
    await conn.execute(
        """
        -- claims.finish
        DELETE FROM realtime.jobs AS j
         USING unnest($1::text::bigint[], $2::text::int[]) AS m (id, attempts)
         WHERE j.id = m.id AND j.attempts = m.attempts
        """,
        bigints(job.id for job in jobs),
        bigints(job.attempts for job in jobs),
    )


async def finish_keyed(conn: Conn, job: Job) -> float | None:
    """Delete a job that is done, or let it wait once more when it was ordered again meanwhile.

    Returns in how many seconds it is due then. One at a time: several would lock rows in another
    order than those who order them. Such a transaction is waited for, and what it left is read.
    """
    due_s: float | None = await conn.fetchval(
        f"""
        -- claims.finish_keyed
        WITH mine AS MATERIALIZED (
            SELECT id, again_at FROM realtime.jobs WHERE id = $1 AND attempts = $2 FOR UPDATE
        ), {GONE_OR_AGAIN}
        SELECT extract(epoch FROM again_at - now())::float8 FROM mine
        """,  # noqa: S608 - a part of two statements
        job.id,
        job.attempts,
    )
    return due_s


async def put_back(
    conn: Conn,
    job: Job,
    *,
    after_s: float | None,
    counted: bool = False,
    payload: str | None = None,
) -> bool:
    """Let a job wait again, so long or, with None, in its old place; False when it is not ours.

    An attempt that is not counted was no failure. With a payload all that went before is
    forgotten. It waits no longer than until it expires.
    """
    done: str = await conn.execute(
        """
        -- claims.put_back
        UPDATE realtime.jobs
           SET run_at = CASE WHEN $3::float8 IS NULL THEN run_at
                             ELSE least(now() + make_interval(secs => $3), expires_at) END,
               uncounted = CASE WHEN $5::text IS NOT NULL THEN attempts
                                WHEN $4 THEN uncounted ELSE uncounted + 1 END,
               lost = CASE WHEN $5 IS NOT NULL THEN 0 ELSE lost END,
               payload = coalesce($5::json, payload),
               claimed_until = NULL, again_at = NULL
         WHERE id = $1 AND attempts = $2
        """,
        job.id,
        job.attempts,
        after_s,
        counted,
        payload,
    )
    return done != "UPDATE 0"
