"""SQL for searching messages by words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.chat.queries.messages import to_message
from gateway.db import Conn
from gateway.protocol import Message


@dataclass(frozen=True, slots=True)
class SearchScope:
    """The words to search for, and the conversations that an employee may search."""

    words: list[str]
    """The words of the text as realtime.search_words returns them."""
    conversation_ids: list[int]
    earliest: datetime | None
    """When the oldest of these conversations was created; None when there is none."""
    latest: datetime | None


@dataclass(frozen=True, slots=True)
class SearchPosition:
    """A message's position in the search order, newest first."""

    at: datetime
    conversation_id: int
    seq: int


async def scope(
    conn: Conn, employee_id: int, text: str, *, conversation_id: int | None, most: int
) -> SearchScope:
    """Return the words of text, and up to `most` conversations of this employee, or the one."""
    row = await conn.fetchrow(
        """
        -- search.scope
        WITH mine AS (
            SELECT c.id, c.created_at, c.last_message_at
              FROM realtime.conversation_participants AS p
              JOIN realtime.conversations AS c ON c.id = p.conversation_id
             WHERE p.employee_id = $1 AND p.left_seq IS NULL AND ($3::bigint IS NULL OR c.id = $3)
        )
        SELECT realtime.search_words($2) AS words,
               ARRAY(SELECT id FROM mine LIMIT $4) AS conversation_ids,
               min(created_at) AS earliest, max(last_message_at) AS latest
          FROM mine
        """,
        employee_id,
        text,
        conversation_id,
        most,
    )
    assert row is not None
    return SearchScope(
        row["words"].split(), row["conversation_ids"], row["earliest"], row["latest"]
    )


async def find_messages(
    conn: Conn,
    employee_id: int,
    wanted: str,
    *,
    since: datetime | None,
    before: SearchPosition,
    limit: int,
) -> list[Message]:
    """Return the newest messages with the wanted keys that this employee may read.

    `wanted` is a tsquery over realtime.search_key. The index alone answers it; membership is
    checked only for the messages that it found.
    """
    rows = await conn.fetch(
        """
        -- search.find_messages
        WITH hits AS MATERIALIZED (
            SELECT m.conversation_id, m.seq, m.created_at
              FROM realtime.messages AS m
             WHERE realtime.search_key(m.body, m.conversation_id, m.sender_id, m.attachments,
                                       m.created_at) @@ $2::text::tsquery
               AND m.state < 2 AND m.kind = 'text'
               AND ($3::timestamptz IS NULL OR m.created_at >= $3)
               AND (m.created_at, m.conversation_id, m.seq) < ($4, $5::bigint, $6::bigint)
        ), mine AS (
            SELECT h.conversation_id, h.seq
              FROM hits AS h
              JOIN realtime.conversation_participants AS p
                ON p.conversation_id = h.conversation_id AND p.employee_id = $1
               AND p.left_seq IS NULL
              JOIN realtime.conversations AS c ON c.id = h.conversation_id
             WHERE c.history = 'all' OR h.seq > p.joined_seq
             ORDER BY h.created_at DESC, h.conversation_id DESC, h.seq DESC
             LIMIT $7
        )
        SELECT m.*
          FROM mine
          JOIN realtime.shown_messages AS m
            ON m.conversation_id = mine.conversation_id AND m.seq = mine.seq
         ORDER BY m.created_at DESC, m.conversation_id DESC, m.seq DESC
        """,
        employee_id,
        wanted,
        since,
        before.at,
        before.conversation_id,
        before.seq,
        limit,
    )
    return [to_message(row) for row in rows]
