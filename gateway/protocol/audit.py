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
    source: str | None
    """`socket`, `rest`, `cli`, `job`, or `sql` for what the CRM wrote; null: before it was kept."""
    request_id: str | None
    """The `X-Request-Id` of the request; of a command on a socket, its session and its id."""
    subject: str | None
    """What it is about: `conversation:17`, `call:…`, or what the CRM wrote."""
    details: dict[str, Any]


@frame
class AuditPage:
    """Entries, newest first."""

    records: list[AuditRecord]
    cursor: str | None = None
    """Pass it as `cursor` for the next page; null on the last page."""
    next: Id | None = None
    """The same as an id, to be passed as `before`; for clients of earlier versions."""
