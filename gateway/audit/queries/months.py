"""SQL for the months of the audit that ingest's upkeep of partitions does not know."""

from __future__ import annotations

from datetime import datetime

from gateway.db import Conn


async def first(conn: Conn) -> str | None:
    """Return the partition that the audit of earlier versions has become; None when it is gone."""
    found: str | None = await conn.fetchval(
        """
        -- months.first
        SELECT c.relname
          FROM pg_inherits AS i
          JOIN pg_class AS c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'realtime.audit'::regclass
           AND c.relname ~ '^audit_until_[0-9]{4}_[0-9]{2}$'
        """
    )
    return found


async def limit_locks(conn: Conn, timeout_s: float) -> None:
    """Have this transaction give up waiting for locks: whoever audits would wait behind it."""
    await conn.execute(
        """
        -- months.limit_locks
        SELECT set_config('lock_timeout', $1, true)
        """,
        str(round(timeout_s * 1000)),
    )


async def delete(conn: Conn, *, before: datetime, limit: int) -> int:
    """Delete acts before then that are in no month's partition of their own; return how many."""
    status = await conn.execute(
        """
        -- months.delete
        DELETE FROM realtime.audit AS a
         USING (SELECT at, id FROM realtime.audit WHERE at < $1 LIMIT $2) AS old
         WHERE a.at = old.at AND a.id = old.id AND a.at < $1
        """,
        before,
        limit,
    )
    return int(status.rpartition(" ")[2])
