"""SQL for years of messages, made in seconds, and for counting them the way one should not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.db import Conn

MEMBERS = 10
"""Of each conversation."""
SPREAD = 37
"""What is unread goes from 0 to 36 messages in a conversation: 18 on average."""


@dataclass(frozen=True, slots=True)
class Structure:
    """An index or a constraint that is taken away while rows are loaded."""

    away: str
    back: str


async def open_rooms(
    conn: Conn, employee_ids: Sequence[int], *, conversations: int, messages_each: int, mine: int
) -> None:
    """Make the conversations, as they stand when all messages are there.

    The first of these people is in `mine` of them and has something unread in nearly all; the
    others are spread over all of them.
    """
    await conn.execute(
        """
        -- archive.open_rooms
        WITH made AS (
            INSERT INTO realtime.conversations
                   (kind, title, created_by, last_seq, last_change, last_message_at)
            SELECT 'group', 'Room ' || n, ($1::bigint[])[1], $3::bigint, $3::bigint + 1,
                   now() - n * interval '1 minute'
              FROM generate_series(1, $2::bigint) AS n
         RETURNING id
        ), rooms AS (
            SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM made
        )
        INSERT INTO realtime.conversation_participants
               (conversation_id, employee_id, role, change, last_read_seq)
        SELECT id, ($1::bigint[])[2 + (place * 7 + seat) % (cardinality($1::bigint[]) - 1)],
               'member', 1, greatest(0, $3::bigint - (place + seat) % $6::bigint)
          FROM rooms, generate_series(1, $5::bigint) AS seat
         UNION ALL
        SELECT id, ($1::bigint[])[1], 'member', 1,
               greatest(0, $3::bigint - (place / ($2::bigint / $4::bigint)) % $6::bigint)
          FROM rooms
         WHERE place % ($2::bigint / $4::bigint) = 0
           AND place < $2::bigint / $4::bigint * $4::bigint
        """,
        employee_ids,
        conversations,
        messages_each,
        mine,
        MEMBERS - 1,
        SPREAD,
    )


async def write(conn: Conn, employee_ids: Sequence[int], *, first: int, last: int) -> None:
    """Write messages first to last of every conversation, all conversations in turn.

    So a conversation's rows lie far apart, as they do when people really talk. Every 50th
    message mentions the first of these people.
    """
    await conn.execute(
        """
        -- archive.write
        INSERT INTO realtime.messages
               (conversation_id, seq, sender_id, body, change, created_at, mention_ids)
        SELECT c.id, n, ($1::bigint[])[1 + (n + c.id) % cardinality($1::bigint[])],
               'Чи можемо передзвонити клієнту сьогодні? ' || n, n + 1,
               now() - (c.last_seq - n) * interval '7 minutes',
               CASE WHEN n % 50 = 0 THEN ($1::bigint[])[1:1] END
          FROM generate_series($2::bigint, $3::bigint) AS n, realtime.conversations AS c
        """,
        employee_ids,
        first,
        last,
    )


async def structures(conn: Conn) -> list[Structure]:
    """Return what slows loading down: keys first, because others refer to them.

    GIN indexes are left out for good: no statement that is measured here reads them.
    """
    rows = await conn.fetch(
        """
        -- archive.structures
        SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS away,
               format('ALTER TABLE %s ADD CONSTRAINT %I %s',
                      conrelid::regclass, conname, pg_get_constraintdef(oid)) AS back,
               (contype <> 'p')::int AS place, conname AS name
          FROM pg_constraint
         WHERE 'realtime.messages'::regclass IN (conrelid, confrelid) AND contype IN ('p', 'f')
         UNION ALL
        SELECT format('DROP INDEX %s', i.indexrelid::regclass),
               CASE WHEN a.amname = 'btree' THEN pg_get_indexdef(i.indexrelid) ELSE '' END,
               2, c.relname
          FROM pg_index AS i
          JOIN pg_class AS c ON c.oid = i.indexrelid
          JOIN pg_am AS a ON a.oid = c.relam
         WHERE i.indrelid = 'realtime.messages'::regclass AND NOT i.indisprimary
         ORDER BY place, name
        """
    )
    return [Structure(row["away"], row["back"]) for row in rows]


async def bare(conn: Conn, found: Sequence[Structure]) -> None:
    """Take indexes and keys away, and let no trigger look at single rows.

    The server does not wait for its log. Until that is written, rows do not count as committed
    for VACUUM, which would then mark no page as visible to all: so this session waits.
    """
    await conn.execute(
        """
        -- archive.bare
        SET session_replication_role = replica;
        SET maintenance_work_mem = '256MB';
        SET synchronous_commit = on;
        """
    )
    for one in reversed(found):
        await conn.execute(f"-- archive.bare\n{one.away}")


async def dressed(conn: Conn, found: Sequence[Structure]) -> None:
    """Give back what bare() took; let the planner know what there is."""
    for one in found:
        if one.back:
            await conn.execute(f"-- archive.dressed\n{one.back}")
    await conn.execute("-- archive.dressed\nSET session_replication_role = origin")
    await conn.execute(
        """
        -- archive.vacuum_messages
        VACUUM (ANALYZE) realtime.messages
        """
    )
    await conn.execute(
        """
        -- archive.vacuum_rooms
        VACUUM (ANALYZE) realtime.conversations, realtime.conversation_participants, demo_crm.staff
        """
    )


async def rooms_of(conn: Conn, employee_id: int) -> list[tuple[int, int]]:
    """Return (conversation, read position): what a CRM asks before it counts one by one."""
    rows = await conn.fetch(
        """
        -- archive.rooms_of
        SELECT conversation_id, last_read_seq
          FROM realtime.conversation_participants
         WHERE employee_id = $1 AND left_seq IS NULL
        """,
        employee_id,
    )
    return [(row["conversation_id"], row["last_read_seq"]) for row in rows]


async def count_one(conn: Conn, employee_id: int, conversation_id: int, read_to: int) -> int:
    """Count what is unread in one conversation: fast enough, were there only one."""
    found = await conn.fetchval(
        """
        -- archive.count_one
        SELECT count(*)
          FROM realtime.messages
         WHERE conversation_id = $2 AND seq > $3 AND state = 0 AND sender_id IS DISTINCT FROM $1
        """,
        employee_id,
        conversation_id,
        read_to,
    )
    assert isinstance(found, int)
    return found


async def count_unbounded(conn: Conn, employee_id: int) -> dict[int, int]:
    """Count in one statement, with the read position in the FILTER instead of the join."""
    rows = await conn.fetch(
        """
        -- archive.count_unbounded
        SELECT p.conversation_id,
               count(*) FILTER (WHERE m.seq > p.last_read_seq AND m.state = 0
                                  AND m.sender_id IS DISTINCT FROM $1) AS unread,
               count(*) FILTER (WHERE m.seq > p.last_read_seq AND m.state = 0
                                  AND m.sender_id IS DISTINCT FROM $1
                                  AND (m.mention_all OR $1 = ANY (m.mention_ids))) AS mentions
          FROM realtime.conversation_participants AS p
          JOIN realtime.messages AS m ON m.conversation_id = p.conversation_id
         WHERE p.employee_id = $1 AND p.left_seq IS NULL
         GROUP BY p.conversation_id
        """,
        employee_id,
    )
    return {row["conversation_id"]: row["unread"] for row in rows if row["unread"]}
