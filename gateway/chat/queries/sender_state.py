"""SQL for what a stored message changed for its sender: the draft it emptied, the mark it ended."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.chat.queries.drafts import to_draft
from gateway.chat.queries.listing import to_mine
from gateway.chat.queries.preferences import COLUMNS
from gateway.db import Conn
from gateway.protocol import Draft, Message, Mine


async def emptied_drafts(conn: Conn, sent: Sequence[Message]) -> list[tuple[int, Draft]]:
    """Return (employee, draft) of the senders' drafts that are empty since these messages."""
    rows = await conn.fetch(
        """
        -- sender_state.emptied_drafts
        SELECT d.employee_id, d.conversation_id, d.text, d.reply_to_seq, d.updated_at, d.version
          FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[])
               AS sent (employee_id, conversation_id, created_at)
          JOIN realtime.drafts AS d
            ON d.employee_id = sent.employee_id AND d.conversation_id = sent.conversation_id
         WHERE d.text = '' AND d.updated_at >= sent.created_at
        """,
        [message.sender_id for message in sent],
        [message.conversation_id for message in sent],
        [message.created_at for message in sent],
    )
    return [(row["employee_id"], to_draft(row)) for row in rows]


async def ended_marks(conn: Conn, sent: Sequence[Message]) -> list[tuple[int, int, Mine]]:
    """Return (employee, conversation, preferences) where one of these messages ended a mark."""
    rows = await conn.fetch(
        f"""
        -- sender_state.ended_marks
        SELECT p.employee_id, p.conversation_id, {COLUMNS}
          FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
               AS sent (employee_id, conversation_id, seq)
          JOIN realtime.conversation_participants AS p
            ON p.conversation_id = sent.conversation_id AND p.employee_id = sent.employee_id
           AND p.left_seq IS NULL
          JOIN realtime.conversations AS c ON c.id = p.conversation_id
         WHERE p.marked_seq = sent.seq
        """,  # noqa: S608 - ours
        [message.sender_id for message in sent],
        [message.conversation_id for message in sent],
        [message.seq for message in sent],
    )
    return [(row["employee_id"], row["conversation_id"], to_mine(row)) for row in rows]
