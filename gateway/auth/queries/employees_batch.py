"""SQL for several employees at once: those of hellos at the same time, and their colleagues."""

from __future__ import annotations

from collections.abc import Collection

from gateway.auth.queries.employees import EmployeeRecord, to_employee, to_record
from gateway.db import Conn
from gateway.protocol import Employee


async def find_records(
    conn: Conn, employee_ids: Collection[int], token_ids: Collection[str]
) -> tuple[dict[int, EmployeeRecord], frozenset[str]]:
    """Return these employees' records, without those that the CRM no longer has.

    And which of these tokens are revoked, unless there is no employee at all.
    """
    rows = await conn.fetch(
        """
        -- employees_batch.find_records
        SELECT e.id, e.name, e.department, e.position, e.avatar_url, e.active,
               ARRAY(SELECT p.permission FROM crm.permissions AS p
                      WHERE p.employee_id = e.id) AS permissions,
               ARRAY(SELECT r.token_id FROM realtime.revoked_tokens AS r
                      WHERE r.token_id = ANY ($2::text[])) AS revoked
          FROM unnest($1::bigint[]) AS asked (id)
          JOIN crm.employees AS e ON e.id = asked.id
        """,
        list(employee_ids),
        list(token_ids),
    )
    revoked = frozenset(rows[0]["revoked"]) if rows else frozenset()
    return {row["id"]: to_record(row) for row in rows}, revoked


async def find_profiles(conn: Conn, employee_ids: Collection[int]) -> list[Employee]:
    """Return these employees, also inactive ones; those that the CRM no longer has are left out."""
    rows = await conn.fetch(
        """
        -- employees_batch.find_profiles
        SELECT e.id, e.name, e.department, e.position, e.avatar_url
          FROM unnest($1::bigint[]) AS asked (id)
          JOIN crm.employees AS e ON e.id = asked.id
        """,
        list(employee_ids),
    )
    return [to_employee(row) for row in rows]
