"""SQL for reactions: one function per statement."""

from __future__ import annotations

from gateway.db import Conn
from gateway.protocol import Message


async def put(
    conn: Conn, message: Message, employee_id: int, *, emoji: list[str], removed: bool
) -> int:
    """Add or remove a reaction to a message, in all these forms; the conversation is locked.

    Return its change.
    """
    change = await conn.fetchval(
        """
        -- reactions.put
        WITH room AS (
            UPDATE realtime.conversations SET last_change = last_change + 1 WHERE id = $1
         RETURNING last_change
        )
        INSERT INTO realtime.message_reactions AS r
               (conversation_id, seq, employee_id, emoji, removed, change)
        SELECT $1, $2, $3, form, $5, last_change FROM room, unnest($4::text[]) AS form
            ON CONFLICT (conversation_id, seq, employee_id, emoji) DO UPDATE
           SET removed = excluded.removed, change = excluded.change, reacted_at = now()
        RETURNING r.change
        """,
        message.conversation_id,
        message.seq,
        employee_id,
        emoji,
        removed,
    )
    assert isinstance(change, int)
    return change


async def forms(conn: Conn, message: Message, employee_id: int) -> list[str]:
    """Return this employee's reactions to a message as they are stored, in any form."""
    rows = await conn.fetch(
        """
        -- reactions.forms
        SELECT emoji
          FROM realtime.message_reactions
         WHERE conversation_id = $1 AND seq = $2 AND employee_id = $3 AND NOT removed
        """,
        message.conversation_id,
        message.seq,
        employee_id,
    )
    return [row["emoji"] for row in rows]
