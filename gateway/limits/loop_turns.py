"""Work that may wait takes one step in each turn of the event loop: what is urgent waits for one.

http, session ─▶ LoopTurns. An event loop runs all callbacks that are ready before it reads from a
socket again. A hundred pages that are made at the same time hold a message up a hundred times, at
each of its own steps. Here the pages wait for one another, owner by owner, and the message waits
for one step of one page. While something urgent is being done, steps also rest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from gateway.limits.turn_queue import TurnQueue, was_given

T = TypeVar("T")
Owner: TypeAlias = Hashable | Callable[[], Hashable]
"""Whose turns they are; a function is asked before each step."""

TURN_S = 0.0005
"""Steps begin until so much time of a turn is used: one long step, or several short ones."""
REST = 2.0
"""Times as long as a step took, none begins while something urgent is being done."""
SHORTEST_S = 0.001
"""Shorter rests are added up: the loop's timers count milliseconds."""


class LoopTurns:
    """Divides the turns of one event loop among owners; each owner's work in its order."""

    def __init__(self, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._queue = TurnQueue()
        self._used_s = 0.0
        """Of this turn, by steps."""
        self._granted = 0
        """Steps that may begin, and have not yet."""
        self._watches = False
        """Whether the next turn is noticed."""
        self._stepping: set[asyncio.Task[Any] | None] = set()
        """Tasks whose steps take turns."""
        self._pressing: set[asyncio.Task[Any] | None] = set()
        """Tasks whose steps take none now: others wait for what they hold."""
        self._urgent = 0
        self._owed_s = 0.0
        self._rests_until = 0.0

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """Let steps rest until the end of the block."""
        self._urgent += 1
        try:
            yield
        finally:
            self._urgent -= 1
            if not self._urgent:
                self._owed_s = self._rests_until = 0.0
                if self._queue:
                    self._watch()

    def takes_turns(self) -> bool:
        """Return whether the steps of this task take turns."""
        return asyncio.current_task() in self._stepping

    @contextmanager
    def pressing(self) -> Iterator[None]:
        """Let this task's steps wait for no turn until the end of the block.

        It holds a lock, or something else that what is urgent waits for.
        """
        task = asyncio.current_task()
        before = task in self._pressing
        self._pressing.add(task)
        try:
            yield
        finally:
            if not before:
                self._pressing.discard(task)

    async def run(self, owner: Owner, work: Coroutine[Any, Any, T]) -> T:
        """Do this work step by step, in the caller's task; return its result.

        A step goes from one wait to the next. What the work starts as tasks takes no turns. Work
        within such work takes none of its own: its task would wait for a turn that it has.
        """
        if self.takes_turns():
            return await work
        task = asyncio.current_task()
        self._stepping.add(task)
        try:
            return await _Stepped(self, owner, work)
        finally:
            self._stepping.discard(task)

    def take(self, owner: Hashable) -> Generator[Any, Any, None]:
        """Wait until a step of this owner may begin."""
        if self._pressing and asyncio.current_task() in self._pressing:
            return
        if self._used_s < TURN_S and not (self._queue or self._granted or self._is_resting()):
            return
        turn = self._queue.wait(owner)
        self._watch()
        try:
            yield from turn
        finally:
            if was_given(turn):
                self._granted -= 1

    @contextmanager
    def step(self) -> Iterator[None]:
        """Count the block as a step."""
        began = self._clock()
        try:
            yield
        finally:
            took_s = self._clock() - began
            self._used_s += took_s
            if self._urgent:
                self._owed_s += REST * took_s
                if self._owed_s >= SHORTEST_S:
                    self._rests_until = self._clock() + self._owed_s
                    self._owed_s = 0.0
            self._watch()

    def _is_resting(self) -> bool:
        return self._rests_until > 0.0 and self._clock() < self._rests_until

    def _watch(self) -> None:
        if not self._watches:
            self._watches = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._watches, self._used_s = False, 0.0
        if self._granted:  # its task runs in this turn
            self._watch()
        elif self._queue:
            if self._is_resting():
                rest_s = self._rests_until - self._clock()
                asyncio.get_running_loop().call_later(max(rest_s, SHORTEST_S), self._rested)
                return
            self._granted += self._queue.give()
            self._watch()

    def _rested(self) -> None:
        if self._queue:
            self._watch()


class _Stepped(Awaitable[T]):
    """A coroutine whose steps take turns; for its task they are steps of its own."""

    def __init__(self, turns: LoopTurns, owner: Owner, work: Coroutine[Any, Any, T]) -> None:
        self._turns = turns
        self._owner = owner if callable(owner) else lambda: owner
        self._work = work

    def __await__(self) -> Generator[Any, Any, T]:
        error: BaseException | None = None
        try:
            while True:
                if error is None:
                    try:
                        yield from self._turns.take(self._owner())
                    except BaseException as thrown:  # noqa: BLE001 - the work decides what follows
                        error = thrown
                try:
                    with self._turns.step():
                        awaited = (
                            self._work.send(None) if error is None else self._work.throw(error)
                        )
                except StopIteration as end:
                    result: T = end.value
                    return result
                error = None
                try:
                    yield awaited
                except BaseException as thrown:  # noqa: BLE001 - a cancellation, mostly
                    error = thrown
        finally:
            self._work.close()
