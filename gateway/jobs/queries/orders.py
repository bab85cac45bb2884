"""SQL that orders jobs: one function per statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.db import Conn
from gateway.jobs.job import NewJob

_JOIN = """
            ON CONFLICT (dedupe_key) WHERE dedupe_key IS NOT NULL DO UPDATE
           SET again_at = CASE WHEN j.claimed_until IS NOT NULL
                               THEN least(j.again_at, excluded.run_at) END,
               run_at = CASE WHEN j.claimed_until IS NULL AND {waiting}
                             THEN least(j.run_at, excluded.run_at) ELSE j.run_at END,
               expires_at = CASE WHEN j.expires_at < excluded.expires_at THEN excluded.expires_at
                                 WHEN excluded.expires_at IS NOT NULL THEN j.expires_at END
         WHERE j.claimed_until IS NOT NULL
            OR ({waiting} AND excluded.run_at < j.run_at)
            OR j.expires_at < coalesce(excluded.expires_at, 'infinity')
        RETURNING coalesce(j.again_at, j.run_at) AS due_at
"""
JOIN = _JOIN.format(waiting="j.attempts = j.uncounted")
"""A job that waits takes in the order, one in work is done again. What waits after a failure waits
on. The row that was there is locked until the caller's COMMIT even when nothing changes: so the
job begins after it, and sees what the caller wrote."""
JOIN_NOW = _JOIN.format(waiting="true")
"""As JOIN, but what waits after a failure waits no longer than until this order is due."""


async def enqueue(conn: Conn, jobs: Sequence[NewJob]) -> float | None:
    """Order jobs in the caller's transaction; PayloadInvalid.

    Returns the seconds until the earliest of them is due, for Doorbell.ring after the COMMIT; None
    when all are of jobs that wait already. Callers that order several with keys in one transaction
    may deadlock: name them in one call.
    """
    due = [await _enqueue(conn, distinct) for distinct in _distinct(jobs)]
    return min((due_s for due_s in due if due_s is not None), default=None)


def _distinct(jobs: Sequence[NewJob]) -> Iterator[list[NewJob]]:
    """Yield these in portions without a key twice, each in the order in which all lock them."""
    rest = [*jobs]
    while rest:
        portion, later = dict[str | int, NewJob](), []
        for number, job in enumerate(rest):
            if portion.setdefault(job.key or number, job) is not job:
                later.append(job)
        yield sorted(portion.values(), key=lambda job: job.key or "")
        rest = later


async def _enqueue(conn: Conn, ordered: Sequence[NewJob]) -> float | None:
    found: float | None = await conn.fetchval(
        f"""
        -- orders.enqueue
        WITH ordered AS (
        INSERT INTO realtime.jobs AS j
               (queue, kind, dedupe_key, run_at, expires_at, payload, traceparent)
        SELECT o.queue, o.kind, o.key, coalesce(o.run_at, now() + make_interval(secs => o.after_s)),
               o.expires_at, o.payload::json, o.traceparent
          FROM unnest((SELECT $1::text[]), (SELECT $2::text[]), (SELECT $3::text[]),
                      (SELECT $4::timestamptz[]), (SELECT $5::float8[]),
                      (SELECT $6::timestamptz[]), (SELECT $7::text[]), (SELECT $8::text[]))
            AS o (queue, kind, key, run_at, after_s, expires_at, payload, traceparent)
        {JOIN}
        )
        SELECT extract(epoch FROM min(due_at) - now())::float8 FROM ordered
        """,  # noqa: S608 - a part of two statements
        [job.queue for job in ordered],
        [job.kind for job in ordered],
        [job.key for job in ordered],
        [job.run_at for job in ordered],
        [job.after_s for job in ordered],
        [job.expires_at for job in ordered],
        [job.encoded() for job in ordered],
        [job.traceparent for job in ordered],
    )
    return found
