"""SQL for the audit of what was done with calls."""

from __future__ import annotations

from typing import Any

from gateway.db import Conn


async def record(conn: Conn, act: str, *, actor_id: int, details: dict[str, Any]) -> None:
    """Write who did what, in the transaction that does it; `act` is `noun.verb`."""
    await conn.execute(
        """
        -- audit.record
        INSERT INTO realtime.audit (act, actor_id, details) VALUES ($1, $2, $3)
        """,
        act,
        actor_id,
        details,
    )
