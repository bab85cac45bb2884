"""SQL for migrations: the lock, and the record of applied files."""

from __future__ import annotations

from gateway.db.conn import Conn

LOCK = 7_305_808_869_232_150_119
"""A number that nothing else uses; advisory locks are per database."""


async def try_lock(conn: Conn) -> bool:
    """Acquire the lock of migrations; False when another process holds it.

    Callers poll instead of waiting inside pg_advisory_lock: a waiting session holds a snapshot,
    CREATE INDEX CONCURRENTLY waits for snapshots, and both would wait for ever.
    """
    return bool(
        await conn.fetchval(
            """
            -- migrations.try_lock
            SELECT pg_try_advisory_lock($1)
            """,
            LOCK,
        )
    )


async def unlock(conn: Conn) -> None:
    await conn.execute(
        """
        -- migrations.unlock
        SELECT pg_advisory_unlock($1)
        """,
        LOCK,
    )


async def prepare(conn: Conn) -> None:
    """Create the schema and the table of applied migrations; call it with the lock held."""
    await conn.execute(
        """
        -- migrations.prepare
        SET client_min_messages = warning;
        CREATE SCHEMA IF NOT EXISTS realtime;
        CREATE TABLE IF NOT EXISTS realtime.migrations (
            name       text PRIMARY KEY,
            sha256     text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        );
        RESET client_min_messages;
        """
    )


async def applied(conn: Conn) -> dict[str, str]:
    """Return the sha256 of each applied migration by name."""
    known = await conn.fetchval(
        """
        -- migrations.applied
        SELECT to_regclass('realtime.migrations') IS NOT NULL
        """
    )
    if not known:
        return {}
    rows = await conn.fetch(
        """
        -- migrations.applied
        SELECT name, sha256 FROM realtime.migrations ORDER BY name
        """
    )
    return {row["name"]: row["sha256"] for row in rows}


async def record(conn: Conn, name: str, sha256: str) -> None:
    await conn.execute(
        """
        -- migrations.record
        INSERT INTO realtime.migrations (name, sha256) VALUES ($1, $2)
        """,
        name,
        sha256,
    )


async def limit(conn: Conn, *, lock_timeout_ms: int) -> None:
    """Remove this session's statement timeout, and limit its waits for locks."""
    await conn.execute(
        """
        -- migrations.limit
        SELECT set_config('statement_timeout', '0', false),
               set_config('idle_in_transaction_session_timeout', '0', false),
               set_config('lock_timeout', $1, false)
        """,
        str(lock_timeout_ms),
    )


async def unlimit(conn: Conn) -> None:
    await conn.execute(
        """
        -- migrations.unlimit
        RESET statement_timeout;
        RESET idle_in_transaction_session_timeout;
        RESET lock_timeout;
        """
    )
