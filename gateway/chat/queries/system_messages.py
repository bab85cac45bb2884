"""SQL for system messages: who joined, who left, how the conversation was renamed."""

from __future__ import annotations

from typing import Any

from gateway.chat.queries.messages import to_message
from gateway.db import Conn
from gateway.protocol import Message


async def insert(conn: Conn, conversation_id: int, attrs: dict[str, Any]) -> Message:
    """Store a silent system message under the next seq and change.

    It does not count as unread, and takes no conversation out of an archive: archived_seq moves on
    to this message.
    """
    row = await conn.fetchrow(
        """
        -- system_messages.insert
        WITH room AS (
            UPDATE realtime.conversations
               SET last_seq = last_seq + 1, last_change = last_change + 1,
                   last_message_at = greatest(last_message_at, clock_timestamp())
             WHERE id = $1
         RETURNING id, last_seq, last_change, last_message_at
        ), still AS (
            UPDATE realtime.conversation_participants AS p
               SET archived_seq = room.last_seq
              FROM room
             WHERE p.conversation_id = room.id AND p.archived_seq >= room.last_seq - 1
        )
        INSERT INTO realtime.messages
               (conversation_id, seq, change, state, kind, attrs, body, created_at)
        SELECT id, last_seq, last_change, 1, 'system', $2, '', last_message_at FROM room
        RETURNING conversation_id, seq, change, sender_id, client_key, body, created_at,
                  kind, attrs, reply_to_seq, 0 AS reply_count, mention_ids, mention_all,
                  NULL AS reactions, attachments, edited_at, deleted_at
        """,
        conversation_id,
        attrs,
    )
    return to_message(row)
