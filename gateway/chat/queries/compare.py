"""SQL that compares a worker's state of many conversations and employees with the database.

Each statement takes that state and returns only the differences: nearly always nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gateway.db import Conn, bigints

SUM_BITS = 62
"""A sum of conversation numbers is compared modulo 2^62, so that it fits a bigint."""


async def change_sum(conn: Conn, conversation_ids: str) -> int:
    """Return the sum of last_change of these conversations, given as bigints() encodes them."""
    found = await conn.fetchval(
        """
        -- compare.change_sum
        SELECT coalesce(sum(last_change), 0)::bigint
          FROM realtime.conversations
         WHERE id = ANY ($1::text::bigint[])
        """,
        conversation_ids,
    )
    assert isinstance(found, int)
    return found


async def advanced(conn: Conn, positions: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Return conversation → last_change of those beyond these (conversation, change)."""
    rows = await conn.fetch(
        """
        -- compare.advanced
        SELECT c.id, c.last_change
          FROM unnest($1::text::bigint[], $2::text::bigint[]) AS known (id, position)
          JOIN realtime.conversations AS c ON c.id = known.id AND c.last_change > known.position
        """,
        bigints(conversation_id for conversation_id, _ in positions),
        bigints(position for _, position in positions),
    )
    return {row["id"]: row["last_change"] for row in rows}


async def joined_among(conn: Conn, employee_id: int, conversation_ids: Collection[int]) -> set[int]:
    """Return which of these conversations this employee is in."""
    rows = await conn.fetch(
        """
        -- compare.joined_among
        SELECT conversation_id
          FROM realtime.conversation_participants
         WHERE conversation_id = ANY ($2::text::bigint[]) AND employee_id = $1
           AND left_seq IS NULL
        """,
        employee_id,
        bigints(conversation_ids),
    )
    return {row["conversation_id"] for row in rows}


async def mismatched(conn: Conn, employee_ids: str, counts: str, sums: str) -> list[int]:
    """Return the employees whose conversations differ from their fingerprint.

    A fingerprint is the number of conversations that their sessions have joined, and the sum of the
    ids modulo 2^SUM_BITS; all lists as bigints() encodes them. The database computes its own from
    an index-only scan.
    """
    rows = await conn.fetch(
        """
        -- compare.mismatched
        SELECT known.id
          FROM unnest($1::text::bigint[], $2::text::bigint[], $3::text::bigint[])
               AS known (id, count, sum)
          LEFT JOIN LATERAL (
               SELECT count(*) AS count,
                      coalesce(sum(p.conversation_id) % (1::bigint << $4), 0)::bigint AS sum
                 FROM realtime.conversation_participants AS p
                WHERE p.employee_id = known.id AND p.left_seq IS NULL
               ) AS now ON true
         WHERE (now.count, now.sum) <> (known.count, known.sum)
        """,
        employee_ids,
        counts,
        sums,
        SUM_BITS,
    )
    return [row["id"] for row in rows]
