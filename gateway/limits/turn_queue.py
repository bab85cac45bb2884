"""Who waits for a turn, in the order in which turns are given: round the owners, one each.

LoopShare, LoopTurns, FairPlaces ─▶ TurnQueue. Who has forty tasks that wait has one turn, and
somebody with one task has one, too. An owner's own tasks keep their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable


class TurnQueue:
    """Futures of those who wait, by owner; the owner whose turn is next comes first."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def wait(self, owner: Hashable) -> asyncio.Future[None]:
        """Return a future that is done when it is this task's turn."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        return turn

    def give(self) -> bool:
        """Give the turn to the next owner, who comes last then; False when nobody waits."""
        while self._waiting:
            owner = next(iter(self._waiting))
            tasks = self._waiting.pop(owner)
            turn = tasks.popleft()
            if tasks:
                self._waiting[owner] = tasks
            if not turn.done():  # not cancelled
                turn.set_result(None)
                return True
        return False

    def put_last(self, owner: Hashable) -> None:
        """Have this owner, who has just had a turn, come after all who wait now."""
        if tasks := self._waiting.pop(owner, None):
            self._waiting[owner] = tasks


def was_given(turn: asyncio.Future[None]) -> bool:
    """Return whether it is this task's turn; also when its task is cancelled, too late."""
    return turn.done() and not turn.cancelled()
