"""A crowd at the door: so many at once, a short queue, and appointments for the rest.

Who would wait too long is told at once when to come back, each at a time of its own, so that
the queue is as long then as it is now and nobody waits in vain.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MAX_RETRY_S = 10.0
"""Appointments further away are spread over the second half of this time, and whoever comes too
early gets another. While a crowd connects, turns take several times longer than afterwards:
with 30 s here, 4,000 clients were back in 44 s instead of 18."""

FIRST_GUESS_S = 0.02
WEIGHT = 0.05
"""How much the newest turn counts in how long turns are said to take."""


class AdmissionQueue:
    """Lets `at_once` work at the same time, and others wait for up to about `wait_s`."""

    def __init__(self, at_once: int, wait_s: float) -> None:
        self._at_once = at_once
        self._wait_s = wait_s
        self._slots = asyncio.Semaphore(at_once)
        self._each_s = FIRST_GUESS_S
        self._booked_until = 0.0
        self.waiting = 0

    @property
    def expected_s(self) -> float:
        """How long whoever comes now would wait."""
        return self.waiting * self._each_s / self._at_once

    def retry_after_s(self, now: float) -> float:
        """Return 0.0 when a turn comes soon enough, else in how many seconds to ask again."""
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
        """Wait for a turn, first come, first served; it ends with the context."""
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
