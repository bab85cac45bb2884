"""How late the event loop is: what everyone on this worker waits for, whatever they asked.

A timer of its own, ten times a second (5 µs of CPU each): the wheel ticks too seldom to see a
stall of 50 ms. It is a clock as well, for who must not blame others for such a stall.
"""

from __future__ import annotations

import asyncio
import time

from gateway.ops.histogram import Histogram

EVERY_S = 0.1
LONGEST_S = 0.15
"""The clock goes on by so much at most from one call of the timer to the next."""


class LoopLag:
    """A timer that counts how late it is called."""

    def __init__(self, lateness: Histogram) -> None:
        self.lateness = lateness
        self._due_at = 0.0
        self._handle: asyncio.TimerHandle | None = None
        self._lived_s = 0.0
        self._called_at = time.monotonic()

    def lived_s(self) -> float:
        """Return a time in seconds that stands still while the event loop does.

        What waits for an answer by this clock has waited for somebody else: however long the loop
        was busy with something, it was not the answer that was late.
        """
        return self._lived_s + min(time.monotonic() - self._called_at, LONGEST_S)

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._due_at = loop.time() + EVERY_S
        self._handle = loop.call_at(self._due_at, self._called)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _called(self) -> None:
        # uvloop's clock has 1 ms, and may be that much early.
        late_s = asyncio.get_running_loop().time() - self._due_at
        self.lateness.observe(max(0.0, late_s))
        self._lived_s, self._called_at = self.lived_s(), time.monotonic()
        self.start()
