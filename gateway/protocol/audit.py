"""The audit over HTTP: who did what to conversations that are not only the actor's own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.protocol.frame import Id, Position, frame

MAX_RECORDS = 100


@frame
class AuditRecord:
    """One entry; written in the same transaction as the change that it records."""

    id: Id
    at: datetime
    actor_id: Id | None
    """null: the gateway itself."""
    act: str
    """`noun.verb`, as the command that did it."""
    conversation_id: Id | None
    seq: Position | None
    """The seq of the message concerned."""
    details: dict[str, Any]


@frame
class AuditPage:
    """Entries, newest first."""

    records: list[AuditRecord]
    next: Id | None = None
    """Pass it as `before` for the next page; null on the last page."""
