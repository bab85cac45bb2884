"""Answers that cost seconds, kept for a minute: counted once however many ask.

stats ─▶ Answers ─▶ Redis. Within a worker whoever asks the same waits for the first; between
workers a lock in Redis decides who counts. A call of an earlier day that changes late makes what
was kept about its day worth nothing. Without Redis everything is counted anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, RedisError

from gateway.errors import Overloaded

log = structlog.get_logger(__name__)

TTL_S = 60
LOCK_S = 20
"""Longer than the longest statement; a worker that died counting is forgotten then."""
POLL_S = 0.05
MAX_RUNNING = 2
"""Of one worker: the other connections stay for those who chat."""
MAX_WAITING = 10
"""Different questions that wait for their turn; one more is told to come again."""
MAX_WAIT_S = 20.0
"""Whoever has waited so long for a turn is told to come again, too."""

LATE = "{stats}:late"
"""UTC day → when a call of it last changed late, in milliseconds; days of the last TTL_S."""

Compute = Callable[[], Awaitable[bytes]]


@dataclass(slots=True)
class _Computation:
    """What is counted, or waits for its turn."""

    task: asyncio.Task[bytes] = field(init=False)
    waiters: int = 0
    """How many still want to know."""
    started: bool = False


class RedisStatsCache:
    """One worker's, on the Redis that all share."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._computations: dict[str, _Computation] = {}
        self._turns = asyncio.Semaphore(MAX_RUNNING)
        self._warned = False

    async def get(self, key: str, count: Compute, *, since: datetime, until: datetime) -> bytes:
        """Return what was kept under this key, or count it; since and until say of which days.

        Overloaded when too much waits to be counted.
        """
        name = "{stats}:" + hashlib.sha256(key.encode()).hexdigest()
        days = (since.astimezone(UTC).date().isoformat(), until.astimezone(UTC).date().isoformat())
        if (kept := await self._load(name, days)) is not None:
            return kept
        question = self._computations.get(name) or self._start(name, days, count)
        question.waiters += 1
        try:
            return await asyncio.shield(question.task)  # who leaves takes it from nobody
        finally:
            question.waiters -= 1
            if not (question.waiters or question.started):
                self._forget(name, question)  # nobody wants to know any more
                question.task.cancel()

    @property
    def waiting(self) -> int:
        """How many questions wait for their turn."""
        return sum(not one.started for one in self._computations.values())

    async def invalidate_days(self, began: Iterable[datetime]) -> None:
        """Forget what was kept about the days on which these calls, or pauses, began."""
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
            self._failed("not_forgotten", error)

    def _start(self, name: str, days: tuple[str, str], count: Compute) -> _Computation:
        if self.waiting >= MAX_WAITING:
            raise Overloaded("Too many statistics wait to be counted.", retry_after=MAX_WAIT_S / 2)
        question = self._computations[name] = _Computation()
        question.task = task = asyncio.create_task(
            self._run(question, name, days, count), name="stats"
        )
        task.add_done_callback(lambda _: self._forget(name, question))
        return question

    def _forget(self, name: str, question: _Computation) -> None:
        if self._computations.get(name) is question:
            del self._computations[name]
        if question.task.done() and not question.task.cancelled():
            question.task.exception()  # whoever waited has it; nobody may have waited to the end

    async def _run(
        self, question: _Computation, name: str, days: tuple[str, str], count: Compute
    ) -> bytes:
        """Count when it is our turn, unless another worker does: then wait for what it keeps."""
        patient_until = time.monotonic() + LOCK_S
        while True:
            try:
                await asyncio.wait_for(self._turns.acquire(), MAX_WAIT_S)
            except TimeoutError:
                raise Overloaded(
                    "Too many statistics wait to be counted.", retry_after=MAX_WAIT_S / 2
                ) from None
            try:
                # Only now: a lock taken before the turn could run out while we wait for it.
                locked_at = time.monotonic()
                mine = await self._lock(f"{name}:lock")
                if mine is not False or locked_at > patient_until:
                    question.started = True
                    return await self._compute_and_store(
                        name, days, count, locked_at if mine else None
                    )
            finally:
                self._turns.release()
            await asyncio.sleep(POLL_S)
            if (kept := await self._load(name, days)) is not None:
                return kept

    async def _compute_and_store(
        self, name: str, days: tuple[str, str], count: Compute, locked_at: float | None
    ) -> bytes:
        """Count; keep the answer and give the lock back if it is ours.

        Whoever had the lock before may have kept an answer since we looked.
        """
        try:
            if locked_at is not None and (kept := await self._load(name, days)) is not None:
                return kept
            began_ms = _now_ms()
            answer = await count()
            if locked_at is not None:
                await self._store(name, began_ms, answer)
            return answer
        finally:
            # Later it has run out, and may be another worker's.
            if locked_at is not None and time.monotonic() < locked_at + LOCK_S - 1:
                await self._unlock(f"{name}:lock")

    async def _load(self, name: str, days: tuple[str, str]) -> bytes | None:
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.get(name)
                pipe.hgetall(LATE)
                kept, late = await pipe.execute()
        except (RedisError, OSError) as error:
            self._failed("not_looked_up", error)
            return None
        if kept is None:
            return None
        began, _, answer = kept.partition(b"\n")
        first, last = (day.encode() for day in days)
        changed = max((int(at) for day, at in late.items() if first <= day <= last), default=-1)
        # In the same millisecond nobody knows which was first.
        return answer if changed < int(began) else None

    async def _store(self, name: str, began_ms: int, answer: bytes) -> None:
        try:
            await self._redis.set(name, b"%d\n%s" % (began_ms, answer), ex=TTL_S)
        except (RedisError, OSError) as error:
            self._failed("not_kept", error)

    async def _lock(self, lock: str) -> bool | None:
        """Take the turn to count; None when nobody can say."""
        try:
            return bool(await self._redis.set(lock, b"1", nx=True, ex=LOCK_S))
        except (RedisError, OSError) as error:
            self._failed("not_locked", error)
            return None

    async def _unlock(self, lock: str) -> None:
        try:
            await self._redis.delete(lock)
        except (RedisError, OSError) as error:
            self._failed("not_unlocked", error)

    def _failed(self, what: str, error: Exception) -> None:
        """Note it. A user of Redis without the rights for it is an operator's to mend: once."""
        denied = isinstance(error, NoPermissionError) and not self._warned
        self._warned |= denied
        note = log.warning if denied else log.debug
        note(f"stats.{what}", error=type(error).__name__, reason=str(error))


def late_days(began: Iterable[datetime], now: datetime) -> list[datetime]:
    """Return those of an earlier day: of today, nothing is kept for long anyway."""
    today = now.astimezone(UTC).date()
    return [at for at in began if at.astimezone(UTC).date() < today]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
