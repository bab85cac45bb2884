"""SQL for the catalogue of dispositions, which the CRM writes."""

from __future__ import annotations

from uuid import UUID

from gateway.db import Conn
from gateway.protocol.annotations import Disposition


async def is_allowed(conn: Conn, call_id: UUID, code: str) -> bool:
    """Whether this disposition is active, and for calls of this call's direction."""
    found: bool = await conn.fetchval(
        """
        -- dispositions.is_allowed
        SELECT EXISTS (
            SELECT FROM realtime.dispositions AS d
              JOIN realtime.call_sessions AS c ON c.id = $1
             WHERE d.code = $2 AND d.active
               AND (d.direction IS NULL OR d.direction = c.direction))
        """,
        call_id,
        code,
    )
    return found


async def page(
    conn: Conn, *, after: tuple[int, str] | None, limit: int
) -> list[tuple[int, Disposition]]:
    """Return (position, disposition), in the order of the positions."""
    rows = await conn.fetch(
        """
        -- dispositions.page
        SELECT position, code, label, direction, active
          FROM realtime.dispositions
         WHERE $1::int IS NULL OR (position, code) > ($1, $2::text)
         ORDER BY position, code
         LIMIT $3
        """,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return [
        (row["position"], Disposition(**{k: v for k, v in row.items() if k != "position"}))
        for row in rows
    ]
