"""SQL for the audit: one function per statement."""

from __future__ import annotations

from typing import Any

from gateway.db import Conn


async def record(
    conn: Conn,
    act: str,
    *,
    actor_id: int | None,
    conversation_id: int | None = None,
    seq: int | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Write down who did what, in the transaction that does it; `act` is `noun.verb`."""
    await conn.execute(
        """
        -- audit.record
        INSERT INTO realtime.audit (act, actor_id, conversation_id, seq, details)
        VALUES ($1, $2, $3, $4, $5)
        """,
        act,
        actor_id,
        conversation_id,
        seq,
        details or {},
    )
