"""SQL for how many statements PostgreSQL was asked for, by everybody in this database."""

from __future__ import annotations

from gateway.db import Conn


async def can_count(conn: Conn) -> bool:
    """Begin to count; False where PostgreSQL was not started with pg_stat_statements."""
    loaded = await conn.fetchval(
        """
        -- statements.can_count
        SELECT position('pg_stat_statements' IN current_setting('shared_preload_libraries')) > 0
        """
    )
    if loaded:
        await conn.execute(
            """
            -- statements.prepare
            CREATE EXTENSION IF NOT EXISTS pg_stat_statements WITH SCHEMA public
            """
        )
    return bool(loaded)


async def count(conn: Conn) -> int:
    """Return how many statements there have been, BEGIN and COMMIT among them, but not these."""
    found = await conn.fetchval(
        """
        -- statements.count
        SELECT coalesce(sum(calls), 0)::bigint
          FROM public.pg_stat_statements
         WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND query NOT LIKE '%pg_stat_statements%'
        """
    )
    assert isinstance(found, int)
    return found
