"""SQL for the directory of employees."""

from __future__ import annotations

from gateway.auth.queries.employees import to_employee
from gateway.db import Conn
from gateway.protocol import Employee


async def first(conn: Conn, limit: int) -> list[Employee]:
    """Return active employees by name."""
    rows = await conn.fetch(
        """
        -- directory.first
        SELECT id, name, department, position, avatar_url
          FROM crm.employees
         WHERE active
         ORDER BY name, id
         LIMIT $1
        """,
        limit,
    )
    return [to_employee(row) for row in rows]
