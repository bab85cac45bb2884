"""SQL for conversations that many load testers share."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg


async def seat_in_circles(
    conn: asyncpg.Connection[asyncpg.Record], employee_ids: Sequence[int], size: int
) -> list[int]:
    """Make as many groups as there are people, so that each of them is in `size` groups.

    The first group holds the first `size` people, the next begins with the second, and so on
    round the circle.
    """
    rows = await conn.fetch(
        """
        -- crowds.seat_in_circles
        WITH people AS (
            SELECT id, place - 1 AS place
              FROM unnest($1::bigint[]) WITH ORDINALITY AS given (id, place)
        ), made AS (
            INSERT INTO realtime.conversations (kind, title, created_by, last_change)
            SELECT 'group', 'Circle', id, 1 FROM people ORDER BY place
         RETURNING id
        ), circles AS (
            SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM made
        ), seated AS (
            INSERT INTO realtime.conversation_participants
                   (conversation_id, employee_id, role, change)
            SELECT circles.id, people.id, 'member', 1
              FROM circles
             CROSS JOIN generate_series(0, $2::bigint - 1) AS seat
              JOIN people ON people.place = (circles.place + seat) % cardinality($1::bigint[])
        )
        SELECT id FROM circles ORDER BY place
        """,
        employee_ids,
        size,
    )
    await _analyze(conn)
    return [row["id"] for row in rows]


async def seat_in_rooms(
    conn: asyncpg.Connection[asyncpg.Record], employee_ids: Sequence[int], size: int
) -> list[int]:
    """Put people into groups of `size`, one after the other; return the groups in that order."""
    rows = await conn.fetch(
        """
        -- crowds.seat_in_rooms
        WITH people AS (
            SELECT id, (place - 1) / $2::bigint AS room
              FROM unnest($1::bigint[]) WITH ORDINALITY AS given (id, place)
        ), made AS (
            INSERT INTO realtime.conversations (kind, title, created_by, last_change)
            SELECT 'group', 'Room', min(id), 1 FROM people GROUP BY room ORDER BY room
         RETURNING id
        ), rooms AS (
            SELECT id, row_number() OVER (ORDER BY id) - 1 AS room FROM made
        ), seated AS (
            INSERT INTO realtime.conversation_participants
                   (conversation_id, employee_id, role, change)
            SELECT rooms.id, people.id, 'member', 1 FROM rooms JOIN people USING (room)
        )
        SELECT id FROM rooms ORDER BY room
        """,
        employee_ids,
        size,
    )
    await _analyze(conn)
    return [row["id"] for row in rows]


async def _analyze(conn: asyncpg.Connection[asyncpg.Record]) -> None:
    """Let the planner know the tables at once; autovacuum would need a minute."""
    await conn.execute(
        """
        -- crowds.analyze
        ANALYZE realtime.conversations, realtime.conversation_participants, demo_crm.staff
        """
    )
