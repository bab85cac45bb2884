"""SQL for pages of a conversation: one function per statement."""

from __future__ import annotations

from gateway.chat.queries.messages import to_message
from gateway.db import Conn
from gateway.protocol import Message


async def before(
    conn: Conn, conversation_id: int, seq: int | None, limit: int, *, above: int = 0
) -> list[Message]:
    """Return the newest messages below seq (None: of all) and above `above`, oldest first."""
    rows = await conn.fetch(
        """
        -- pages.before
        SELECT * FROM realtime.shown_messages
         WHERE conversation_id = $1 AND ($2::bigint IS NULL OR seq < $2) AND seq > $4
         ORDER BY seq DESC
         LIMIT $3
        """,
        conversation_id,
        seq,
        limit,
        above,
    )
    return [to_message(row) for row in reversed(rows)]


async def after(conn: Conn, conversation_id: int, seq: int, limit: int) -> list[Message]:
    """Return the oldest messages above seq, oldest first."""
    rows = await conn.fetch(
        """
        -- pages.after
        SELECT * FROM realtime.shown_messages
         WHERE conversation_id = $1 AND seq > $2
         ORDER BY seq
         LIMIT $3
        """,
        conversation_id,
        seq,
        limit,
    )
    return [to_message(row) for row in rows]


async def gone_root(conn: Conn, conversation_id: int, seq: int) -> Message | None:
    """Return what is known of a message that retention has deleted: its replies are still there.

    It is told as a deleted message, of the time of its first reply; None when it has no replies.
    """
    row = await conn.fetchrow(
        """
        -- pages.gone_root
        SELECT min(created_at) AS at, count(*) AS replies
          FROM realtime.messages
         WHERE conversation_id = $1 AND reply_to_seq = $2 AND state < 2
        """,
        conversation_id,
        seq,
    )
    if row is None or not row["replies"]:
        return None
    return Message(
        conversation_id=conversation_id,
        seq=seq,
        change=0,
        sender_id=None,
        text="",
        created_at=row["at"],
        reply_count=row["replies"],
        deleted_at=row["at"],
    )


async def replies_before(
    conn: Conn, conversation_id: int, root_seq: int, *, seq: int | None, limit: int
) -> list[Message]:
    """Return the newest replies to a message below seq (None: of all), oldest first."""
    rows = await conn.fetch(
        """
        -- pages.replies_before
        SELECT * FROM realtime.shown_messages
         WHERE conversation_id = $1 AND reply_to_seq = $2 AND state < 2
           AND ($3::bigint IS NULL OR seq < $3)
         ORDER BY seq DESC
         LIMIT $4
        """,
        conversation_id,
        root_seq,
        seq,
        limit,
    )
    return [to_message(row) for row in reversed(rows)]


async def replies_after(
    conn: Conn, conversation_id: int, root_seq: int, *, seq: int, limit: int
) -> list[Message]:
    """Return the oldest replies to a message above seq, oldest first."""
    rows = await conn.fetch(
        """
        -- pages.replies_after
        SELECT * FROM realtime.shown_messages
         WHERE conversation_id = $1 AND reply_to_seq = $2 AND state < 2 AND seq > $3
         ORDER BY seq
         LIMIT $4
        """,
        conversation_id,
        root_seq,
        seq,
        limit,
    )
    return [to_message(row) for row in rows]
