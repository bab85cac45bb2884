"""SQL for employees and their permissions, through the CRM's contract views."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from gateway.crm.queries.rows import EMPLOYEES
from gateway.db import Conn
from gateway.protocol import Employee


@dataclass(frozen=True, slots=True)
class EmployeeRecord:
    """An employee's present record in the CRM."""

    employee: Employee
    active: bool
    permissions: frozenset[str]
    revoked: bool = False
    """The token that was asked about is revoked."""
    repeated: bool = False
    """crm.employees has several rows with this id: nobody knows which of them this is."""


async def find(
    conn: Conn, employee_id: int, *, token_id: str | None = None
) -> EmployeeRecord | None:
    """Return an employee's record; None when there is no such employee.

    With token_id it says whether this token is revoked.
    """
    rows = await conn.fetch(
        f"""
        -- employees.find
        SELECT e.*,
               ARRAY(SELECT p.permission FROM crm.permissions AS p
                      WHERE p.employee_id = e.id) AS permissions,
               EXISTS (SELECT FROM realtime.revoked_tokens AS r WHERE r.token_id = $2) AS revoked
          FROM {EMPLOYEES}
         WHERE e.id = $1
        """,  # noqa: S608 - ours
        employee_id,
        token_id,
    )
    if not rows:
        return None
    return replace(to_record(rows[0]), revoked=rows[0]["revoked"], repeated=len(rows) > 1)


def to_record(row: Any) -> EmployeeRecord:
    """Make a record of a row with these columns."""
    return EmployeeRecord(to_employee(row), row["active"], _shared(tuple(row["permissions"])))


@lru_cache(maxsize=1_024)
def _shared(permissions: tuple[str, ...]) -> frozenset[str]:
    """Return one set for all employees with these permissions: roles are few, employees many."""
    return frozenset(permissions)


def to_employee(row: Any) -> Employee:
    """Make an employee of a row with these columns."""
    return Employee(
        id=row["id"],
        name=row["name"],
        department=row["department"],
        position=row["position"],
        avatar_url=row["avatar_url"],
        external_id=row["external_id"],
        url=row["url"],
    )
