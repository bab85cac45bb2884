"""Admits a burst of clients: a fixed number at once, a short queue, and a retry time for the rest.

admission (hello) ─▶ AdmissionQueue. A client that would wait too long gets at once the time at
which to retry. Each gets its own time, so that the queue is no longer then than it is now.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MAX_RETRY_S = 10.0
"""Retry times further away are spread over the second half of this time, and a client that comes
too early gets another one. While many clients connect, each takes several times longer than
afterwards: with 30 s here, 4,000 clients were back in 44 s instead of 18."""

FIRST_GUESS_S = 0.02
WEIGHT = 0.05
"""Weight of the newest duration in the moving average."""


class AdmissionQueue:
    """Admits `at_once` clients at the same time; others wait up to about `wait_s`."""

    def __init__(self, at_once: int, wait_s: float) -> None:
        self._at_once = at_once
        self._wait_s = wait_s
        self._slots = asyncio.Semaphore(at_once)
        self._each_s = FIRST_GUESS_S
        self._booked_until = 0.0
        self.waiting = 0

    @property
    def full(self) -> bool:
        """Return whether every slot is taken."""
        return self._slots.locked()

    @property
    def expected_s(self) -> float:
        """Return how long a client that comes now would wait."""
        return self.waiting * self._each_s / self._at_once

    def retry_after_s(self, now: float) -> float:
        """Return 0.0 when the wait is short enough, else in how many seconds to retry."""
        expected_s = self.expected_s
        if expected_s <= self._wait_s:
            return 0.0
        self._booked_until = max(self._booked_until, now + expected_s)
        self._booked_until += self._each_s / self._at_once
        away_s = self._booked_until - now
        if away_s > MAX_RETRY_S:
            return random.uniform(MAX_RETRY_S / 2, MAX_RETRY_S)  # noqa: S311 - jitter
        return min(away_s * random.uniform(0.9, 1.1), MAX_RETRY_S)  # noqa: S311

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot, first come, first served; it is released at the end of the block."""
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            yield
            self._each_s += WEIGHT * (loop.time() - began - self._each_s)
        finally:
            self._slots.release()
