"""Requests that come at the same time are loaded in one batch.

hellos, messages ─▶ BatchLoader ─▶ one statement. A request that finds the loader idle is loaded at
once, with those that come in the same turn of the event loop; those that come while it is busy wait
and form the next batch. So no result was read before its request came, no request waits for others,
and the busier the loader is, the fewer statements a request costs.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Hashable,
    Iterable,
    Sequence,
)
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from gateway.errors import GatewayError, Overloaded

Q = TypeVar("Q")
A = TypeVar("A")
T = TypeVar("T")


async def in_portions(items: Iterable[T], size: int) -> AsyncIterator[T]:
    """Yield these; other tasks run after each `size` of them."""
    for number, item in enumerate(items, 1):
        yield item
        if number % size == 0:
            await asyncio.sleep(0)


class Spawn(Protocol):
    """Runs work as a task of the node."""

    def __call__(self, work: Coroutine[Any, Any, Any], *, name: str) -> None: ...


class BatchEntry(NamedTuple, Generic[Q, A]):
    """A request that waits or is being loaded."""

    request: Q
    result: asyncio.Future[A]
    since: float
    """Since when it waits for a batch, by the loader's clock; not for others of its key."""


class BatchLoader(Generic[Q, A]):
    """Loads requests in batches: `load` takes a batch and returns the results in its order.

    At most `concurrency` batches are loaded at a time, of at most `max_batch` requests with at most
    `max_keys` different keys. Requests with the same `key` are loaded in the order they came: in
    one batch, or in one after the other. Every key that waits has a place before any has a second.
    A request that has waited for `timeout_s` and is not being loaded yet fails with Overloaded.
    """

    def __init__(
        self,
        load: Callable[[Sequence[Q]], Awaitable[Sequence[A]]],
        *,
        spawn: Spawn,
        name: str,
        max_batch: int = 16,
        max_keys: int | None = None,
        concurrency: int = 1,
        key: Callable[[Q], Hashable] | None = None,
        timeout_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load_batch = load
        self._spawn = spawn
        self._name = name
        self._max_batch = max_batch
        self._max_keys = max_batch if max_keys is None else max_keys
        self._free_slots = concurrency
        self._starting = 0
        """Batches whose task was created and has yet to take its requests."""
        self._key = key
        self._timeout_s = timeout_s
        self._clock = clock
        self._in_flight: set[asyncio.Future[A]] = set()
        """Results that are being loaded: a write among them may have happened already."""
        self._waiting: deque[BatchEntry[Q, A]] = deque()
        self._behind: dict[Hashable, deque[BatchEntry[Q, A]]] = {}
        """Key that waits or is being loaded → the requests that come after it."""
        self._keys_in_flight: set[Hashable] = set()

    async def load(self, request: Q) -> A:
        """Return the result of this request, or raise what loading it raised."""
        loop = asyncio.get_running_loop()
        pending = BatchEntry[Q, A](request, loop.create_future(), self._clock())
        key = self._key_of(pending)
        if (behind := self._behind.get(key)) is not None:
            behind.append(pending)
        else:
            self._behind[key] = deque()
            self._waiting.append(pending)
            self._start_batches()
        if self._timeout_s is None:
            return await pending.result
        timer = loop.call_later(self._timeout_s, self._time_out, pending.result)
        try:
            return await pending.result
        finally:
            timer.cancel()

    def _time_out(self, answer: asyncio.Future[A]) -> None:
        if answer not in self._in_flight and not answer.done():
            answer.set_exception(Overloaded("Others wait for the same."))

    @property
    def waiting(self) -> int:
        """How many requests wait for a batch."""
        return len(self._waiting)

    def is_loading(self, key: Hashable) -> bool:
        """Return whether requests of this key are being loaded, not only waiting for a batch."""
        return key in self._keys_in_flight

    def oldest_wait_s(self) -> float:
        """Return how long the first of them has waited, in seconds by `clock`."""
        return self._clock() - self._waiting[0].since if self._waiting else 0.0

    def _start_batches(self) -> None:
        """Start as many as the slots and the waiting keys allow.

        A batch takes its requests when its task runs: what the same turn of the event loop brings,
        such as the messages of ten sockets that became readable together, is in it.
        """
        while self._free_slots and len(self._waiting) > self._starting * self._max_keys:
            self._free_slots -= 1
            self._starting += 1
            self._spawn(self._run_batch(), name=self._name)

    def _next_batch(self) -> list[BatchEntry[Q, A]]:
        """Remove and return the next batch, without requests whose caller has gone."""
        batch: list[BatchEntry[Q, A]] = []
        while self._waiting and len(batch) < self._max_keys:
            pending = self._waiting.popleft()
            if pending.result.done():
                self._release(self._key_of(pending))
            else:
                batch.append(pending)
        followers = [self._behind[self._key_of(pending)] for pending in batch]
        while len(batch) < self._max_batch and (followers := [one for one in followers if one]):
            for behind in followers[: self._max_batch - len(batch)]:
                pending = behind.popleft()
                if not pending.result.done():
                    batch.append(pending)
        self._in_flight.update(pending.result for pending in batch)
        self._keys_in_flight.update(self._key_of(pending) for pending in batch)
        return batch

    def _key_of(self, pending: BatchEntry[Q, A]) -> Hashable:
        return id(pending) if self._key is None else self._key(pending.request)

    def _release(self, key: Hashable) -> None:
        """Queue the next request of a key of which none is being loaded any more."""
        if behind := self._behind[key]:
            self._waiting.append(behind.popleft()._replace(since=self._clock()))
        else:
            del self._behind[key]

    async def _run_batch(self) -> None:
        self._starting -= 1
        batch = self._next_batch()
        try:
            if batch:
                await self._resolve(batch)
        finally:
            self._free_slots += 1
            for pending in batch:
                self._in_flight.discard(pending.result)
                pending.result.cancel()  # this task was cancelled: nothing else will resolve them
            for key in dict.fromkeys(self._key_of(pending) for pending in batch):
                self._keys_in_flight.discard(key)
                self._release(key)
            self._start_batches()

    async def _resolve(self, batch: list[BatchEntry[Q, A]]) -> None:
        """Load a batch; an error caused by one request must not fail the others.

        It is found by halves: of 32 requests, eleven more loads instead of 32.
        """
        try:
            results = await self._load_batch([pending.request for pending in batch])
        except Exception as error:  # noqa: BLE001 - raised where the result is awaited
            if len(batch) > 1 and not isinstance(error, GatewayError):
                middle = len(batch) // 2
                await self._resolve(batch[:middle])
                await self._resolve(batch[middle:])
                return
            for pending in batch:
                if not pending.result.done():
                    pending.result.set_exception(error)
            return
        for pending, result in zip(batch, results, strict=True):
            if not pending.result.done():
                pending.result.set_result(result)
