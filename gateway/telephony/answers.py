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
from datetime import UTC, datetime
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

TTL_S = 60
LOCK_S = 20
"""Longer than the longest statement; a worker that died counting is forgotten then."""
LOOK_S = 0.05
AT_ONCE = 2
"""Of one worker: the other connections stay for those who chat."""

LATE = "{stats}:late"
"""UTC day → when a call of it last changed late, in milliseconds; days of the last TTL_S."""

Count = Callable[[], Awaitable[bytes]]


class Answers:
    """One worker's, on the Redis that all share."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._counting: dict[str, asyncio.Task[bytes]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def get(self, key: str, count: Count, *, since: datetime, until: datetime) -> bytes:
        """Return what was kept under this key, or count it; since and until say of which days."""
        name = "{stats}:" + hashlib.sha256(key.encode()).hexdigest()
        days = (since.astimezone(UTC).date().isoformat(), until.astimezone(UTC).date().isoformat())
        if (kept := await self._kept(name, days)) is not None:
            return kept
        task = self._counting.get(name)
        if task is None:
            task = asyncio.create_task(self._once(name, days, count), name="stats")
            self._counting[name] = task
            task.add_done_callback(lambda done: self._done(name, done))
        return await asyncio.shield(task)  # whoever leaves does not take it from the others

    async def late(self, began: Iterable[datetime]) -> None:
        """Forget what was kept about the days on which these calls began."""
        now_ms = _now_ms()
        days: dict[Any, Any] = {at.astimezone(UTC).date().isoformat(): now_ms for at in began}
        if not days:
            return
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(LATE, mapping=days)
                pipe.expire(LATE, 2 * TTL_S)
                await pipe.execute()
        except (RedisError, OSError) as error:
            log.debug("stats.not_forgotten", error=type(error).__name__)

    def _done(self, name: str, task: asyncio.Task[bytes]) -> None:
        del self._counting[name]
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may have waited to the end

    async def _once(self, name: str, days: tuple[str, str], count: Count) -> bytes:
        """Count, unless another worker does: then wait for what it keeps."""
        lock = f"{name}:lock"
        deadline = time.monotonic() + LOCK_S
        mine = await self._lock(lock)
        while mine is False and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_S)
            if (kept := await self._kept(name, days)) is not None:
                return kept
            mine = await self._lock(lock)
        try:
            began_ms = _now_ms()
            async with self._turns:
                answer = await count()
            if mine:
                await self._keep(name, began_ms, answer)
            return answer
        finally:
            if mine:
                await self._unlock(lock)

    async def _kept(self, name: str, days: tuple[str, str]) -> bytes | None:
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.get(name)
                pipe.hgetall(LATE)
                kept, late = await pipe.execute()
        except (RedisError, OSError):
            return None
        if kept is None:
            return None
        began, _, answer = kept.partition(b"\n")
        first, last = (day.encode() for day in days)
        changed = max((int(at) for day, at in late.items() if first <= day <= last), default=-1)
        # In the same millisecond nobody knows which was first.
        return answer if changed < int(began) else None

    async def _keep(self, name: str, began_ms: int, answer: bytes) -> None:
        try:
            await self._redis.set(name, b"%d\n%s" % (began_ms, answer), ex=TTL_S)
        except (RedisError, OSError) as error:
            log.debug("stats.not_kept", error=type(error).__name__)

    async def _lock(self, lock: str) -> bool | None:
        """Take the turn to count; None when nobody can say."""
        try:
            return bool(await self._redis.set(lock, b"1", nx=True, ex=LOCK_S))
        except (RedisError, OSError):
            return None

    async def _unlock(self, lock: str) -> None:
        try:
            await self._redis.delete(lock)
        except (RedisError, OSError) as error:
            log.debug("stats.not_unlocked", error=type(error).__name__)


def late_calls(began: Iterable[datetime], now: datetime) -> list[datetime]:
    """Return those that began on an earlier day: of today, nothing is kept for long anyway."""
    today = now.astimezone(UTC).date()
    return [at for at in began if at.astimezone(UTC).date() < today]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
