"""SQL for the directory of employees."""

from __future__ import annotations

from gateway.db import Conn
from gateway.protocol import Employee


async def page(
    conn: Conn, *, text: str, after: tuple[str, int] | None, limit: int
) -> list[Employee]:
    """Return active employees by name; text is part of a name, position or department."""
    rows = await conn.fetch(
        """
        -- directory.page
        SELECT id, name, department, position, avatar_url
          FROM crm.employees
         WHERE active
           AND strpos(lower(concat_ws(' ', name, position, department)), lower($1)) > 0
           AND ($2::text IS NULL OR (name, id) > ($2, $3::bigint))
         ORDER BY name, id
         LIMIT $4
        """,
        text,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return [
        Employee(
            id=row["id"],
            name=row["name"],
            department=row["department"],
            position=row["position"],
            avatar_url=row["avatar_url"],
        )
        for row in rows
    ]
