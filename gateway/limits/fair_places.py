"""A number of places, which go round by owner when there are fewer than are wanted.

reads ─▶ FairPlaces. Without it, whoever asks for a hundred pages at the same time has every
database connection of the node until the last of them is read, and others wait behind them all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable

from gateway.limits.turn_queue import TurnQueue, was_given


class FairPlaces:
    """Lends a fixed number of places."""

    def __init__(self, size: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = size
        self._clock = clock
        self._queue = TurnQueue()
        self._waiting: dict[Hashable, dict[asyncio.Future[None], float]] = {}
        """Owner → their tasks that wait → since when."""

    def longest_wait_s(self) -> float:
        """Return the longest wait of an owner who waits once, since it is once.

        Who has several requests waits for their own, up to the last of them.
        """
        began = [
            next(iter(theirs.values())) for theirs in self._waiting.values() if len(theirs) == 1
        ]
        return self._clock() - min(began) if began else 0.0

    async def take(self, owner: Hashable) -> None:
        """Wait for a place; whoever got one gives it back."""
        if self._free:
            self._free -= 1
            return
        turn = self._queue.wait(owner)
        theirs = self._waiting.setdefault(owner, {})
        theirs[turn] = self._clock()
        try:
            await turn
        except BaseException:
            if was_given(turn):
                self.give_back()
            raise
        finally:
            del theirs[turn]
            if len(theirs) == 1:
                theirs[next(iter(theirs))] = self._clock()
            elif not theirs:
                del self._waiting[owner]

    def give_back(self) -> None:
        """End the use of a place."""
        if not self._queue.give():
            self._free += 1
