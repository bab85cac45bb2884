"""A Redis that answers, but later than anybody waits for: what nodes own is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis

from presence import PresenceSettings, RedisPresence
from tests.contract.presence_nodes import Nodes, eventually
from tests.faults.proxy import Proxy
from tests.support.detours import to_redis

ANNA = 1
UNHURRIED = PresenceSettings(lease_ttl_s=30.0, grace_s=0.2, command_timeout_s=0.3, retry_max_s=0.1)
EACH_WAY_S = 0.2
"""A reply takes twice as long: longer than a caller waits, shorter than the background does."""


@pytest.fixture
async def slow(nodes: Nodes, redis_url: str) -> AsyncIterator[tuple[Proxy, RedisPresence]]:
    """Give a node, and its way to Redis."""
    async with AsyncExitStack() as stack:
        proxy, url = await stack.enter_async_context(to_redis(redis_url))
        redis = await stack.enter_async_context(Redis.from_url(url))
        store = RedisPresence(redis, node="slow", on_change=nodes.recorder, settings=UNHURRIED)
        await store.open()
        stack.push_async_callback(store.close)
        yield proxy, store


async def test_who_moves_to_a_node_whose_redis_is_slow_is_not_announced_offline(
    nodes: Nodes, slow: tuple[Proxy, RedisPresence]
) -> None:
    """The other node, whose Redis is quick, writes that they left: the arrival must be there."""
    proxy, here = slow
    there = await nodes.open("there", settings=UNHURRIED)
    await there.arrive(ANNA, "web")
    proxy.set("delay", delay_s=EACH_WAY_S)

    await here.arrive(ANNA, "web")
    await eventually(lambda: not list(here.owned.out_of_date([ANNA])))
    await there.leave(ANNA, "web")
    await eventually(
        lambda: there.owned.desired(ANNA) == "offline" and not list(there.owned.out_of_date([ANNA]))
    )

    assert (await there.fetch([ANNA]))[ANNA].status == "online"
    assert nodes.recorder.of(ANNA) == ["online"]


async def test_callers_do_not_wait_for_a_redis_that_is_slow(
    slow: tuple[Proxy, RedisPresence],
) -> None:
    """They are answered with the last known state until it is quick again."""
    proxy, here = slow
    proxy.set("delay", delay_s=EACH_WAY_S)
    await here.fetch([ANNA])
    assert here.degraded

    renewals = here._lease._renewals
    await eventually(lambda: here._lease._renewals >= renewals + 3)
    assert here.degraded
    proxy.set("open")
    await eventually(lambda: not here.degraded)
