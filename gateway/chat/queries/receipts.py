"""SQL for read positions and unread counts: one function per statement.

Unread is computed, never counted up: derived counts cannot drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.db import Conn
from gateway.protocol import Unread
from gateway.protocol.conversations import UNREAD_CAP

MAX_UNREAD_CONVERSATIONS = 1_000


@dataclass(frozen=True, slots=True)
class ReadPosition:
    """A read position, and how the call changed it."""

    last_read_seq: int
    moved: bool
    unmarked: bool = False
    """Whether it ended a manual mark as unread."""


async def read(
    conn: Conn, employee_id: int, conversation_id: int, seq: int, *, explicit: bool
) -> ReadPosition | None:
    """Move the read position forward to seq, at most to the newest message.

    None when this employee is not in the conversation. A lower seq changes nothing. A mark as
    unread ends only when seq is above the newest message at the time of the mark, or with explicit.
    """
    row = await conn.fetchrow(
        """
        -- receipts.read
        WITH moved AS (
            UPDATE realtime.conversation_participants AS p
               SET last_read_seq = greatest(p.last_read_seq, least($3, c.last_seq)),
                   last_read_at = now(), read_version = p.read_version + 1,
                   mine_version = p.mine_version + p.manual_unread::int, manual_unread = false
              FROM realtime.conversations AS c
              JOIN realtime.conversation_participants AS old
                ON old.conversation_id = c.id AND old.employee_id = $1
             WHERE c.id = $2 AND p.conversation_id = c.id AND p.employee_id = $1
               AND p.left_seq IS NULL
               AND (p.last_read_seq < least($3, c.last_seq) OR p.manual_unread AND $4)
               AND (NOT p.manual_unread OR $4 OR least($3, c.last_seq) > p.marked_seq)
         RETURNING p.last_read_seq, p.last_read_seq > old.last_read_seq AS moved,
                   old.manual_unread AS unmarked
        )
        SELECT last_read_seq, moved, unmarked FROM moved
         UNION ALL
        SELECT p.last_read_seq, false, false
          FROM realtime.conversation_participants AS p
         WHERE p.conversation_id = $2 AND p.employee_id = $1 AND p.left_seq IS NULL
           AND NOT EXISTS (SELECT FROM moved)
        """,
        employee_id,
        conversation_id,
        seq,
        explicit,
    )
    return ReadPosition(**row) if row else None


async def mark_unread(
    conn: Conn, employee_id: int, conversation_id: int, seq: int
) -> tuple[int, bool] | None:
    """Move the read position back to before seq and mark the conversation as unread by hand.

    Returns the position, and whether anything changed; None when this employee is not in the
    conversation or there is no such message yet. Not further back than their joined_seq.
    """
    row = await conn.fetchrow(
        """
        -- receipts.mark_unread
        WITH moved AS (
            UPDATE realtime.conversation_participants AS p
               SET last_read_seq = least(p.last_read_seq, greatest($3 - 1, p.joined_seq)),
                   manual_unread = true, marked_seq = c.last_seq,
                   read_version = p.read_version + 1, mine_version = p.mine_version + 1
              FROM realtime.conversations AS c
             WHERE c.id = $2 AND p.conversation_id = c.id AND p.employee_id = $1
               AND p.left_seq IS NULL AND c.last_seq >= $3
               AND (NOT p.manual_unread OR p.marked_seq < c.last_seq OR p.last_read_seq >= $3
                    AND p.last_read_seq > p.joined_seq)
         RETURNING p.last_read_seq
        )
        SELECT last_read_seq, true AS moved FROM moved
         UNION ALL
        SELECT p.last_read_seq, false
          FROM realtime.conversation_participants AS p
          JOIN realtime.conversations AS c ON c.id = p.conversation_id AND c.last_seq >= $3
         WHERE p.conversation_id = $2 AND p.employee_id = $1 AND p.left_seq IS NULL
           AND NOT EXISTS (SELECT FROM moved)
        """,
        employee_id,
        conversation_id,
        seq,
    )
    return (row["last_read_seq"], row["moved"]) if row else None


@dataclass(frozen=True, slots=True)
class ReadAll:
    """One conversation that was marked as read."""

    conversation_id: int
    last_read_seq: int
    unmarked: bool


async def read_all(conn: Conn, employee_id: int, limit: int) -> list[ReadAll]:
    """Mark up to `limit` conversations as read, and end their marks as unread.

    The rows are locked in one order, so that two devices that do it at once take turns.
    """
    rows = await conn.fetch(
        """
        -- receipts.read_all
        WITH behind AS MATERIALIZED (
            SELECT p.conversation_id, p.manual_unread, c.last_seq
              FROM realtime.conversation_participants AS p
              JOIN realtime.conversations AS c ON c.id = p.conversation_id
             WHERE p.employee_id = $1 AND p.left_seq IS NULL
               AND (c.last_seq > p.last_read_seq OR p.manual_unread)
             ORDER BY p.conversation_id
             LIMIT $2
               FOR NO KEY UPDATE OF p
        )
        UPDATE realtime.conversation_participants AS p
           SET last_read_seq = greatest(p.last_read_seq, behind.last_seq), last_read_at = now(),
               read_version = p.read_version + 1,
               mine_version = p.mine_version + p.manual_unread::int, manual_unread = false
          FROM behind
         WHERE p.conversation_id = behind.conversation_id AND p.employee_id = $1
        RETURNING p.conversation_id, p.last_read_seq, behind.manual_unread AS unmarked
        """,
        employee_id,
        limit,
    )
    return [ReadAll(**row) for row in rows]


async def unread(conn: Conn, employee_id: int) -> list[Unread]:
    """Return the counts of every conversation in which this employee has unread messages."""
    rows = await conn.fetch(
        """
        -- receipts.unread
        SELECT p.conversation_id, p.last_read_seq, c.last_change + p.read_version AS version,
               behind.unread, behind.mentions, p.muted_until,
               coalesce(c.last_seq <= p.archived_seq, false) AS archived
          FROM realtime.conversation_participants AS p
          JOIN realtime.conversations AS c
            ON c.id = p.conversation_id AND c.last_seq > p.last_read_seq
         CROSS JOIN realtime.unread_after(
               p.conversation_id, c.last_seq, p.last_read_seq, p.employee_id, $2
               ) AS behind
         WHERE p.employee_id = $1 AND p.left_seq IS NULL AND behind.unread > 0
         ORDER BY c.last_message_at DESC
         LIMIT $3
        """,
        employee_id,
        UNREAD_CAP,
        MAX_UNREAD_CONVERSATIONS,
    )
    return [_to_unread(row) for row in rows]


async def unread_of(conn: Conn, pairs: Sequence[tuple[int, int]]) -> list[tuple[int, Unread]]:
    """Return (employee, counts) for each of these (employee, conversation), zero counts too.

    Without MATERIALIZED, PostgreSQL counts for every participant and joins the requested pairs
    last (4,000 counts, 0.3 s, for one pair).
    """
    rows = await conn.fetch(
        """
        -- receipts.unread_of
        WITH p AS MATERIALIZED (
            SELECT p.employee_id, p.conversation_id, p.last_read_seq, c.last_seq,
                   c.last_change + p.read_version AS version, p.muted_until,
                   coalesce(c.last_seq <= p.archived_seq, false) AS archived
              FROM unnest($1::bigint[], $2::bigint[]) AS asked (employee_id, conversation_id)
              JOIN realtime.conversation_participants AS p
                ON p.conversation_id = asked.conversation_id
               AND p.employee_id = asked.employee_id AND p.left_seq IS NULL
              JOIN realtime.conversations AS c ON c.id = p.conversation_id
        )
        SELECT p.employee_id, p.conversation_id, p.last_read_seq, p.version, p.muted_until,
               p.archived, behind.unread, behind.mentions
          FROM p
         CROSS JOIN realtime.unread_after(
               p.conversation_id, p.last_seq, p.last_read_seq, p.employee_id, $3
               ) AS behind
        """,
        [employee_id for employee_id, _ in pairs],
        [conversation_id for _, conversation_id in pairs],
        UNREAD_CAP,
    )
    return [(row["employee_id"], _to_unread(row)) for row in rows]


def _to_unread(row: Any) -> Unread:
    return Unread(
        conversation_id=row["conversation_id"],
        unread=row["unread"],
        mentions=row["mentions"],
        last_read_seq=row["last_read_seq"],
        version=row["version"],
        muted_until=row["muted_until"],
        archived=row["archived"],
    )
