"""Steps of much CPU that many tasks take on one event loop: one at a time, and with rests.

search ─▶ LoopShare. If each of ten tasks takes 8 ms and then lets others run, the loop is held for
80 ms: the nine are among the others.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

REST = 2.0
"""Times as long as steps took, nobody takes one."""
SHORTEST_S = 0.002
"""Shorter rests are added up: the loop's timers count milliseconds."""


class LoopShare:
    """Lets one step after the other run, in the order in which they were asked for."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.thread_time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._turn = asyncio.Lock()
        self._owed_s = 0.0
        self._clock = clock
        self._sleep = sleep

    async def run(self, step: Callable[[], T]) -> T:
        """Return the result of this step; other tasks of the loop run before the next one."""
        async with self._turn:
            began = self._clock()
            result = step()
            self._owed_s += REST * (self._clock() - began)
            rest_s = self._owed_s if self._owed_s >= SHORTEST_S else 0.0
            self._owed_s -= rest_s
            await self._sleep(rest_s)
        return result
