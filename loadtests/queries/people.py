"""SQL for people to play: more employees than the demo CRM has."""

from __future__ import annotations

from collections.abc import Sequence

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


async def give_phones(
    conn: asyncpg.Connection[asyncpg.Record],
    employee_ids: Sequence[int],
    extensions: Sequence[str],
    *,
    pbx: str = "bench",
) -> None:
    """Put a telephone of this PBX on each one's desk."""
    await conn.execute(
        """
        -- people.give_phones
        INSERT INTO demo_crm.desk_phones (pbx, extension, staff_id)
        SELECT $3, extension, staff_id
          FROM unnest($1::text[], $2::bigint[]) AS given (extension, staff_id)
            ON CONFLICT (pbx, extension) DO UPDATE SET staff_id = excluded.staff_id
        """,
        extensions,
        employee_ids,
        pbx,
    )


async def make_heads(conn: asyncpg.Connection[asyncpg.Record], employee_ids: Sequence[int]) -> None:
    """Give them the demo CRM's role `head`, which may watch queues and read statistics."""
    await conn.execute(
        """
        -- people.make_heads
        UPDATE demo_crm.staff SET role_id = 3 WHERE id = ANY ($1::bigint[])
        """,
        employee_ids,
    )
