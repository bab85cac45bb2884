"""Rates: how often, on average and at once. In process, 0.3 µs a question.

A rate keeps nothing itself: who is limited keeps one number, the time until which it has spent
its due (the generic cell rate algorithm, ITU-T I.371). So a quiet connection costs nothing.
"""

from __future__ import annotations

import time

ROUNDING_S = 1e-6
"""Sums of fractions of a second are off by less than this: not worth a refusal."""


class Rate:
    """Lets `burst` through at once and `per_s` on average."""

    __slots__ = ("each_s", "slack_s")

    def __init__(self, per_s: float, burst: float) -> None:
        self.each_s = 1.0 / per_s
        self.slack_s = max(0.0, burst - 1.0) * self.each_s

    def wait_s(self, spent_until: float, now: float) -> float:
        """Return 0.0 when one more may pass now, else the seconds until it may."""
        wait_s = spent_until - now - self.slack_s
        return wait_s if wait_s > ROUNDING_S else 0.0

    def spend(self, spent_until: float, now: float) -> float:
        """Take one; return until when its due is spent from now on."""
        return max(spent_until, now) + self.each_s


class Bucket:
    """A rate, and how much of it one somebody has spent."""

    __slots__ = ("_rate", "_spent_until")

    def __init__(self, per_s: float, burst: float) -> None:
        self._rate = Rate(per_s, burst)
        self._spent_until = 0.0

    def acquire(self) -> float:
        """Take one; return 0.0 when there was one, else the seconds until there is."""
        now = time.monotonic()
        wait_s = self._rate.wait_s(self._spent_until, now)
        if not wait_s:
            self._spent_until = self._rate.spend(self._spent_until, now)
        return wait_s
