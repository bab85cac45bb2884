"""SQL for messages: one function per statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from gateway.chat.queries import conversations
from gateway.db import Conn, bigints
from gateway.protocol import Message, Reaction

MAX_MENTIONS = 100
SMALL_GROUP = 20
"""Up to so many participants, anyone may mention everybody."""


def to_message(row: Any) -> Message:
    """Make a message of a row of realtime.shown_messages."""
    return Message(
        conversation_id=row["conversation_id"],
        seq=row["seq"],
        change=row["change"],
        sender_id=row["sender_id"],
        client_key=row["client_key"],
        text=row["body"],
        created_at=row["created_at"],
        kind=row["kind"],
        attrs=row["attrs"],
        reply_to_seq=row["reply_to_seq"],
        reply_count=row["reply_count"],
        mention_ids=row["mention_ids"] or [],
        mention_all=row["mention_all"],
        reactions=to_reactions(row["reactions"]),
        edited_at=row["edited_at"],
        deleted_at=row["deleted_at"],
    )


def to_reactions(items: Iterable[dict[str, Any]] | None) -> list[Reaction]:
    """Make reactions of the view's jsonb."""
    return [
        Reaction(
            emoji=item["emoji"], count=len(item["employee_ids"]), employee_ids=item["employee_ids"]
        )
        for item in items or ()
    ]


@dataclass(frozen=True, slots=True)
class Mentions:
    """Whom a text names, before anyone has looked who of them is there."""

    employee_ids: Sequence[int] = ()
    all: bool = False
    may_all: bool = False
    """By permission; a role, or a small group, is enough too."""


async def insert(
    conn: Conn,
    sender_id: int,
    conversation_id: int,
    *,
    client_key: UUID,
    text: str,
    reply_to_seq: int | None,
    mentions: Mentions,
) -> Message | None:
    """Store a message and move the sender's read position to it.

    None when it is already stored, the sender is not in the conversation, it is closed, or what
    is answered is not there. Raises UniqueViolationError when a twin with the same client_key
    commits first, and NotNullViolationError when the sender was taken out while this waited for
    the conversation's row, where senders take turns: a number is taken only by a transaction that
    commits. The time is read after that wait, so that it never runs backwards against seq.
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
             WHERE c.id = $2 AND c.closed_at IS NULL
               AND p.conversation_id = c.id AND p.employee_id = $1 AND p.left_seq IS NULL
               AND NOT EXISTS (SELECT FROM realtime.messages AS m
                                WHERE m.conversation_id = $2 AND m.sender_id = $1
                                  AND m.client_key = $3)
               AND ($5::bigint IS NULL
                    OR EXISTS (SELECT FROM realtime.messages AS m
                                WHERE m.conversation_id = $2 AND m.seq = $5 AND m.state < 2
                                  AND (c.history = 'all' OR m.seq > p.joined_seq)))
         RETURNING c.id, c.last_seq, c.last_change, c.last_message_at, p.role
        ), read AS (
            UPDATE realtime.conversation_participants AS p
               SET last_read_seq = room.last_seq, last_read_at = room.last_message_at,
                   mine_version = p.mine_version + p.manual_unread::int, manual_unread = false
              FROM room
             WHERE p.conversation_id = room.id AND p.employee_id = $1 AND p.left_seq IS NULL
         RETURNING p.last_read_seq AS seq
        )
        INSERT INTO realtime.messages
               (conversation_id, seq, change, sender_id, client_key, body, created_at,
                reply_to_seq, mention_ids, mention_all)
        SELECT id, (SELECT seq FROM read), last_change, $1, $3, $4, last_message_at, $5,
               CASE WHEN $6 <> '{}' THEN (
                   SELECT array_agg(present.id ORDER BY present.place)
                     FROM (SELECT named.id, named.place
                             FROM unnest($6::text::bigint[]) WITH ORDINALITY AS named (id, place)
                             JOIN realtime.conversation_participants AS q
                               ON q.conversation_id = $2 AND q.employee_id = named.id
                              AND q.left_seq IS NULL
                            ORDER BY named.place
                            LIMIT $9) AS present
               ) END,
               $7 AND ($8 OR role <> 'member' OR (
                   SELECT count(*)
                     FROM (SELECT FROM realtime.conversation_participants
                            WHERE conversation_id = $2 AND left_seq IS NULL
                            LIMIT $10 + 1) AS people) <= $10)
          FROM room
        RETURNING conversation_id, seq, change, sender_id, client_key, body, created_at,
                  kind, attrs, reply_to_seq, 0 AS reply_count, mention_ids, mention_all,
                  NULL AS reactions, edited_at, deleted_at
        """,
        sender_id,
        conversation_id,
        client_key,
        text,
        reply_to_seq,
        bigints(mentions.employee_ids),
        mentions.all,
        mentions.may_all,
        MAX_MENTIONS,
        SMALL_GROUP,
    )
    return to_message(row) if row else None


async def find_sent(
    conn: Conn, sender_id: int, conversation_id: int, client_key: UUID
) -> Message | None:
    """Return the message this person sent here with this key."""
    row = await conn.fetchrow(
        """
        -- messages.find_sent
        SELECT * FROM realtime.shown_messages
         WHERE conversation_id = $2 AND sender_id = $1 AND client_key = $3
        """,
        sender_id,
        conversation_id,
        client_key,
    )
    return to_message(row) if row else None


@dataclass(frozen=True, slots=True)
class Standing:
    """What someone is in a conversation."""

    role: str
    closed: bool
    hidden_to: int
    """Messages up to this seq are not for them: they joined later. 0 hides none."""


async def standing(
    conn: Conn, employee_id: int, conversation_id: int, *, lock: bool = False
) -> Standing | None:
    """Return it; None when they are not in the conversation.

    With lock, the conversation's row is held until the transaction ends, and membership is read
    after it was got: who was removed meanwhile is not in it.
    """
    if lock and not await conversations.lock(conn, employee_id, conversation_id):
        return None
    row = await conn.fetchrow(
        """
        -- messages.standing
        SELECT p.role, c.closed_at IS NOT NULL AS closed,
               CASE c.history WHEN 'joined' THEN p.joined_seq ELSE 0 END AS hidden_to
          FROM realtime.conversation_participants AS p
          JOIN realtime.conversations AS c ON c.id = p.conversation_id
         WHERE p.conversation_id = $2 AND p.employee_id = $1 AND p.left_seq IS NULL
        """,
        employee_id,
        conversation_id,
    )
    return Standing(row["role"], row["closed"], row["hidden_to"]) if row else None


async def find(conn: Conn, conversation_id: int, seq: int) -> Message | None:
    """Return one message, or what is left of it."""
    row = await conn.fetchrow(
        """
        -- messages.find
        SELECT * FROM realtime.shown_messages WHERE conversation_id = $1 AND seq = $2
        """,
        conversation_id,
        seq,
    )
    return to_message(row) if row else None
