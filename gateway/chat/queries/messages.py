"""SQL for messages: one function per statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from gateway.db import Conn
from gateway.protocol import Message


def to_message(row: Any) -> Message:
    """Make a message of a row with the columns the statements here select."""
    return Message(
        conversation_id=row["conversation_id"],
        seq=row["seq"],
        change=row["change"],
        sender_id=row["sender_id"],
        client_key=row["client_key"],
        text=row["body"],
        created_at=row["created_at"],
    )


async def insert(
    conn: Conn, sender_id: int, conversation_id: int, *, client_key: UUID, text: str
) -> Message | None:
    """Store a message and move the sender's read position to it.

    None when it is already stored or the sender is not in the conversation. Raises
    UniqueViolationError when a twin with the same client_key commits first. Updating the
    conversation first makes senders take turns at its row, so numbers have no gaps: a number
    is taken only by a transaction that commits. The time is read after the wait for that row,
    so that it never runs backwards against seq.
    """
    row = await conn.fetchrow(
        """
        -- messages.insert
        WITH room AS (
            UPDATE realtime.conversations AS c
               SET last_seq = c.last_seq + 1,
                   last_change = c.last_change + 1,
                   last_message_at = greatest(c.last_message_at, clock_timestamp())
              FROM realtime.conversation_participants AS p
             WHERE c.id = $2
               AND p.conversation_id = c.id AND p.employee_id = $1 AND p.left_seq IS NULL
               AND NOT EXISTS (SELECT FROM realtime.messages AS m
                                WHERE m.conversation_id = $2 AND m.sender_id = $1
                                  AND m.client_key = $3)
         RETURNING c.id, c.last_seq, c.last_change, c.last_message_at
        ), read AS (
            UPDATE realtime.conversation_participants AS p
               SET last_read_seq = room.last_seq, last_read_at = room.last_message_at,
                   manual_unread = false
              FROM room
             WHERE p.conversation_id = room.id AND p.employee_id = $1
        )
        INSERT INTO realtime.messages
               (conversation_id, seq, change, sender_id, client_key, body, created_at)
        SELECT id, last_seq, last_change, $1, $3, $4, last_message_at FROM room
        RETURNING conversation_id, seq, change, sender_id, client_key, body, created_at
        """,
        sender_id,
        conversation_id,
        client_key,
        text,
    )
    return to_message(row) if row else None


async def find_sent(
    conn: Conn, sender_id: int, conversation_id: int, client_key: UUID
) -> Message | None:
    """Return the message this person sent here with this key."""
    row = await conn.fetchrow(
        """
        -- messages.find_sent
        SELECT conversation_id, seq, change, sender_id, client_key, body, created_at
          FROM realtime.messages
         WHERE conversation_id = $2 AND sender_id = $1 AND client_key = $3
        """,
        sender_id,
        conversation_id,
        client_key,
    )
    return to_message(row) if row else None


async def before(conn: Conn, conversation_id: int, seq: int | None, limit: int) -> list[Message]:
    """Return the newest messages below seq (None: of all), oldest first."""
    rows = await conn.fetch(
        """
        -- messages.before
        SELECT conversation_id, seq, change, sender_id, client_key, body, created_at
          FROM realtime.messages
         WHERE conversation_id = $1 AND ($2::bigint IS NULL OR seq < $2) AND state < 2
         ORDER BY seq DESC
         LIMIT $3
        """,
        conversation_id,
        seq,
        limit,
    )
    return [to_message(row) for row in reversed(rows)]


async def after(conn: Conn, conversation_id: int, seq: int, limit: int) -> list[Message]:
    """Return the oldest messages above seq, oldest first."""
    rows = await conn.fetch(
        """
        -- messages.after
        SELECT conversation_id, seq, change, sender_id, client_key, body, created_at
          FROM realtime.messages
         WHERE conversation_id = $1 AND seq > $2 AND state < 2
         ORDER BY seq
         LIMIT $3
        """,
        conversation_id,
        seq,
        limit,
    )
    return [to_message(row) for row in rows]


async def changed_after(
    conn: Conn, positions: Sequence[tuple[int, int]], limit: int
) -> list[Message]:
    """Return messages changed after each (conversation, change): at most limit of each."""
    rows = await conn.fetch(
        """
        -- messages.changed_after
        SELECT m.*
          FROM unnest($1::bigint[], $2::bigint[]) AS asked (id, after)
          JOIN realtime.conversations AS c ON c.id = asked.id AND c.last_change > asked.after
         CROSS JOIN LATERAL (
               SELECT conversation_id, seq, change, sender_id, client_key, body, created_at
                 FROM realtime.messages
                WHERE conversation_id = asked.id AND change > asked.after
                ORDER BY change
                LIMIT $3
               ) AS m
         ORDER BY m.conversation_id, m.change
        """,
        [conversation_id for conversation_id, _ in positions],
        [change for _, change in positions],
        limit,
    )
    return [to_message(row) for row in rows]
