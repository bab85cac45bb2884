"""How late the event loop is: what everyone on this worker waits for, whatever they asked.

A timer of its own, ten times a second (5 µs of CPU each): the wheel ticks too seldom to see a
stall of 50 ms.
"""

from __future__ import annotations

import asyncio

from gateway.ops.histogram import Histogram

EVERY_S = 0.1


class LoopLag:
    """A timer that counts how late it is called."""

    def __init__(self, lateness: Histogram) -> None:
        self._lateness = lateness
        self._due_at = 0.0
        self._handle: asyncio.TimerHandle | None = None

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
        self._lateness.observe(max(0.0, late_s))
        self.start()
