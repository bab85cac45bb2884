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
