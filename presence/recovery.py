"""When a store that has lost its data can again say that somebody is offline.

NodeLease, MemoryPresence ─▶ RecoveryWindow ─▶ `default_version` and `recovery_remaining_s` of a
PresenceStore. After Redis came back empty, a missing record does not mean "offline" until every
node has had the time to write its people again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class RecoveryWindow:
    """The time in which a missing record does not yet mean offline.

    `version` is what people without a record get afterwards.
    """

    version: int = 0
    ends_at: float = 0.0
    """By the monotonic clock."""

    @classmethod
    def within(cls, wait_s: float, version: int) -> Self:
        """Return a window that ends in this many seconds."""
        return cls(version, time.monotonic() + wait_s)

    @property
    def default_version(self) -> int:
        return self.version if time.monotonic() >= self.ends_at else 0

    @property
    def remaining_s(self) -> float:
        return max(0.0, self.ends_at - time.monotonic())
