"""SQL for employees and their permissions, through the CRM's contract views."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from gateway.db import Conn
from gateway.protocol import Employee


@dataclass(frozen=True, slots=True)
class Found:
    """An employee as the CRM has them now."""

    employee: Employee
    active: bool
    permissions: frozenset[str]


async def find(conn: Conn, employee_id: int) -> Found | None:
    """Return the employee with their permissions; None when there is no such one."""
    row = await conn.fetchrow(
        """
        -- employees.find
        SELECT e.id, e.name, e.department, e.position, e.avatar_url, e.active,
               ARRAY(SELECT p.permission FROM crm.permissions AS p
                      WHERE p.employee_id = e.id) AS permissions
          FROM crm.employees AS e
         WHERE e.id = $1
        """,
        employee_id,
    )
    return _to_found(row) if row else None


async def standing(conn: Conn, employee_ids: Collection[int]) -> dict[int, Found]:
    """Return these employees as the CRM has them now; who is gone is left out."""
    rows = await conn.fetch(
        """
        -- employees.standing
        SELECT e.id, e.name, e.department, e.position, e.avatar_url, e.active,
               ARRAY(SELECT p.permission FROM crm.permissions AS p
                      WHERE p.employee_id = e.id) AS permissions
          FROM crm.employees AS e
         WHERE e.id = ANY ($1::bigint[])
        """,
        list(employee_ids),
    )
    return {row["id"]: _to_found(row) for row in rows}


def _to_found(row: Any) -> Found:
    employee = Employee(
        id=row["id"],
        name=row["name"],
        department=row["department"],
        position=row["position"],
        avatar_url=row["avatar_url"],
    )
    return Found(employee, row["active"], frozenset(row["permissions"]))
