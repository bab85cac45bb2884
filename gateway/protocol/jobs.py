"""Background jobs that failed for good, over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.protocol.frame import Id, frame

MAX_DEAD_JOBS = 100


@frame
class DeadJob:
    """One job that failed for good; kept for 30 days."""

    id: Id
    died_at: datetime
    error_code: str
    """`lost`: three workers died with it. `unknown_kind`: no version has known it for a week."""
    queue: str
    kind: str
    dedupe_key: str | None
    created_at: datetime
    attempts: int
    lost: int
    """How many workers lost it."""
    payload: dict[str, Any]


@frame
class DeadJobPage:
    """Dead jobs, the newest first."""

    jobs: list[DeadJob]
    next: Id | None = None
    """Pass it as `before` for the next page; null on the last page."""


@frame
class DeadJobRetried:
    """A dead job was ordered again; it is due at once."""

    id: Id
    kind: str
