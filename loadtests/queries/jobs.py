"""SQL of the benchmark of jobs: one function per statement."""

from __future__ import annotations

from gateway.db import Conn


async def hold_snapshot(conn: Conn) -> None:
    """Read something in a transaction that stays open, as a long report does."""
    await conn.execute(
        """
        -- jobs.without_limit
        SET idle_in_transaction_session_timeout = 0
        """
    )
    await conn.execute(
        """
        -- jobs.begin
        BEGIN ISOLATION LEVEL REPEATABLE READ
        """
    )
    await conn.execute(
        """
        -- jobs.hold_snapshot
        SELECT count(*) FROM crm.employees
        """
    )


async def held_s(conn: Conn) -> float:
    """Return for how long this connection's transaction has been open."""
    found: float = await conn.fetchval(
        """
        -- jobs.held_s
        SELECT extract(epoch FROM clock_timestamp() - now())::float8
        """
    )
    return found


async def table_bytes(conn: Conn) -> int:
    """Return the size of the table of jobs with its indexes."""
    found: int = await conn.fetchval(
        """
        -- jobs.table_bytes
        SELECT pg_total_relation_size('realtime.jobs')
        """
    )
    return found


async def left(conn: Conn) -> int:
    """Return how many jobs are not done."""
    found: int = await conn.fetchval(
        """
        -- jobs.left
        SELECT (SELECT count(*) FROM realtime.jobs) + (SELECT count(*) FROM realtime.dead_jobs)
        """
    )
    return found
