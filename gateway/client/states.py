"""What an application learns of its connection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """How the connection is now."""

    name: Literal["connecting", "live", "waiting", "stopped"]
    retry_at: datetime | None = None
    """When the next attempt begins; only while waiting."""
    code: int | None = None
    """The last connection's close code, while waiting or stopped; None: stopped by an error."""
    reason: str = ""


OnState: TypeAlias = Callable[[ConnectionState], object]
