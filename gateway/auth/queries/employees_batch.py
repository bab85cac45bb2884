"""SQL for several employees at once: those who say hello together, and their colleagues."""

from __future__ import annotations

from collections.abc import Collection

from gateway.auth.queries.employees import Found, to_employee, to_found
from gateway.db import Conn
from gateway.protocol import Employee


async def standing(conn: Conn, employee_ids: Collection[int]) -> dict[int, Found]:
    """Return these employees as the CRM has them now; who is gone is left out."""
    rows = await conn.fetch(
        """
        -- employees_batch.standing
        SELECT e.id, e.name, e.department, e.position, e.avatar_url, e.active,
               ARRAY(SELECT p.permission FROM crm.permissions AS p
                      WHERE p.employee_id = e.id) AS permissions
          FROM unnest($1::bigint[]) AS asked (id)
          JOIN crm.employees AS e ON e.id = asked.id
        """,
        list(employee_ids),
    )
    return {row["id"]: to_found(row) for row in rows}


async def named(conn: Conn, employee_ids: Collection[int]) -> list[Employee]:
    """Return these employees, also those who have left; who is gone is left out."""
    rows = await conn.fetch(
        """
        -- employees_batch.named
        SELECT e.id, e.name, e.department, e.position, e.avatar_url
          FROM unnest($1::bigint[]) AS asked (id)
          JOIN crm.employees AS e ON e.id = asked.id
        """,
        list(employee_ids),
    )
    return [to_employee(row) for row in rows]
