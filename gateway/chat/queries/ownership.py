"""SQL for groups without an active owner."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.db import Conn


@dataclass(frozen=True, slots=True)
class OwnerlessGroup:
    """A group of whose owners, if it has any, all are dismissed."""

    conversation_id: int
    owner_id: int | None
    """One of the owners."""
    member_id: int
    """One of the members who are active."""


async def ownerless(conn: Conn, *, after: int, limit: int) -> list[OwnerlessGroup]:
    """Return groups without an active owner in which somebody active could be one."""
    rows = await conn.fetch(
        """
        -- ownership.ownerless
        SELECT c.id AS conversation_id, active.employee_id AS member_id,
               (SELECT min(p.employee_id)
                  FROM realtime.conversation_participants AS p
                 WHERE p.conversation_id = c.id AND p.left_seq IS NULL AND p.role = 'owner')
               AS owner_id
          FROM realtime.conversations AS c
         CROSS JOIN LATERAL (SELECT o.employee_id
                               FROM realtime.conversation_participants AS o
                               JOIN crm.employees AS e ON e.id = o.employee_id AND e.active
                              WHERE o.conversation_id = c.id AND o.left_seq IS NULL
                              LIMIT 1) AS active
         WHERE c.kind = 'group' AND c.id > $1
           AND NOT EXISTS (SELECT FROM realtime.crm_conversations AS k
                            WHERE k.conversation_id = c.id AND k.managed)
           AND NOT EXISTS (SELECT
                             FROM realtime.conversation_participants AS o
                             JOIN crm.employees AS e ON e.id = o.employee_id AND e.active
                            WHERE o.conversation_id = c.id AND o.left_seq IS NULL
                              AND o.role = 'owner')
         ORDER BY c.id
         LIMIT $2
        """,
        after,
        limit,
    )
    return [OwnerlessGroup(**row) for row in rows]


async def note_found(conn: Conn, groups: list[int], *, grace_s: float, gap_s: float) -> set[int]:
    """Note that a sweep found these groups; return those that all have found for `grace_s`.

    Never one that is found for the first time; nor one that no sweep has looked for in `gap_s`.
    """
    rows = await conn.fetch(
        """
        -- ownership.note_found
        WITH noted AS (
            INSERT INTO realtime.ownerless_groups AS o (conversation_id)
            SELECT * FROM unnest($1::bigint[])
                ON CONFLICT (conversation_id) DO UPDATE
               SET seen_at = now(),
                   found_at = CASE WHEN o.seen_at < now() - make_interval(secs => $3)
                                   THEN now() ELSE o.found_at END
            RETURNING o.conversation_id, o.found_at
        )
        SELECT conversation_id FROM noted
         WHERE found_at < now() AND found_at <= now() - make_interval(secs => $2)
        """,
        groups,
        grace_s,
        gap_s,
    )
    return {row["conversation_id"] for row in rows}


async def forget_others(conn: Conn, groups: list[int]) -> None:
    """Forget groups that this sweep did not find: they have an owner, or nobody who could be."""
    await conn.execute(
        """
        -- ownership.forget_others
        DELETE FROM realtime.ownerless_groups WHERE conversation_id <> ALL ($1)
        """,
        groups,
    )
