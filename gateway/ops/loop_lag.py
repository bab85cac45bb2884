"""The delay of the event loop, which every client of this worker waits for.

app ─▶ LoopLag ─▶ metrics, and whatever measures another server's silence. It has a timer of its
own, ten times a second (5 µs of CPU each), because the timing wheel ticks too seldom to see a
stall of 50 ms.
"""

from __future__ import annotations

import asyncio
import time

from gateway.ops.histogram import Histogram

EVERY_S = 0.1
LONGEST_S = 0.15
"""The largest advance of lived_s() between two calls of the timer."""


class LoopLag:
    """A timer that records the delay of each of its calls."""

    def __init__(self, lateness: Histogram) -> None:
        self.lateness = lateness
        self._due_at = 0.0
        self._handle: asyncio.TimerHandle | None = None
        self._lived_s = 0.0
        self._called_at = time.monotonic()

    def lived_s(self) -> float:
        """Return seconds since the start during which the event loop was responsive.

        Use it to time another server's answer: a stall of this event loop does not count as that
        server's delay.
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
