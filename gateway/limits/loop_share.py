"""Steps of much CPU that many tasks take on one event loop: one at a time, and with rests.

search ─▶ LoopShare. If each of ten tasks takes 8 ms and then lets others run, the loop is held for
80 ms: the nine are among the others. Turns go round by owner: who has forty tasks has one turn,
and somebody with one task has one, too.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

T = TypeVar("T")

REST = 2.0
"""Times as long as steps took, nobody takes one."""
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
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}
        """Owner → their tasks that wait; the owner whose turn is next comes first."""
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

    async def _take_turn(self, owner: Hashable) -> None:
        if not self._taken:
            self._taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was given, too late
                self._pass_turn(owner)
            raise

    def _pass_turn(self, owner: Hashable) -> None:
        """Give the turn to the owner who has waited longest for one; this one comes last."""
        if others := self._waiting.pop(owner, None):
            self._waiting[owner] = others
        while self._waiting:
            following = next(iter(self._waiting))
            tasks = self._waiting[following]
            turn = tasks.popleft()
            if not tasks:
                del self._waiting[following]
            if not turn.done():  # not cancelled
                turn.set_result(None)
                return
        self._taken = False
