"""SQL for partitions: of realtime.call_events, realtime.call_event_payloads, of any table by time.

Names and bounds are built from dates (`call_events_2026_11`), never from received data, because DDL
takes no parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ingest.conn import Conn

LOCK_KEY = 0x70617274
"""The advisory lock of the housekeeping: "part"."""


@dataclass(frozen=True, slots=True)
class PartitionedTable:
    """A partitioned table and the time column by which it is partitioned."""

    name: str
    time: str


EVENTS = PartitionedTable("call_events", "occurred_at")
PAYLOADS = PartitionedTable("call_event_payloads", "received_at")


async def try_lock(conn: Conn, key: int = LOCK_KEY) -> bool:
    """Lock a housekeeping until the transaction ends; False when another node has locked it."""
    return bool(
        await conn.fetchval(
            """
            -- partitions.try_lock
            SELECT pg_try_advisory_xact_lock($1)
            """,
            key,
        )
    )


async def names(conn: Conn, table: PartitionedTable = EVENTS) -> list[str]:
    """Return the partitions of a period (not the default one), the oldest first."""
    rows = await conn.fetch(
        """
        -- partitions.names
        SELECT c.relname AS name
          FROM pg_inherits AS i
          JOIN pg_class AS c ON c.oid = i.inhrelid
         WHERE i.inhparent = ('realtime.' || $1)::regclass
           AND c.relname ~ ('^' || $1 || '_[0-9]{4}(_[0-9]{2}){1,2}$')
         ORDER BY c.relname
        """,
        table.name,
    )
    return [row["name"] for row in rows]


async def create(
    conn: Conn, table: PartitionedTable, name: str, *, since: datetime, until: datetime
) -> None:
    """Create a partition, and move the default partition's rows of its period into it.

    A partition cannot be attached while the default one has rows of its period. Writers wait before
    they choose a partition: one that had chosen the default one would be refused after the COMMIT.
    """
    bounds = f"FROM ('{since.isoformat()}') TO ('{until.isoformat()}')"
    await conn.execute(
        f"""
        -- partitions.create
        LOCK TABLE realtime.{table.name} IN SHARE ROW EXCLUSIVE MODE;
        CREATE TABLE realtime.{name} (LIKE realtime.{table.name} INCLUDING ALL);
        WITH moved AS (
            DELETE FROM realtime.{table.name}_default
             WHERE {table.time} >= '{since.isoformat()}' AND {table.time} < '{until.isoformat()}'
         RETURNING *
        )
        INSERT INTO realtime.{name} SELECT * FROM moved;
        ALTER TABLE realtime.{table.name} ATTACH PARTITION realtime.{name} FOR VALUES {bounds};
        """  # noqa: S608 (a name and two dates, built here)
    )


async def drop(conn: Conn, name: str) -> None:
    """Drop a partition, by a name that was read from the database."""
    await conn.execute(
        f"""
        -- partitions.drop
        DROP TABLE realtime.{name}
        """
    )


async def delete_events(conn: Conn, *, before: datetime, limit: int) -> int:
    """Delete old events of the default partition; return how many."""
    return await _deleted(
        conn,
        """
        -- partitions.delete_events
        DELETE FROM realtime.call_events_default WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM realtime.call_events_default WHERE occurred_at < $1
             LIMIT $2 FOR UPDATE SKIP LOCKED))
        """,
        before,
        limit,
    )


async def delete_payloads(conn: Conn, *, before: datetime, limit: int) -> int:
    """Delete old messages of the default partition; return how many."""
    return await _deleted(
        conn,
        """
        -- partitions.delete_payloads
        DELETE FROM realtime.call_event_payloads_default WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM realtime.call_event_payloads_default WHERE received_at < $1
             LIMIT $2 FOR UPDATE SKIP LOCKED))
        """,
        before,
        limit,
    )


async def delete_keys(conn: Conn, *, before: datetime, limit: int) -> int:
    """Delete ids of events first seen before then; return how many."""
    return await _deleted(
        conn,
        """
        -- partitions.delete_keys
        DELETE FROM realtime.call_event_keys WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM realtime.call_event_keys WHERE first_seen < $1
             LIMIT $2 FOR UPDATE SKIP LOCKED))
        """,
        before,
        limit,
    )


async def delete_aliases(conn: Conn, *, before: datetime, limit: int) -> int:
    """Delete native ids of calls first seen before then; return how many."""
    return await _deleted(
        conn,
        """
        -- partitions.delete_aliases
        DELETE FROM realtime.call_aliases WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM realtime.call_aliases WHERE first_seen < $1
             LIMIT $2 FOR UPDATE SKIP LOCKED))
        """,
        before,
        limit,
    )


async def delete_rejects(conn: Conn, *, before: datetime, limit: int) -> int:
    """Delete rejects older than this, and all but the newest 100,000; return how many."""
    return await _deleted(
        conn,
        """
        -- partitions.delete_rejects
        DELETE FROM realtime.ingest_rejects WHERE id IN (
            SELECT id FROM realtime.ingest_rejects
             WHERE rejected_at < $1
                OR id <= (SELECT max(id) - 100000 FROM realtime.ingest_rejects)
             LIMIT $2 FOR UPDATE SKIP LOCKED)
        """,
        before,
        limit,
    )


async def delete_gaps(conn: Conn, *, before: datetime, limit: int) -> int:
    """Delete gaps that were over by then; return how many."""
    return await _deleted(
        conn,
        """
        -- partitions.delete_gaps
        DELETE FROM realtime.ingest_gaps WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM realtime.ingest_gaps WHERE began_at < $1 AND ended_at < $1
             LIMIT $2 FOR UPDATE SKIP LOCKED))
        """,
        before,
        limit,
    )


async def _deleted(conn: Conn, statement: str, before: datetime, limit: int) -> int:
    status = await conn.execute(statement, before, limit)
    return int(status.rpartition(" ")[2])
