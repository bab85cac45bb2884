"""The audit as it is read over HTTP: who did what to conversations that were not only theirs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.protocol.frame import Id, Position, frame

MAX_RECORDS = 100


@frame
class AuditRecord:
    """One act; written in the transaction of what it tells of."""

    id: Id
    at: datetime
    actor_id: Id | None
    """Null: the gateway itself."""
    act: str
    """`noun.verb`, like the command that did it."""
    conversation_id: Id | None
    seq: Position | None
    """Of the message it was done to."""
    details: dict[str, Any]


@frame
class AuditPage:
    """Acts, the newest first."""

    records: list[AuditRecord]
    next: Id | None = None
    """Give it as `before` for the next page; null when this is the last."""
