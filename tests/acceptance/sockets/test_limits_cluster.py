"""What nodes add up in Redis: what users did on all of them, and their connections."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.limits import ClusterLimits, UserConnections, UserRate, cluster_limits
from gateway.limits.cluster_limits import PREFIX
from tests.support.desk import eventually


@pytest.fixture
async def redis(redis_url: str) -> Any:
    """Give a client of a Redis in which there is nothing."""
    client: Redis = Redis.from_url(redis_url)
    yield client
    await client.aclose()


def limits_of(
    redis: Redis, node: str, *, most: int = 3
) -> tuple[ClusterLimits, UserRate, UserConnections, list[tuple[int, int]]]:
    rate, connections = UserRate(10.0, 5), UserConnections(most)
    excess: list[tuple[int, int]] = []
    made = ClusterLimits(
        redis,
        node=node,
        rates={"write": rate},
        connections=connections,
        on_excess=lambda user_id, count: excess.append((user_id, count)),
    )
    return made, rate, connections, excess


async def test_what_two_nodes_granted_is_added_up(redis: Redis) -> None:
    """Both are told for how long there is nothing; the account expires by itself."""
    left, left_grants, *_ = limits_of(redis, "left")
    right, right_grants, *_ = limits_of(redis, "right")
    now = asyncio.get_running_loop().time()
    for _ in range(5):
        assert left_grants.acquire(7, now) == 0.0
        assert right_grants.acquire(7, now) == 0.0
        right_grants.acquire(8, now)

    await left.sync()
    await right.sync()

    now = asyncio.get_running_loop().time()
    assert 0.3 < right_grants.acquire(7, now) <= 0.5, "ten of five, at ten a second"
    assert right_grants.acquire(8, now + 0.2) == 0.0
    assert 0 < await redis.pttl(f"{PREFIX}write:7") <= 1_001

    async def forgotten() -> bool:
        return not await redis.exists(f"{PREFIX}write:7")

    await eventually(forgotten)
    assert left.failures == right.failures == 0


async def test_nobody_is_barred_for_long(redis: Redis) -> None:
    """However much a hundred nodes granted at once."""
    for number in range(100):
        made, grants, *_ = limits_of(redis, f"node {number}")
        now = asyncio.get_running_loop().time()
        for _ in range(5):
            grants.acquire(7, now)
        await made.sync()

    now = asyncio.get_running_loop().time()
    assert 5 < grants.acquire(7, now) <= cluster_limits.MAX_BLOCK_S


async def test_thousands_of_users_are_settled_in_few_calls(redis: Redis) -> None:
    """Redis sees one call for 500 users, and none at all for those who did nothing."""
    made, grants, connections, _ = limits_of(redis, "left")
    now = asyncio.get_running_loop().time()
    for user_id in range(2_000):
        grants.acquire(user_id, now)
        connections.acquire(user_id, now)
    await made.sync()
    await made.sync()
    before = await calls_of(redis)

    for user_id in range(1_000):
        grants.acquire(user_id, now)
    await made.sync()

    assert await calls_of(redis) - before == 2
    await made.sync()
    assert await calls_of(redis) - before == 2


async def calls_of(redis: Redis) -> int:
    stats = await redis.info("commandstats")
    return int(stats["cmdstat_evalsha"]["calls"])


async def test_connections_of_a_node_that_died_do_not_count(redis: Redis) -> None:
    """They end with its lease; those of a node that left end at once."""
    dead, _, at_dead, _ = limits_of(redis, "dead")
    gone, _, at_gone, _ = limits_of(redis, "gone")
    here, _, connections, excess = limits_of(redis, "here")
    for counted, made in ((at_dead, dead), (at_gone, gone)):
        counted.acquire(7, 0.0)
        counted.acquire(7, 0.0)
        await made.sync()
    connections.acquire(7, 0.0)
    await here.sync()
    assert excess == [(7, 1)], "two, two and one are more than three"

    await redis.zadd(f"{PREFIX}nodes", {dead.node_id: 1})  # long ago
    await gone.release()
    connections.release(7)
    assert not connections.acquire(7, 0.0), "as far as is known"
    await here.sync()
    assert connections.acquire(7, 0.0)
    await here.sync()

    assert excess == [(7, 1)]
    assert await redis.hlen(f"{PREFIX}at:7") == 1


async def test_without_redis_each_node_holds_its_own_limits() -> None:
    """What could not be reported is dropped or kept, both bounded; nothing is raised."""
    away: Redis = Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=0.2)
    made, grants, connections, excess = limits_of(away, "left")
    now = asyncio.get_running_loop().time()
    for _ in range(3):
        grants.acquire(7, now)
        connections.acquire(7, now)
        await made.sync()
        connections.release(7)

    assert made.failures == 3
    assert excess == []
    assert connections.pop_changed() == {7: 3}
    assert [bool(grants.acquire(7, now)) for _ in range(3)] == [False, False, True]
    await made.release()
    await away.aclose()
