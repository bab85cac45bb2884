"""SQL for the directory of employees."""

from __future__ import annotations

from gateway.auth.queries.employees import to_employee
from gateway.crm.queries.rows import EMPLOYEES
from gateway.db import Conn
from gateway.protocol import Employee


async def first(conn: Conn, limit: int) -> list[Employee]:
    """Return active employees by name."""
    rows = await conn.fetch(
        f"""
        -- directory.first
        SELECT e.*
          FROM {EMPLOYEES}
         WHERE e.active
         ORDER BY e.name, e.id
         LIMIT $1
        """,  # noqa: S608 - ours
        limit,
    )
    return [to_employee(row) for row in rows]


async def of_department(conn: Conn, department: str, *, after: int, limit: int) -> list[int]:
    """Return the ids of a department's active employees above `after`, in order."""
    rows = await conn.fetch(
        """
        -- directory.of_department
        SELECT id
          FROM crm.employees
         WHERE active AND department = $1 AND id > $2
         ORDER BY id
         LIMIT $3
        """,
        department,
        after,
        limit,
    )
    return [row["id"] for row in rows]
