"""Answers that are kept: what happens when nobody can keep them, and which calls come late."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.errors import Overloaded
from gateway.telephony.stats.stats_cache import MAX_RUNNING, MAX_WAITING, RedisStatsCache, late_days
from tests.support.desk import eventually

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = SINCE + timedelta(days=1)


@pytest.fixture
def nowhere() -> Redis:
    """Give a client of a Redis that is not there."""
    return Redis(host="127.0.0.1", port=1, retry=Retry(NoBackoff(), 0))


async def test_without_redis_everything_is_counted_anew(nowhere: Redis) -> None:
    """Those who ask at the same time share a count; who asks later gets a new one."""
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


async def test_what_another_worker_kept_meanwhile_is_not_counted_again(redis_url: str) -> None:
    """One looked and found nothing, the other kept its answer, and then the turn was free."""
    counted = 0

    async def count() -> bytes:
        nonlocal counted
        counted += 1
        return b"%d" % counted

    class Late(RedisStatsCache):
        """Looks, and then is slow to ask for its turn."""

        async def _lock(self, lock: str) -> bool | None:
            await other.get("a", count, since=SINCE, until=UNTIL)
            return await super()._lock(lock)

    async with Redis.from_url(redis_url) as redis:
        other, late = RedisStatsCache(redis), Late(redis)
        answer = await late.get("a", count, since=SINCE, until=UNTIL)
        locks = await redis.keys("*:lock")

    assert (answer, counted, locks) == (b"1", 1, [])


async def test_who_leaves_does_not_take_the_answer_from_the_others(nowhere: Redis) -> None:
    """The first one's connection ends while it is counted; the second still gets the answer."""
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


async def test_what_nobody_waits_for_any_more_is_not_counted(nowhere: Redis) -> None:
    """Everybody left before its turn came; who asks next is counted for."""
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


async def test_a_count_that_fails_is_not_kept(nowhere: Redis) -> None:
    """Everyone who waited hears of it, and the next one tries again."""

    async def fail() -> bytes:
        raise ConnectionError

    async def count() -> bytes:
        return b"counted"

    answers = RedisStatsCache(nowhere)
    with pytest.raises(ConnectionError):
        await answers.get("a", fail, since=SINCE, until=UNTIL)

    assert await answers.get("a", count, since=SINCE, until=UNTIL) == b"counted"


def test_only_calls_of_earlier_days_come_late() -> None:
    """Of today nothing is kept for longer than a minute anyway."""
    now = datetime(2026, 1, 2, 0, 30, tzinfo=UTC)

    assert late_days([now, now - timedelta(hours=1)], now) == [now - timedelta(hours=1)]
