"""SQL for what the messenger's database holds, read as plainly as can be."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg


async def seat(
    conn: asyncpg.Connection[asyncpg.Record], employee_ids: Sequence[int], title: str
) -> int:
    """Make a group of these people, whom the first of them owns."""
    made: int = await conn.fetchval(
        """
        -- messenger.seat
        WITH made AS (
            INSERT INTO realtime.conversations (kind, title, created_by, last_change)
            VALUES ('group', $2, ($1::bigint[])[1], 1)
         RETURNING id
        ), seated AS (
            INSERT INTO realtime.conversation_participants
                   (conversation_id, employee_id, role, change)
            SELECT made.id, people.id, CASE people.place WHEN 1 THEN 'owner' ELSE 'member' END, 1
              FROM made, unnest($1::bigint[]) WITH ORDINALITY AS people (id, place)
        )
        SELECT id FROM made
        """,
        employee_ids,
        title,
    )
    return made


async def rooms(
    conn: asyncpg.Connection[asyncpg.Record], room_ids: Sequence[int]
) -> list[asyncpg.Record]:
    """Return these conversations."""
    return await conn.fetch(
        """
        -- messenger.rooms
        SELECT * FROM realtime.conversations WHERE id = ANY ($1::bigint[])
        """,
        room_ids,
    )


async def people(
    conn: asyncpg.Connection[asyncpg.Record], room_ids: Sequence[int]
) -> list[asyncpg.Record]:
    """Return everybody who is in them, or was."""
    return await conn.fetch(
        """
        -- messenger.people
        SELECT * FROM realtime.conversation_participants WHERE conversation_id = ANY ($1::bigint[])
        """,
        room_ids,
    )


async def messages(
    conn: asyncpg.Connection[asyncpg.Record], room_ids: Sequence[int]
) -> list[asyncpg.Record]:
    """Return every message, in order."""
    return await conn.fetch(
        """
        -- messenger.messages
        SELECT * FROM realtime.messages
         WHERE conversation_id = ANY ($1::bigint[])
         ORDER BY conversation_id, seq, id
        """,
        room_ids,
    )


async def reactions(
    conn: asyncpg.Connection[asyncpg.Record], room_ids: Sequence[int]
) -> list[asyncpg.Record]:
    """Return every reaction, those taken back too, in order."""
    return await conn.fetch(
        """
        -- messenger.reactions
        SELECT * FROM realtime.message_reactions
         WHERE conversation_id = ANY ($1::bigint[])
         ORDER BY conversation_id, change
        """,
        room_ids,
    )


async def unread(
    conn: asyncpg.Connection[asyncpg.Record], employee_id: int
) -> list[asyncpg.Record]:
    """Count what someone has not read, knowing nothing of caps, versions and pushes."""
    return await conn.fetch(
        """
        -- messenger.unread
        SELECT p.conversation_id,
               count(*) FILTER (WHERE m.sender_id IS DISTINCT FROM $1) AS unread,
               count(*) FILTER (WHERE m.sender_id IS DISTINCT FROM $1
                                  AND (m.mention_all OR $1 = ANY (m.mention_ids))) AS mentions,
               coalesce(p.muted_until > now(), false) AS muted,
               coalesce(c.last_seq <= p.archived_seq, false) AS archived
          FROM realtime.conversation_participants AS p
          JOIN realtime.conversations AS c
            ON c.id = p.conversation_id AND c.last_seq > p.last_read_seq
          JOIN realtime.messages AS m
            ON m.conversation_id = p.conversation_id AND m.seq > p.last_read_seq AND m.state = 0
         WHERE p.employee_id = $1 AND p.left_seq IS NULL
         GROUP BY p.conversation_id, p.employee_id, c.id
        """,
        employee_id,
    )
