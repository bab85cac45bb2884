"""SQL for the employees that the demo shows first."""

from __future__ import annotations

from gateway.db.conn import Conn


async def with_telephones(conn: Conn, limit: int) -> list[tuple[int, str]]:
    """Return (id, name) of active employees with a phone, in the order of extensions."""
    rows = await conn.fetch(
        """
        -- people.with_telephones
        SELECT e.id, e.name
          FROM crm.employees AS e
          JOIN crm.extensions AS x ON x.employee_id = e.id
         WHERE e.active
         GROUP BY e.id, e.name
         ORDER BY min(x.extension), e.id
         LIMIT $1
        """,
        limit,
    )
    return [(row["id"], row["name"]) for row in rows]
