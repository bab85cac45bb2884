"""One rate for each of many keys, such as employees or addresses, in a table of bounded size.

rest ─▶ KeyedRate. A key that is not in the table has used nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.limits.rate import Rate

MAX_KEYS = 10_000
"""With more, the key that was used least recently is forgotten: 1 MB for addresses."""

K = TypeVar("K")


class KeyedRate(Generic[K]):
    """The same rate for every key."""

    def __init__(
        self, per_s: float, burst: float, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = Rate(per_s, burst)
        self._now = now
        self._spent_until: dict[K, float] = {}

    def __len__(self) -> int:
        """Return the number of keys in the table."""
        return len(self._spent_until)

    def acquire(self, key: K) -> float:
        """Use one; return 0.0 when granted, else the seconds until it would be."""
        now = self._now()
        spent_until = self._spent_until.pop(key, 0.0)
        wait_s = self._rate.wait_s(spent_until, now)
        if not wait_s:
            spent_until = self._rate.spend(spent_until, now)
        self._keep(key, spent_until)
        return wait_s

    def charge(self, key: K, units: int) -> None:
        """Use more after one was granted: what follows waits until the rate has made up for it."""
        self._keep(key, self._rate.spend(self._spent_until.pop(key, 0.0), self._now(), units))

    def _keep(self, key: K, spent_until: float) -> None:
        self._spent_until[key] = spent_until  # at the end: the oldest are forgotten first
        if len(self._spent_until) > MAX_KEYS:
            del self._spent_until[next(iter(self._spent_until))]
