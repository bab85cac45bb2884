"""What several ask at the same time is read once for all of them.

hellos ─▶ Together ─▶ one statement. A question that meets an idle reader is read at once; those
that come while it reads wait and go together. So nobody is served what was read before they asked,
and the busier it is, the fewer statements a question costs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, Protocol, TypeVar

from gateway.errors import GatewayError

Q = TypeVar("Q")
A = TypeVar("A")


class Spawn(Protocol):
    """Runs work as a task of the node."""

    def __call__(self, work: Coroutine[Any, Any, Any], *, name: str) -> None: ...


class Together(Generic[Q, A]):
    """Answers questions in batches: `load` takes a batch, and answers in its order."""

    def __init__(
        self,
        load: Callable[[Sequence[Q]], Awaitable[Sequence[A]]],
        *,
        spawn: Spawn,
        name: str,
        most: int = 16,
    ) -> None:
        self._load = load
        self._spawn = spawn
        self._name = name
        self._most = most
        self._reading = False
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()

    async def ask(self, question: Q) -> A:
        """Return the answer, or raise what reading it raised."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        self._go_on()
        return await answer

    def _go_on(self) -> None:
        while self._waiting and not self._reading:
            batch = self._take()
            if batch:
                self._reading = True
                self._spawn(self._read(batch), name=self._name)

    def _take(self) -> list[tuple[Q, asyncio.Future[A]]]:
        """Take the next batch, without those whose asker has gone."""
        taken = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        return [(question, answer) for question, answer in taken if not answer.done()]

    async def _read(self, batch: list[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            await self._settle(batch)
        finally:
            self._reading = False
            for _, answer in batch:
                answer.cancel()  # this task was cancelled: nobody will answer them
            self._go_on()

    async def _settle(self, batch: list[tuple[Q, asyncio.Future[A]]]) -> None:
        """Answer each of a batch; what one of them trips over must not spoil the others."""
        try:
            found = await self._load([question for question, _ in batch])
        except Exception as error:  # noqa: BLE001 - it is raised by whoever asked
            if len(batch) > 1 and not isinstance(error, GatewayError):
                for one in batch:
                    await self._settle([one])
                return
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), result in zip(batch, found, strict=True):
            if not answer.done():
                answer.set_result(result)
