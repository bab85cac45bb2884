"""SQL for the audit: one function per statement, and the part of others that writes to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.audit.act import Act, Source
from gateway.db import Conn
from gateway.protocol.audit import AuditRecord

AUDITED = """
audited AS (
    INSERT INTO realtime.audit
           (act, actor_id, conversation_id, seq, source, request_id, subject, details)
    SELECT a.act, a.actor_id, a.conversation_id, a.seq, a.source, a.request_id, a.subject,
           a.details || changed.facts
      FROM changed, jsonb_to_recordset($1::jsonb) AS a
           (act text, actor_id bigint, conversation_id bigint, seq bigint, source text,
            request_id text, subject text, details jsonb)
)
"""
"""Writes an act in the statement that does it. $1 is act.rows(); of `changed`, a part before it,
the column `facts` is what is added to the details: without a row of it, nothing was done."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which acts to return; None matches any."""

    act: str | None = None
    actor_id: int | None = None
    conversation_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    source: Source | None = None
    subject: str | None = None
    request_id: str | None = None


async def record(conn: Conn, act: Act) -> None:
    """Record an act that has no statement of its own, in the transaction that does it."""
    await conn.execute(
        f"""
        -- audit.record
        WITH changed AS (SELECT '{{}}'::jsonb AS facts), {AUDITED}
        SELECT
        """,
        act.rows(),
    )


async def moment_of(conn: Conn, audit_id: int) -> datetime | None:
    """Return when this act was done; None when it is not there, or not any more."""
    found: datetime | None = await conn.fetchval(
        """
        -- audit.moment_of
        SELECT at FROM realtime.audit WHERE id = $1
        """,
        audit_id,
    )
    return found


async def page(
    conn: Conn,
    sought: AuditFilter,
    *,
    before: tuple[datetime, int] | None,
    below: int | None = None,
    limit: int,
) -> list[AuditRecord]:
    """Return acts before that moment and id, the newest first; `until` is exclusive.

    `below`: those with smaller ids.
    """
    rows = await conn.fetch(
        """
        -- audit.page
        SELECT id, at, actor_id, act, conversation_id, seq, source, request_id, subject, details
          FROM realtime.audit
         WHERE ($1::text IS NULL OR act = $1)
           AND ($2::bigint IS NULL OR actor_id = $2)
           AND ($3::bigint IS NULL OR conversation_id = $3)
           AND ($4::timestamptz IS NULL OR at >= $4)
           AND ($5::timestamptz IS NULL OR at < $5)
           AND ($6::text IS NULL OR source = $6)
           AND ($7::text IS NULL OR subject = $7)
           AND ($8::text IS NULL OR request_id = $8)
           AND ($9::timestamptz IS NULL OR (at <= $9 AND (at, id) < ($9, $10::bigint)))
           AND ($11::bigint IS NULL OR id < $11)
         ORDER BY at DESC, id DESC
         LIMIT $12
        """,
        sought.act,
        sought.actor_id,
        sought.conversation_id,
        sought.since,
        sought.until,
        sought.source,
        sought.subject,
        sought.request_id,
        before[0] if before else None,
        before[1] if before else None,
        below,
        limit,
    )
    return [AuditRecord(**row) for row in rows]
