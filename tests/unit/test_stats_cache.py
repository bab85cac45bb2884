"""The cache of statistics: without Redis, with other workers, and when callers leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.errors import Overloaded
from gateway.telephony.stats.stats_cache import (
    MAX_RUNNING,
    MAX_WAITING,
    RedisStatsCache,
    days_since,
    late_days,
)
from tests.support.desk import eventually

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=1)


@pytest.fixture
def nowhere() -> Redis:
    """Yield a client of a Redis that does not exist."""
    return Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))


async def test_without_redis_every_request_is_counted(nowhere: Redis) -> None:
    """Requests at the same time share a count; a later one gets a new one."""
    counted = 0

    async def count() -> bytes:
        nonlocal counted
        counted += 1
        await asyncio.sleep(0)
        return b"%d" % counted

    answers = RedisStatsCache(nowhere)
    together = await asyncio.gather(
        *(answers.get("a", count, since=SINCE, until=UNTIL) for _ in range(5))
    )
    later = await answers.get("a", count, since=SINCE, until=UNTIL)
    await answers.invalidate_days([SINCE])

    assert together == [b"1"] * 5
    assert later == b"2"


async def test_an_answer_that_another_worker_stored_meanwhile_is_not_counted_again(
    redis_url: str,
) -> None:
    """One found nothing, the other stored its answer, and then the lock was free."""
    counted = 0

    async def count() -> bytes:
        nonlocal counted
        counted += 1
        return b"%d" % counted

    class Late(RedisStatsCache):
        """Reads, and then is slow to acquire the lock."""

        async def _lock(self, lock: str) -> bool | None:
            await other.get("a", count, since=SINCE, until=UNTIL)
            return await super()._lock(lock)

    async with Redis.from_url(redis_url) as redis:
        other, late = RedisStatsCache(redis), Late(redis)
        answer = await late.get("a", count, since=SINCE, until=UNTIL)
        locks = await redis.keys("*:lock")

    assert (answer, counted, locks) == (b"1", 1, [])


async def test_a_caller_that_leaves_does_not_cancel_the_answer_of_others(nowhere: Redis) -> None:
    """The first one's connection ends while it is counted; the second gets the answer."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def count() -> bytes:
        begun.set()
        await go_on.wait()
        return b"counted"

    answers = RedisStatsCache(nowhere)
    first = asyncio.create_task(answers.get("a", count, since=SINCE, until=UNTIL))
    await begun.wait()
    second = asyncio.create_task(answers.get("a", count, since=SINCE, until=UNTIL))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    go_on.set()

    assert await second == b"counted"


async def test_a_request_that_nobody_waits_for_is_not_counted(nowhere: Redis) -> None:
    """All callers left before it started; the next one is counted."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    counted: list[str] = []

    def counting(name: str) -> Callable[[], Awaitable[bytes]]:
        async def count() -> bytes:
            counted.append(name)
            begun.set()
            await go_on.wait()
            return name.encode()

        return count

    def ask(name: str) -> asyncio.Task[bytes]:
        return asyncio.create_task(answers.get(name, counting(name), since=SINCE, until=UNTIL))

    answers = RedisStatsCache(nowhere)
    first = [ask(f"first {number}") for number in range(MAX_RUNNING)]
    await begun.wait()
    gone = [ask(f"gone {number}") for number in range(MAX_WAITING)]
    await eventually(lambda: answers.waiting == MAX_WAITING)
    with pytest.raises(Overloaded):
        await answers.get("too much", counting("too much"), since=SINCE, until=UNTIL)
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    last = ask("last")
    go_on.set()

    assert [await task for task in (*first, last)] == [b"first 0", b"first 1", b"last"]
    assert sorted(counted) == ["first 0", "first 1", "last"]


async def test_a_failed_count_is_not_cached(nowhere: Redis) -> None:
    """Every caller gets the error, and the next one tries again."""

    async def fail() -> bytes:
        raise ConnectionError

    async def count() -> bytes:
        return b"counted"

    answers = RedisStatsCache(nowhere)
    with pytest.raises(ConnectionError):
        await answers.get("a", fail, since=SINCE, until=UNTIL)

    assert await answers.get("a", count, since=SINCE, until=UNTIL) == b"counted"


def test_only_calls_of_earlier_days_invalidate_answers() -> None:
    """Answers about today are at most a minute old anyway."""
    now = datetime(2026, 1, 2, 0, 30, tzinfo=UTC)

    assert late_days([now, now - timedelta(hours=1)], now) == [now - timedelta(hours=1)]


def test_a_late_pause_is_late_for_every_day_since() -> None:
    """It may have lasted until the next report; nothing late concerns no day."""
    now = datetime(2026, 3, 5, 0, 30, tzinfo=UTC)
    began = now - timedelta(days=2, hours=1)

    late = late_days(days_since([now, began], now), now)

    assert [at.day for at in late] == [2, 3, 4]
    assert days_since([], now) == []
