"""SQL for editing and deleting messages: one function per statement."""

from __future__ import annotations

from dataclasses import replace

from gateway.audit.act import Act, rows
from gateway.audit.queries.audit import AUDITED
from gateway.chat.queries.messages import MAX_MENTIONS, SMALL_GROUP, Mentions
from gateway.db import Conn, bigints
from gateway.protocol import Message


async def edit(
    conn: Conn, message: Message, *, text: str, sender_role: str, mentions: Mentions
) -> Message:
    """Change a message's text under the next change; the conversation is locked."""
    row = await conn.fetchrow(
        """
        -- edits.edit
        WITH room AS (
            UPDATE realtime.conversations SET last_change = last_change + 1 WHERE id = $1
         RETURNING last_change
        )
        UPDATE realtime.messages AS m
           SET body = $3, edited_at = clock_timestamp(), change = room.last_change,
               mention_ids = CASE WHEN $4 <> '{}' THEN (
                   SELECT array_agg(present.id ORDER BY present.place)
                     FROM (SELECT named.id, named.place
                             FROM unnest($4::text::bigint[]) WITH ORDINALITY AS named (id, place)
                             JOIN realtime.conversation_participants AS q
                               ON q.conversation_id = $1 AND q.employee_id = named.id
                              AND q.left_seq IS NULL
                            ORDER BY named.place
                            LIMIT $7) AS present
               ) END,
               mention_all = $5 AND ($6 OR (
                   SELECT count(*)
                     FROM (SELECT FROM realtime.conversation_participants
                            WHERE conversation_id = $1 AND left_seq IS NULL
                            LIMIT $8 + 1) AS people) <= $8)
          FROM room
         WHERE m.conversation_id = $1 AND m.seq = $2
        RETURNING m.change, m.edited_at, m.mention_ids, m.mention_all
        """,
        message.conversation_id,
        message.seq,
        text,
        bigints(mentions.employee_ids),
        mentions.all,
        mentions.may_all or sender_role != "member",
        MAX_MENTIONS,
        SMALL_GROUP,
    )
    assert row is not None
    return replace(
        message,
        text=text,
        change=row["change"],
        edited_at=row["edited_at"],
        mention_ids=row["mention_ids"] or [],
        mention_all=row["mention_all"],
    )


async def delete(conn: Conn, message: Message, *, by: int, audit: Act | None) -> Message:
    """Delete a message's content under the next change; the conversation is locked."""
    row = await conn.fetchrow(
        f"""
        -- edits.delete
        WITH room AS (
            UPDATE realtime.conversations SET last_change = last_change + 1 WHERE id = $2
         RETURNING last_change
        ), changed AS (
            UPDATE realtime.messages AS m
               SET state = 2, body = '', attachments = NULL, mention_ids = NULL,
                   mention_all = false, deleted_at = clock_timestamp(), deleted_by = $4,
                   change = room.last_change
              FROM room
             WHERE m.conversation_id = $2 AND m.seq = $3
         RETURNING m.change, m.deleted_at, '{{}}'::jsonb AS facts
        ), {AUDITED}
        SELECT change, deleted_at FROM changed
        """,  # noqa: S608 - a part of several statements
        rows(audit),
        message.conversation_id,
        message.seq,
        by,
    )
    assert row is not None
    return replace(
        message,
        text="",
        change=row["change"],
        deleted_at=row["deleted_at"],
        mention_ids=[],
        mention_all=False,
        reactions=[],
        attachments=[],
    )
