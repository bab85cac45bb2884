"""SQL for groups whose owners are dismissed."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.db import Conn


@dataclass(frozen=True, slots=True)
class OwnerlessGroup:
    """A group, and one of its owners, who are all dismissed."""

    conversation_id: int
    owner_id: int


async def ownerless(conn: Conn, *, after: int, limit: int) -> list[OwnerlessGroup]:
    """Return groups without an active owner in which somebody active could be one.

    Groups that never had an owner, made by the CRM, are none of them.
    """
    rows = await conn.fetch(
        """
        -- ownership.ownerless
        SELECT p.conversation_id, min(p.employee_id) AS owner_id
          FROM realtime.conversation_participants AS p
          JOIN realtime.conversations AS c ON c.id = p.conversation_id AND c.kind = 'group'
         WHERE p.role = 'owner' AND p.left_seq IS NULL AND p.conversation_id > $1
           AND NOT EXISTS (SELECT FROM crm.employees AS e WHERE e.id = p.employee_id AND e.active)
           AND EXISTS (SELECT
                         FROM realtime.conversation_participants AS o
                         JOIN crm.employees AS e ON e.id = o.employee_id AND e.active
                        WHERE o.conversation_id = p.conversation_id AND o.left_seq IS NULL)
           AND NOT EXISTS (SELECT
                             FROM realtime.conversation_participants AS o
                             JOIN crm.employees AS e ON e.id = o.employee_id AND e.active
                            WHERE o.conversation_id = p.conversation_id AND o.left_seq IS NULL
                              AND o.role = 'owner')
         GROUP BY p.conversation_id
         ORDER BY p.conversation_id
         LIMIT $2
        """,
        after,
        limit,
    )
    return [OwnerlessGroup(row["conversation_id"], row["owner_id"]) for row in rows]
