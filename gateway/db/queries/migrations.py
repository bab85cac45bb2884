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


async def holder_idles(conn: Conn) -> bool:
    """Return whether the session with the lock of migrations is in no statement now.

    False when this role may not see what it does.
    """
    return bool(
        await conn.fetchval(
            """
            -- migrations.holder_idles
            SELECT EXISTS (SELECT
                             FROM pg_locks AS l
                             JOIN pg_stat_activity AS a ON a.pid = l.pid
                            WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                              AND l.database = (SELECT oid FROM pg_database
                                                 WHERE datname = current_database())
                              AND (l.classid::bigint << 32) | l.objid::bigint = $1
                              AND a.state <> 'active')
            """,
            LOCK,
        )
    )


async def invalid_indexes(conn: Conn, schema: str, name: str) -> list[str]:
    """Return what builds of this index that were interrupted have left, as quoted names.

    CREATE INDEX CONCURRENTLY leaves the index itself, REINDEX CONCURRENTLY a second one whose name
    ends with _ccnew or _ccold and a number. Call it with the lock held: a build that goes on is
    invalid, too.
    """
    rows = await conn.fetch(
        """
        -- migrations.invalid_indexes
        SELECT format('%I.%I', n.nspname, c.relname) AS name
          FROM pg_index AS i
          JOIN pg_class AS c ON c.oid = i.indexrelid
          JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE NOT i.indisvalid AND n.nspname = $1
           AND (c.relname = $2 OR c.relname ~ ('^' || $2 || '_cc(new|old)[0-9]*$'))
         ORDER BY c.relname
        """,
        schema,
        name,
    )
    return [row["name"] for row in rows]


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
