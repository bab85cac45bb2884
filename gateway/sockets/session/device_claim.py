"""What a session claims for its device; gateway/sockets/admission/devices.py compares claims."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple


class DeviceClaim(NamedTuple):
    """One session's claim; of two rivals the lower one is closed."""

    at_ms: int
    """When the session sent hello, in milliseconds since 1970."""
    session: str
    kind: str
    device: str

    def rivals(self, other: DeviceClaim, replaced_kinds: Collection[str]) -> bool:
        """Return whether a user may have only one of these two."""
        if self.session == other.session:
            return False
        same_kind = self.kind == other.kind and self.kind in replaced_kinds
        return same_kind or self.device == other.device
