"""From when on a store that may have forgotten can say who is not here.

lease, memory ─▶ RecoveryWindow ─▶ default_version and recovery_remaining_s of a PresenceStore.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class RecoveryWindow:
    """The version of whoever nothing is known of, once it is certain."""

    version: int = 0
    since: float = 0.0
    """By the monotonic clock."""

    @classmethod
    def within(cls, wait_s: float, version: int) -> Self:
        """Return one that begins in so many seconds."""
        return cls(version, time.monotonic() + wait_s)

    @property
    def default_version(self) -> int:
        return self.version if time.monotonic() >= self.since else 0

    @property
    def remaining_s(self) -> float:
        return max(0.0, self.since - time.monotonic())
