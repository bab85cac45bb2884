"""Presence on a Redis Cluster: every key is in one slot, so that a script reaches all it needs."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from redis.crc import key_slot

from gateway.bus import RedisConfig
from presence import PresenceSettings, RedisPresence
from tests.contract.presence_nodes import FAST, ChangeRecorder, abandon, eventually
from tests.support.cluster import Cluster

PREFIX = PresenceSettings().key_prefix
PEOPLE = range(1, 201)


async def test_people_come_choose_talk_and_are_reaped(cluster: Cluster, cluster_url: str) -> None:
    """The same scripts as on one server, through a client that has to find the right one."""
    recorder = ChangeRecorder()
    async with AsyncExitStack() as stack:
        stores = [await _open(cluster_url, name, recorder, stack) for name in ("a", "b")]
        here, there = stores
        await asyncio.gather(*(here.arrive(one, "web") for one in PEOPLE))
        assert {one.status for one in (await there.fetch(PEOPLE)).values()} == {"online"}

        await there.choose(1, "busy", "soon over", datetime.now(UTC) + timedelta(seconds=0.2))
        await there.set_on_call(2, "c1", talking=True)
        await recorder.until_count(1, 3)
        assert await here.correct_calls([], datetime.now(UTC) + timedelta(seconds=1)) == 1
        await abandon(here)
        await eventually(lambda: recorder.count("offline").total() >= len(PEOPLE))

        assert recorder.of(1) == ["online", "busy", "online", "offline"]
        assert recorder.of(2) == ["online", "on_call", "online", "offline"]
        assert all(recorder.count("offline")[one] == 1 for one in PEOPLE)
    _only_on_one_master(cluster)


async def _open(
    url: str, name: str, recorder: ChangeRecorder, stack: AsyncExitStack
) -> RedisPresence:
    redis = RedisConfig(url, cluster=True).key_client()
    stack.push_async_callback(redis.aclose)
    store = RedisPresence(redis, node=name, on_change=recorder, settings=FAST)
    await store.open()
    stack.push_async_callback(store.close)
    return store


def _only_on_one_master(cluster: Cluster) -> None:
    owner = cluster.owner(f"{PREFIX}nodes")
    keys = [key for key in owner.ask("KEYS", "*") if key.startswith(PREFIX.encode())]
    assert len(keys) > len(PEOPLE)
    assert len({key_slot(key) for key in keys}) == 1
