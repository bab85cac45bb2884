"""AgentMark: the login and the pause of one telephone in one queue, as its PBX last stated them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

Telephone = tuple[str, str]
"""(source, extension)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMark:
    """What a PBX last stated of one telephone in one queue; in all queues where queue is ''."""

    telephone: Telephone
    queue: str
    logged_in: bool | None = None
    """None: the PBX has stated neither a login nor a logoff."""
    login_at: datetime | None = None
    paused: bool = False
    reason: str | None = None
    paused_at: datetime | None = None
