"""SQL for what the workers do in PostgreSQL just now."""

from __future__ import annotations

import asyncpg


async def gateway_connections(conn: asyncpg.Connection[asyncpg.Record]) -> tuple[int, int]:
    """Return how many connections the gateway's workers have open, and how many work."""
    row = await conn.fetchrow(
        """
        -- activity.gateway_connections
        SELECT count(*) AS open, count(*) FILTER (WHERE state <> 'idle') AS busy
          FROM pg_stat_activity
         WHERE application_name LIKE 'gateway %-w%' AND datname = current_database()
        """
    )
    assert row is not None
    return row["open"], row["busy"]


async def gateway_backends(conn: asyncpg.Connection[asyncpg.Record]) -> list[int]:
    """Return the processes that serve the gateway's workers."""
    rows = await conn.fetch(
        """
        -- activity.gateway_backends
        SELECT pid
          FROM pg_stat_activity
         WHERE application_name LIKE 'gateway %-w%' AND datname = current_database()
        """
    )
    return [row["pid"] for row in rows]
