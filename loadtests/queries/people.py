"""SQL for people to play: more employees than the demo CRM has."""

from __future__ import annotations

import asyncpg


async def hire(conn: asyncpg.Connection[asyncpg.Record], count: int) -> list[int]:
    """Add employees to the demo CRM and return their ids."""
    rows = await conn.fetch(
        """
        -- people.hire
        INSERT INTO demo_crm.staff (id, full_name, department_id, job_title, role_id)
        SELECT last.id + n, 'Load tester ' || n, 1, 'Sales agent', 1
          FROM (SELECT max(id) AS id FROM demo_crm.staff) AS last,
               generate_series(1, $1::bigint) AS n
        RETURNING id
        """,
        count,
    )
    return [row["id"] for row in rows]
