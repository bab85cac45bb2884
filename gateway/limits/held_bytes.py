"""Bytes that are held for somebody: so many for each owner, and so many in all.

listener ─▶ HeldBytes ─▶ cut of the holder that has held its bytes for longest. A new holder is
never the one that is cut, so who comes back with patience gets an answer.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol


class Holder(Protocol):
    """What holds bytes, such as a connection."""

    def cut(self, why: str) -> None:
        """Let go of the bytes at once."""


class HeldBytes:
    """Who holds how many bytes for whom."""

    def __init__(self, *, per_owner: int, in_all: int, why: str) -> None:
        """`why` is what a holder is told that is cut."""
        self._per_owner = per_owner
        self._in_all = in_all
        self._why = why
        self._held: dict[Holder, tuple[Hashable, int]] = {}
        self._owners: dict[Hashable, dict[Holder, int]] = {}
        self._of_owner: dict[Hashable, int] = {}
        self.total = 0

    def held_for(self, owner: Hashable) -> int:
        """Return the bytes that are held for one owner."""
        return self._of_owner.get(owner, 0)

    def hold(self, holder: Holder, owner: Hashable | None, size: int) -> None:
        """Count the bytes of a holder; cut others while there are too many.

        Without an owner they count in all only.
        """
        self.release(holder)
        self._held[holder] = owner, size
        self.total += size
        if owner is not None:
            self._owners.setdefault(owner, {})[holder] = size
            self._of_owner[owner] = self._of_owner.get(owner, 0) + size
            while self._of_owner[owner] > self._per_owner and len(self._owners[owner]) > 1:
                self._cut(next(iter(self._owners[owner])))
        while self.total > self._in_all and len(self._held) > 1:
            self._cut(next(iter(self._held)))

    def release(self, holder: Holder) -> None:
        """Count the bytes of a holder no longer."""
        owner, size = self._held.pop(holder, (None, 0))
        self.total -= size
        if owner is None:
            return
        del self._owners[owner][holder]
        self._of_owner[owner] -= size
        if not self._owners[owner]:
            del self._owners[owner], self._of_owner[owner]

    def _cut(self, holder: Holder) -> None:
        self.release(holder)
        holder.cut(self._why)
