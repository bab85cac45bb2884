"""A cache for statistics, which take seconds to count: one minute in Redis, counted once for all.

stats ─▶ RedisStatsCache ─▶ Redis. Within a worker, equal requests wait for the first one; between
workers, a lock in Redis decides which one counts. When a call of an earlier day changes, answers
about that day are no longer used. Without Redis every request is counted.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError

from gateway.errors import Overloaded

log = structlog.get_logger(__name__)

TTL_S = 60
LOCK_S = 20
"""Longer than the longest statement; after that the lock of a dead worker expires."""
POLL_S = 0.05
DAY = timedelta(days=1)
MAX_RUNNING = 2
"""Statements of one worker at a time: the other database connections stay free for chat."""
MAX_WAITING = 10
"""Different requests that may wait for a free statement; one more gets Overloaded."""
MAX_WAIT_S = 20.0
"""A request that has waited this long for a free statement gets Overloaded, too."""

LATE = "{stats}:late"
"""Redis hash: UTC day → when one of its calls last changed after the day, in ms since 1970."""

Compute = Callable[[], Awaitable[bytes]]


@dataclass(slots=True)
class _Computation:
    """A request that is counted, or waits for a free statement."""

    task: asyncio.Task[bytes] = field(init=False)
    waiters: int = 0
    """How many callers still wait for it."""
    started: bool = False


class RedisStatsCache:
    """The cache of one worker; all workers share its Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._computations: dict[str, _Computation] = {}
        self._slots = asyncio.Semaphore(MAX_RUNNING)
        self._warned = False

    async def get(self, key: str, compute: Compute, *, since: datetime, until: datetime) -> bytes:
        """Return the answer cached under this key, or compute it; it is about since to until.

        Overloaded when too many requests wait.
        """
        name = "{stats}:" + hashlib.sha256(key.encode()).hexdigest()
        days = (since.astimezone(UTC).date().isoformat(), until.astimezone(UTC).date().isoformat())
        if (cached := await self._load(name, days)) is not None:
            return cached
        computation = self._computations.get(name) or self._start(name, days, compute)
        computation.waiters += 1
        try:
            return await asyncio.shield(computation.task)  # a cancelled caller does not cancel it
        finally:
            computation.waiters -= 1
            if not (computation.waiters or computation.started):
                self._forget(name, computation)  # nobody waits for it any more
                computation.task.cancel()

    @property
    def waiting(self) -> int:
        """How many requests wait for a free statement."""
        return sum(not one.started for one in self._computations.values())

    async def invalidate_days(self, began: Iterable[datetime]) -> None:
        """Stop using cached answers about the UTC days of these moments."""
        now_ms = _now_ms()
        days: dict[Any, Any] = {at.astimezone(UTC).date().isoformat(): now_ms for at in began}
        if not days:
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hset(LATE, mapping=days)
                pipe.pexpire(LATE, 2 * TTL_S * 1_000)
                await pipe.execute()
        except (RedisError, OSError) as error:
            self._failed("invalidation_failed", error)

    def _start(self, name: str, days: tuple[str, str], compute: Compute) -> _Computation:
        if self.waiting >= MAX_WAITING:
            raise Overloaded("Too many statistics wait to be counted.", retry_after=MAX_WAIT_S / 2)
        computation = self._computations[name] = _Computation()
        computation.task = task = asyncio.create_task(
            self._run(computation, name, days, compute), name="stats"
        )
        task.add_done_callback(lambda _: self._forget(name, computation))
        return computation

    def _forget(self, name: str, computation: _Computation) -> None:
        if self._computations.get(name) is computation:
            del self._computations[name]
        if computation.task.done() and not computation.task.cancelled():
            computation.task.exception()  # retrieved: maybe no caller waited to the end

    async def _run(
        self, computation: _Computation, name: str, days: tuple[str, str], compute: Compute
    ) -> bytes:
        """Compute it when a statement is free, unless another worker does: then wait for that."""
        wait_until = time.monotonic() + LOCK_S
        while True:
            try:
                await asyncio.wait_for(self._slots.acquire(), MAX_WAIT_S)
            except TimeoutError:
                raise Overloaded(
                    "Too many statistics wait to be counted.", retry_after=MAX_WAIT_S / 2
                ) from None
            try:
                # Only now: a lock acquired earlier could expire while we wait for a statement.
                locked_at = time.monotonic()
                acquired = await self._lock(f"{name}:lock")
                if acquired is not False or locked_at > wait_until:
                    computation.started = True
                    return await self._compute_and_store(
                        name, days, compute, locked_at if acquired else None
                    )
            finally:
                self._slots.release()
            await asyncio.sleep(POLL_S)
            if (cached := await self._load(name, days)) is not None:
                return cached

    async def _compute_and_store(
        self, name: str, days: tuple[str, str], compute: Compute, locked_at: float | None
    ) -> bytes:
        """Compute the answer; store it and release the lock if we hold it (locked_at is set).

        The previous holder of the lock may have stored an answer since we last read.
        """
        try:
            if locked_at is not None and (cached := await self._load(name, days)) is not None:
                return cached
            began_ms = _now_ms()
            answer = await compute()
            if locked_at is not None:
                await self._store(name, began_ms, answer)
            return answer
        finally:
            # Later the lock has expired, and another worker may hold it.
            if locked_at is not None and time.monotonic() < locked_at + LOCK_S - 1:
                await self._unlock(f"{name}:lock")

    async def _load(self, name: str, days: tuple[str, str]) -> bytes | None:
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.get(name)
                pipe.hgetall(LATE)
                cached, late = await pipe.execute()
        except (RedisError, OSError) as error:
            self._failed("read_failed", error)
            return None
        if cached is None:
            return None
        began, _, answer = cached.partition(b"\n")
        first, last = (day.encode() for day in days)
        changed = max((int(at) for day, at in late.items() if first <= day <= last), default=-1)
        # Within the same millisecond it is unknown which was first.
        return answer if changed < int(began) else None

    async def _store(self, name: str, began_ms: int, answer: bytes) -> None:
        try:
            await self._redis.set(name, b"%d\n%s" % (began_ms, answer), ex=TTL_S)
        except (RedisError, OSError) as error:
            self._failed("write_failed", error)

    async def _lock(self, lock: str) -> bool | None:
        """Whether we acquired the lock; None when Redis cannot tell."""
        try:
            return bool(await self._redis.set(lock, b"1", nx=True, ex=LOCK_S))
        except (RedisError, OSError) as error:
            self._failed("lock_failed", error)
            return None

    async def _unlock(self, lock: str) -> None:
        try:
            await self._redis.delete(lock)
        except (RedisError, OSError) as error:
            self._failed("unlock_failed", error)

    def _failed(self, what: str, error: Exception) -> None:
        """Log a failure at debug; once at warning when our Redis user lacks the permission."""
        denied = isinstance(error, NoPermissionError) and not self._warned
        self._warned |= denied
        note = log.warning if denied else log.debug
        note(f"stats.cache_{what}", error=type(error).__name__, reason=str(error))


def late_days(began: Iterable[datetime], now: datetime) -> list[datetime]:
    """Return those of these moments that are on a UTC day before today's.

    Answers about today are at most a minute old anyway.
    """
    today = now.astimezone(UTC).date()
    return [at for at in began if at.astimezone(UTC).date() < today]


def days_since(began: Iterable[datetime], now: datetime) -> list[datetime]:
    """Return a moment of each UTC day from the first of these moments to now.

    A late report of a pause, or of its end, may change every day up to the next report.
    """
    first = min(began, default=None)
    return [] if first is None else [first + DAY * count for count in range((now - first).days + 2)]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
