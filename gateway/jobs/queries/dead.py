"""SQL for jobs that failed for good: one function per statement."""

from __future__ import annotations

from gateway.audit.act import Act
from gateway.audit.queries.audit import AUDITED
from gateway.db import Conn
from gateway.jobs.job import Job
from gateway.jobs.queries.claims import FREE, GONE_OR_AGAIN
from gateway.jobs.queries.orders import JOIN
from gateway.protocol.jobs import DeadJob

BURIED = "queue, kind, dedupe_key, created_at, attempts, lost, payload, traceparent"
"""What a dead job has of the job that it was."""


async def bury(conn: Conn, job: Job, code: str) -> bool:
    """Move a claimed job to the dead ones; one ordered again meanwhile waits anew.

    False when it is not this worker's any more.
    """
    return bool(
        await conn.fetchval(
            f"""
            -- dead.bury
            WITH mine AS MATERIALIZED (
                SELECT * FROM realtime.jobs WHERE id = $1 AND attempts = $2 FOR UPDATE
            ), buried AS (
                INSERT INTO realtime.dead_jobs (error_code, {BURIED})
                SELECT $3, {BURIED} FROM mine
            ), {GONE_OR_AGAIN}
            SELECT count(*) FROM mine
            """,  # noqa: S608 - parts of several statements
            job.id,
            job.attempts,
            code[:100],
        )
    )


async def bury_unknown(conn: Conn, *, kinds: list[str], days: int) -> int:
    """Bury jobs that have been due for days and are of no kind that this version knows."""
    return int(
        await conn.fetchval(
            f"""
            -- dead.bury_unknown
            WITH gone AS (
                DELETE FROM realtime.jobs
                 WHERE id = ANY (ARRAY(
                       SELECT id FROM realtime.jobs
                        WHERE run_at < now() - make_interval(days => $2) AND kind <> ALL ($1)
                          AND {FREE}
                        LIMIT 1000
                          FOR UPDATE SKIP LOCKED))
                RETURNING *
            ), buried AS (
                INSERT INTO realtime.dead_jobs (error_code, {BURIED})
                SELECT 'unknown_kind', {BURIED} FROM gone
            )
            SELECT count(*) FROM gone
            """,  # noqa: S608 - parts of several statements
            kinds,
            days,
        )
    )


async def forget(conn: Conn, *, days: int) -> None:
    """Delete dead jobs after so many days."""
    await conn.execute(
        """
        -- dead.forget
        DELETE FROM realtime.dead_jobs WHERE died_at < now() - make_interval(days => $1)
        """,
        days,
    )


async def page(
    conn: Conn, *, kind: str | None = None, before: int | None = None, limit: int
) -> list[DeadJob]:
    """Return dead jobs with ids below `before`, the highest first."""
    rows = await conn.fetch(
        """
        -- dead.page
        SELECT id, died_at, error_code, queue, kind, dedupe_key, created_at, attempts, lost, payload
          FROM realtime.dead_jobs
         WHERE ($1::text IS NULL OR kind = $1) AND ($2::bigint IS NULL OR id < $2)
         ORDER BY id DESC
         LIMIT $3
        """,
        kind,
        before,
        limit,
    )
    return [DeadJob(**row) for row in rows]


async def retry(conn: Conn, dead_id: int, *, audit: Act) -> str | None:
    """Order a dead job anew, due now and without an end; return its kind, None if there is none."""
    kind: str | None = await conn.fetchval(
        f"""
        -- dead.retry
        WITH taken AS (
            DELETE FROM realtime.dead_jobs WHERE id = $2 RETURNING *
        ), ordered AS (
        INSERT INTO realtime.jobs AS j
               (queue, kind, dedupe_key, created_at, payload, traceparent)
        SELECT queue, kind, dedupe_key, created_at, payload, traceparent FROM taken
        {JOIN}
        ), changed AS (
            SELECT jsonb_build_object('kind', kind) AS facts FROM taken
        ), {AUDITED}
        SELECT kind FROM taken
        """,  # noqa: S608 - parts of several statements
        audit.rows(),
        dead_id,
    )
    return kind


async def discard(conn: Conn, dead_id: int, *, audit: Act) -> str | None:
    """Delete a dead job; return its kind, None if there is none."""
    kind: str | None = await conn.fetchval(
        f"""
        -- dead.discard
        WITH taken AS (
            DELETE FROM realtime.dead_jobs WHERE id = $2 RETURNING kind
        ), changed AS (
            SELECT jsonb_build_object('kind', kind) AS facts FROM taken
        ), {AUDITED}
        SELECT kind FROM taken
        """,  # noqa: S608 - a part of several statements
        audit.rows(),
        dead_id,
    )
    return kind
