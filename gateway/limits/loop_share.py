"""Steps of much CPU that many tasks take on one event loop: one at a time, and with rests.

search ─▶ LoopShare. If each of ten tasks takes 8 ms and then lets others run, the loop is held for
80 ms: the nine are among the others. Turns go round by owner.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Hashable
from typing import TypeVar

from gateway.limits.turn_queue import TurnQueue, was_given

T = TypeVar("T")

REST = 2.0
"""Times as long as steps took, nobody takes one."""
TOGETHER_S = 0.001
"""Steps of one task run without a pause until they have taken so long."""
SHORTEST_S = 0.002
"""Shorter rests are added up: the loop's timers count milliseconds."""


class LoopShare:
    """Lets one step after the other run: one of each owner, each owner's in their order."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.thread_time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._taken = False
        """Whether somebody has the turn."""
        self._queue = TurnQueue()
        self._owed_s = 0.0
        self._clock = clock
        self._sleep = sleep

    async def run(self, owner: Hashable, step: Callable[[], T]) -> T:
        """Return the result of this step; other tasks of the loop run before the next one."""
        await self._take_turn(owner)
        try:
            began = self._clock()
            result = step()
            self._owed_s += REST * (self._clock() - began)
            rest_s = self._owed_s if self._owed_s >= SHORTEST_S else 0.0
            self._owed_s -= rest_s
            await self._sleep(rest_s)
        finally:
            self._pass_turn(owner)
        return result

    async def run_all(self, owner: Hashable, steps: Generator[None, None, T]) -> T:
        """Return what these steps return; as many run without a pause as take a millisecond."""
        while True:
            ended = await self.run(owner, lambda: self._run_some(steps))
            if ended is not None:
                return ended[0]

    def _run_some(self, steps: Generator[None, None, T]) -> tuple[T] | None:
        began = self._clock()
        while self._clock() - began < TOGETHER_S:
            try:
                next(steps)
            except StopIteration as end:
                return (end.value,)
        return None

    async def _take_turn(self, owner: Hashable) -> None:
        if not self._taken:
            self._taken = True
            return
        turn = self._queue.wait(owner)
        try:
            await turn
        except asyncio.CancelledError:
            if was_given(turn):
                self._pass_turn(owner)
            raise

    def _pass_turn(self, owner: Hashable) -> None:
        """Give the turn to the owner who has waited longest for one; this one comes last."""
        self._queue.put_last(owner)
        self._taken = self._queue.give()
