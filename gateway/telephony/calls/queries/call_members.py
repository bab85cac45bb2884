"""SQL for the employees who are, or were, on a call."""

from __future__ import annotations

from uuid import UUID

from gateway.db import Conn


async def agents(conn: Conn, call_id: UUID) -> list[int]:
    """Return the employees whose telephones took part in a call.

    A telephone of one PBX has precedence over one of any PBX, as in lookup.employees.
    """
    rows = await conn.fetch(
        """
        -- call_members.agents
        SELECT DISTINCT who.employee_id
          FROM realtime.call_sessions AS c
          JOIN realtime.call_legs AS l ON l.call_id = c.id AND l.extension IS NOT NULL
         CROSS JOIN LATERAL (
               SELECT x.employee_id
                 FROM crm.extensions AS x
                WHERE x.extension = l.extension AND x.source IN (c.source, '*')
                ORDER BY x.source = '*', x.employee_id
                LIMIT 1) AS who
         WHERE c.id = $1
         ORDER BY who.employee_id
        """,
        call_id,
    )
    return [row["employee_id"] for row in rows]
