"""Each PresenceStore, opened for a test, with what it announces."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from presence import MemoryPresence, PresenceSettings, PresenceStore, RedisPresence
from tests.contract.presence_nodes import ChangeRecorder

ANNA, BORIS, NOBODY = 1, 2, 999


@dataclass
class StoreUnderTest:
    store: PresenceStore
    recorder: ChangeRecorder

    async def pass_grace(self) -> None:
        """Return when the grace of everybody who left before is over."""
        sentinel = next(_sentinels)
        await self.store.arrive(sentinel, "web")
        await self.store.leave(sentinel, "web")
        await self.recorder.until((sentinel, "offline"))


_sentinels = itertools.count(1_000_000)


@asynccontextmanager
async def opened_store(
    request: pytest.FixtureRequest, kind: str, settings: PresenceSettings
) -> AsyncIterator[StoreUnderTest]:
    recorder = ChangeRecorder()
    if kind == "memory":
        memory = MemoryPresence(on_change=recorder, settings=settings, node="a")
        await memory.open()
        yield StoreUnderTest(memory, recorder)
        await memory.close()
        return
    async with Redis.from_url(request.getfixturevalue("redis_url")) as redis:
        store = RedisPresence(redis, node="a", on_change=recorder, settings=settings)
        await store.open()
        yield StoreUnderTest(store, recorder)
        await store.close()


def soon(seconds: float = 0.2) -> datetime:
    """Return a moment, as exact as the stores keep it."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
