"""SQL that watches the table of jobs and keeps it small: one function per statement."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.db import Conn
from gateway.jobs.queries.claims import FREE


@dataclass(frozen=True, slots=True)
class Backlog:
    """The jobs of one queue that wait for a worker."""

    queue: str
    waiting: int
    """At most the limit that was given."""
    oldest_s: float
    """For how long the first one has been due; 0 when none waits."""
    table_bytes: int
    """Of all queues, indexes included."""
    dead_rows: int
    live_rows: int
    unanalyzed: int
    """Changes that the statistics do not know."""


async def backlog(conn: Conn, queues: list[str], *, limit: int) -> list[Backlog]:
    """Count due jobs of each queue that no worker has, up to a limit."""
    rows = await conn.fetch(
        f"""
        -- upkeep.backlog
        SELECT q.queue, due.waiting, coalesce(due.oldest_s, 0)::float8 AS oldest_s,
               pg_total_relation_size('realtime.jobs') AS table_bytes,
               coalesce(pg_stat_get_dead_tuples('realtime.jobs'::regclass), 0) AS dead_rows,
               coalesce(pg_stat_get_live_tuples('realtime.jobs'::regclass), 0) AS live_rows,
               coalesce(pg_stat_get_mod_since_analyze('realtime.jobs'::regclass), 0) AS unanalyzed
          FROM unnest((SELECT $1::text[])) AS q (queue)
         CROSS JOIN LATERAL (
               SELECT count(*) AS waiting, extract(epoch FROM now() - min(run_at)) AS oldest_s
                 FROM (SELECT run_at
                         FROM realtime.jobs
                        WHERE queue = q.queue AND run_at <= now()
                          AND {FREE}
                        ORDER BY run_at
                        LIMIT $2) AS first
               ) AS due
        """,  # noqa: S608 - a part of several statements
        queues,
        limit,
    )
    return [Backlog(**row) for row in rows]


async def vacuum(conn: Conn) -> None:
    """Free the space of rows that are gone; another one that does so already is left alone."""
    await conn.execute(
        """
        -- upkeep.vacuum
        VACUUM (SKIP_LOCKED) realtime.jobs
        """
    )


async def analyze(conn: Conn) -> None:
    """Let the planner know how many jobs wait; another one that does so already is left alone."""
    await conn.execute(
        """
        -- upkeep.analyze
        ANALYZE (SKIP_LOCKED) realtime.jobs
        """
    )


async def compact(conn: Conn, *, most: int) -> bool:
    """Rewrite the table with its jobs alone; False when these are more than so many."""
    return bool(
        await conn.fetchval(
            """
            -- upkeep.compact
            SELECT realtime.compact_jobs($1)
            """,
            most,
        )
    )


@dataclass(frozen=True, slots=True)
class KindCount:
    """How many jobs of a kind there are."""

    queue: str
    kind: str
    due: int
    later: int
    in_work: int
    oldest_s: float | None


async def by_kind(conn: Conn) -> list[KindCount]:
    """Count all jobs: for a person who asks, not for a scrape."""
    rows = await conn.fetch(
        f"""
        -- upkeep.by_kind
        SELECT queue, kind,
               count(*) FILTER (WHERE run_at <= now() AND NOT working) AS due,
               count(*) FILTER (WHERE run_at > now() AND NOT working) AS later,
               count(*) FILTER (WHERE working) AS in_work,
               extract(epoch FROM now() - min(run_at) FILTER (WHERE run_at <= now()))::float8
               AS oldest_s
          FROM (SELECT queue, kind, run_at, NOT {FREE} AS working
                  FROM realtime.jobs) AS j
         GROUP BY queue, kind
         ORDER BY queue, kind
        """  # noqa: S608 - a part of several statements
    )
    return [KindCount(**row) for row in rows]
