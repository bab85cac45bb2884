"""SQL for drafts: one function per statement."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.db import Conn
from gateway.protocol import Draft


def to_draft(row: Any) -> Draft:
    """Make a draft of a row with these columns."""
    return Draft(
        conversation_id=row["conversation_id"],
        text=row["text"],
        reply_to_seq=row["reply_to_seq"],
        updated_at=row["updated_at"],
        version=row["version"],
    )


async def put(
    conn: Conn, employee_id: int, conversation_id: int, *, text: str, reply_to_seq: int | None
) -> Draft | None:
    """Store a draft; None when this person is not in the conversation, or cannot answer that."""
    row = await conn.fetchrow(
        """
        -- drafts.put
        INSERT INTO realtime.drafts AS d
               (employee_id, conversation_id, text, reply_to_seq, updated_at)
        SELECT $1, p.conversation_id, $3, $4, clock_timestamp()
          FROM realtime.conversation_participants AS p
          JOIN realtime.conversations AS c ON c.id = p.conversation_id
         WHERE p.conversation_id = $2 AND p.employee_id = $1 AND p.left_seq IS NULL
           AND ($4::bigint IS NULL
                OR EXISTS (SELECT FROM realtime.messages AS m
                            WHERE m.conversation_id = $2 AND m.seq = $4 AND m.state < 2
                              AND (c.history = 'all' OR m.seq > p.joined_seq)))
            ON CONFLICT (employee_id, conversation_id) DO UPDATE
           SET text = excluded.text,
               reply_to_seq = excluded.reply_to_seq,
               updated_at = greatest(excluded.updated_at, d.updated_at),
               version = d.version + 1
        RETURNING conversation_id, text, reply_to_seq, updated_at, version
        """,
        employee_id,
        conversation_id,
        text,
        reply_to_seq,
    )
    return to_draft(row) if row else None


async def clear(conn: Conn, employee_id: int, conversation_id: int) -> Draft | None:
    """Empty a draft; None when there was none."""
    row = await conn.fetchrow(
        """
        -- drafts.clear
        UPDATE realtime.drafts
           SET text = '', reply_to_seq = NULL, version = version + 1,
               updated_at = greatest(clock_timestamp(), updated_at)
         WHERE employee_id = $1 AND conversation_id = $2 AND text <> ''
        RETURNING conversation_id, text, reply_to_seq, updated_at, version
        """,
        employee_id,
        conversation_id,
    )
    return to_draft(row) if row else None


async def find(conn: Conn, employee_id: int, conversation_id: int) -> Draft | None:
    """Return a draft, cleared or not; None when there never was one, or this person is not in."""
    row = await conn.fetchrow(
        """
        -- drafts.find
        SELECT d.conversation_id, d.text, d.reply_to_seq, d.updated_at, d.version
          FROM realtime.drafts AS d
         WHERE d.employee_id = $1 AND d.conversation_id = $2
        """,
        employee_id,
        conversation_id,
    )
    return to_draft(row) if row else None


async def page(
    conn: Conn, employee_id: int, after: tuple[datetime, int] | None, limit: int
) -> list[Draft]:
    """Return someone's drafts in conversations they are in, the newest first."""
    rows = await conn.fetch(
        """
        -- drafts.page
        SELECT d.conversation_id, d.text, d.reply_to_seq, d.updated_at, d.version
          FROM realtime.drafts AS d
          JOIN realtime.conversation_participants AS p
            ON p.conversation_id = d.conversation_id AND p.employee_id = d.employee_id
           AND p.left_seq IS NULL
         WHERE d.employee_id = $1 AND d.text <> ''
           AND ($2::timestamptz IS NULL OR (d.updated_at, d.conversation_id) < ($2, $3::bigint))
         ORDER BY d.updated_at DESC, d.conversation_id DESC
         LIMIT $4
        """,
        employee_id,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return [to_draft(row) for row in rows]
