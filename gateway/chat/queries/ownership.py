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
