"""SQL for several employees at once: the colleagues in the lists of those who say hello."""

from __future__ import annotations

from collections.abc import Collection

from gateway.auth.queries.employees import to_employee
from gateway.crm.queries.rows import EMPLOYEES
from gateway.db import Conn
from gateway.protocol import Employee


async def find_profiles(conn: Conn, employee_ids: Collection[int]) -> list[Employee]:
    """Return these employees, also inactive ones; those that the CRM no longer has are left out."""
    rows = await conn.fetch(
        f"""
        -- employees_batch.find_profiles
        SELECT e.*
          FROM unnest($1::bigint[]) AS asked (id)
          JOIN ({EMPLOYEES}) ON e.id = asked.id
        """,  # noqa: S608 - ours
        list(employee_ids),
    )
    return [to_employee(row) for row in rows]
