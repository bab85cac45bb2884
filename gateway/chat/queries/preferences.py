"""SQL for a participant's preferences: archived, pinned, muted, notifications.

Each returns the new preferences, and None when this employee is not in the conversation. What
affects the unread total raises read_version, too: it orders unread counts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.chat.queries.listing import to_mine
from gateway.db import Conn
from gateway.protocol import Mine
from gateway.protocol.preferences import Notify

COLUMNS = """coalesce(c.last_seq <= p.archived_seq, false) AS archived, p.pinned_at, p.muted_until,
               p.notify, p.manual_unread, p.mine_version"""
"""What to_mine reads, of p, a participant, in c."""


async def archive(conn: Conn, employee_id: int, conversation_id: int, *, on: bool) -> Mine | None:
    """Archive it up to its newest message, or take it out of the archive."""
    row = await conn.fetchrow(
        f"""
        -- preferences.archive
        UPDATE realtime.conversation_participants AS p
           SET archived_seq = CASE WHEN $3 THEN c.last_seq END,
               mine_version = p.mine_version + 1, read_version = p.read_version + 1
          FROM realtime.conversations AS c
         WHERE c.id = $2 AND p.conversation_id = c.id AND p.employee_id = $1
           AND p.left_seq IS NULL
        RETURNING {COLUMNS}
        """,  # noqa: S608 - ours
        employee_id,
        conversation_id,
        on,
    )
    return _to_mine(row)


async def lock(conn: Conn, employee_id: int) -> None:
    """Let this employee's pin commands take turns until the transaction ends."""
    await conn.execute(
        """
        -- preferences.lock
        SELECT pg_advisory_xact_lock(hashtextextended('realtime.pinned', $1))
        """,
        employee_id,
    )


async def pin(
    conn: Conn, employee_id: int, conversation_id: int, *, on: bool, most: int
) -> Mine | None:
    """Pin or unpin; also None when `most` others are pinned already.

    Two devices that pin at once take turns, and the second counts after the first has committed.
    """
    await lock(conn, employee_id)
    row = await conn.fetchrow(
        f"""
        -- preferences.pin
        UPDATE realtime.conversation_participants AS p
           SET pinned_at = CASE WHEN $3 THEN coalesce(p.pinned_at, now()) END,
               mine_version = p.mine_version + 1
          FROM realtime.conversations AS c
         WHERE c.id = $2 AND p.conversation_id = c.id AND p.employee_id = $1
           AND p.left_seq IS NULL
           AND (NOT $3 OR $4 > (SELECT count(*)
                                  FROM realtime.conversation_participants
                                 WHERE employee_id = $1 AND left_seq IS NULL
                                   AND pinned_at IS NOT NULL AND conversation_id <> $2))
        RETURNING {COLUMNS}
        """,  # noqa: S608 - ours
        employee_id,
        conversation_id,
        on,
        most,
    )
    return _to_mine(row)


async def mute(
    conn: Conn, employee_id: int, conversation_id: int, until: datetime | None
) -> Mine | None:
    """Mute it until a time; a time in the past unmutes it."""
    row = await conn.fetchrow(
        f"""
        -- preferences.mute
        UPDATE realtime.conversation_participants AS p
           SET muted_until = CASE WHEN $3::timestamptz > now() THEN $3 END,
               mine_version = p.mine_version + 1, read_version = p.read_version + 1
          FROM realtime.conversations AS c
         WHERE c.id = $2 AND p.conversation_id = c.id AND p.employee_id = $1
           AND p.left_seq IS NULL
        RETURNING {COLUMNS}
        """,  # noqa: S608 - ours
        employee_id,
        conversation_id,
        until,
    )
    return _to_mine(row)


async def notify(conn: Conn, employee_id: int, conversation_id: int, level: Notify) -> Mine | None:
    """Choose what to be notified of."""
    row = await conn.fetchrow(
        f"""
        -- preferences.notify
        UPDATE realtime.conversation_participants AS p
           SET notify = $3, mine_version = p.mine_version + 1
          FROM realtime.conversations AS c
         WHERE c.id = $2 AND p.conversation_id = c.id AND p.employee_id = $1
           AND p.left_seq IS NULL
        RETURNING {COLUMNS}
        """,  # noqa: S608 - ours
        employee_id,
        conversation_id,
        level,
    )
    return _to_mine(row)


async def find(conn: Conn, employee_id: int, conversation_id: int) -> Mine | None:
    """Return the current preferences."""
    row = await conn.fetchrow(
        f"""
        -- preferences.find
        SELECT {COLUMNS}
          FROM realtime.conversation_participants AS p
          JOIN realtime.conversations AS c ON c.id = p.conversation_id
         WHERE p.conversation_id = $2 AND p.employee_id = $1 AND p.left_seq IS NULL
        """,  # noqa: S608 - ours
        employee_id,
        conversation_id,
    )
    return _to_mine(row)


def _to_mine(row: Any) -> Mine | None:
    return to_mine(row) if row else None
