"""SQL for the audit: one function per statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.db import Conn
from gateway.protocol.audit import AuditRecord


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which acts to return; None matches any."""

    act: str | None = None
    actor_id: int | None = None
    conversation_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None


async def record(
    conn: Conn,
    act: str,
    *,
    actor_id: int | None,
    conversation_id: int | None = None,
    seq: int | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Record an act in the transaction that does it; `act` is `noun.verb`."""
    await conn.execute(
        """
        -- audit.record
        INSERT INTO realtime.audit (act, actor_id, conversation_id, seq, details)
        VALUES ($1, $2, $3, $4, $5)
        """,
        act,
        actor_id,
        conversation_id,
        seq,
        details or {},
    )


async def page(
    conn: Conn, sought: AuditFilter, *, before: int | None, limit: int
) -> list[AuditRecord]:
    """Return acts with ids below `before`, the highest first; `until` is exclusive."""
    rows = await conn.fetch(
        """
        -- audit.page
        SELECT id, at, actor_id, act, conversation_id, seq, details
          FROM realtime.audit
         WHERE ($1::text IS NULL OR act = $1)
           AND ($2::bigint IS NULL OR actor_id = $2)
           AND ($3::bigint IS NULL OR conversation_id = $3)
           AND ($4::timestamptz IS NULL OR at >= $4)
           AND ($5::timestamptz IS NULL OR at < $5)
           AND ($6::bigint IS NULL OR id < $6)
         ORDER BY id DESC
         LIMIT $7
        """,
        sought.act,
        sought.actor_id,
        sought.conversation_id,
        sought.since,
        sought.until,
        before,
        limit,
    )
    return [AuditRecord(**row) for row in rows]
