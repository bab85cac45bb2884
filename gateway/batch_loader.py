"""What several ask at the same time is answered at once for all of them.

hellos, sends ─▶ Together ─▶ one statement. A question that meets an idle reader is taken at once;
those that come while it is busy wait and go together. So nobody is served what was read before
they asked, nobody waits for company, and the busier it is, the fewer statements a question costs.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from gateway.errors import GatewayError, Overloaded

Q = TypeVar("Q")
A = TypeVar("A")


class Spawn(Protocol):
    """Runs work as a task of the node."""

    def __call__(self, work: Coroutine[Any, Any, Any], *, name: str) -> None: ...


class PendingRequest(NamedTuple, Generic[Q, A]):
    """A question, and where its answer goes."""

    request: Q
    result: asyncio.Future[A]
    since: float
    """When nothing stood between it and the next batch."""


class BatchLoader(Generic[Q, A]):
    """Answers questions in batches: `load` takes a batch, and answers in its order.

    So many batches of at most `most` questions are out `at_once`. Of questions with the same `key`
    one is out at any time, and they go in the order they came. Who has waited for `patience_s`, and
    is not out yet, is told Overloaded.
    """

    def __init__(
        self,
        load: Callable[[Sequence[Q]], Awaitable[Sequence[A]]],
        *,
        spawn: Spawn,
        name: str,
        max_batch: int = 16,
        concurrency: int = 1,
        key: Callable[[Q], Hashable] | None = None,
        timeout_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load_batch = load
        self._spawn = spawn
        self._name = name
        self._max_batch = max_batch
        self._free_slots = concurrency
        self._key = key
        self._timeout_s = timeout_s
        self._clock = clock
        self._in_flight: set[asyncio.Future[A]] = set()
        """Answers that are being found: what they ask for may have been done already."""
        self._waiting: deque[PendingRequest[Q, A]] = deque()
        self._behind: dict[Hashable, deque[PendingRequest[Q, A]]] = {}
        """Of each key that is waiting or out, the questions that come after it."""

    async def load(self, question: Q) -> A:
        """Return the answer, or raise what finding it raised."""
        loop = asyncio.get_running_loop()
        asked = PendingRequest[Q, A](question, loop.create_future(), self._clock())
        key = self._key_of(asked)
        if (behind := self._behind.get(key)) is not None:
            behind.append(asked)
        else:
            self._behind[key] = deque()
            self._waiting.append(asked)
            self._start_batches()
        if self._timeout_s is None:
            return await asked.result
        timer = loop.call_later(self._timeout_s, self._time_out, asked.result)
        try:
            return await asked.result
        finally:
            timer.cancel()

    def _time_out(self, answer: asyncio.Future[A]) -> None:
        if answer not in self._in_flight and not answer.done():
            answer.set_exception(Overloaded("Others wait for the same."))

    @property
    def waiting(self) -> int:
        """How many questions wait for a batch."""
        return len(self._waiting)

    def oldest_wait_s(self) -> float:
        """Return how long the first of them has waited, by `clock`."""
        return self._clock() - self._waiting[0].since if self._waiting else 0.0

    def _start_batches(self) -> None:
        while self._waiting and self._free_slots:
            if batch := self._next_batch():
                self._free_slots -= 1
                self._spawn(self._run_batch(batch), name=self._name)

    def _next_batch(self) -> list[PendingRequest[Q, A]]:
        """Take the next batch, without those whose asker has gone."""
        batch: list[PendingRequest[Q, A]] = []
        while self._waiting and len(batch) < self._max_batch:
            asked = self._waiting.popleft()
            if asked.result.done():
                self._release(asked)
            else:
                batch.append(asked)
                self._in_flight.add(asked.result)
        return batch

    def _key_of(self, asked: PendingRequest[Q, A]) -> Hashable:
        return id(asked) if self._key is None else self._key(asked.request)

    def _release(self, asked: PendingRequest[Q, A]) -> None:
        """Let the next one of the same key come."""
        key = self._key_of(asked)
        if behind := self._behind[key]:
            self._waiting.append(behind.popleft()._replace(since=self._clock()))
        else:
            del self._behind[key]

    async def _run_batch(self, batch: list[PendingRequest[Q, A]]) -> None:
        try:
            await self._resolve(batch)
        finally:
            self._free_slots += 1
            for asked in batch:
                self._in_flight.discard(asked.result)
                asked.result.cancel()  # this task was cancelled: nobody will answer them
                self._release(asked)
            self._start_batches()

    async def _resolve(self, batch: list[PendingRequest[Q, A]]) -> None:
        """Answer each of a batch; what one of them trips over must not spoil the others."""
        try:
            found = await self._load_batch([asked.request for asked in batch])
        except Exception as error:  # noqa: BLE001 - it is raised by whoever asked
            if len(batch) > 1 and not isinstance(error, GatewayError):
                for one in batch:
                    await self._resolve([one])
                return
            for asked in batch:
                if not asked.result.done():
                    asked.result.set_exception(error)
            return
        for asked, result in zip(batch, found, strict=True):
            if not asked.result.done():
                asked.result.set_result(result)
