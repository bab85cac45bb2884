"""One Redis server as the bus knows it: a connection to hear, one to publish, and a probe."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.bus.publisher import BusCounters, OnMisrouted, Publisher
from gateway.bus.pubsub_dialect import PubSubDialect
from gateway.bus.subscriber import PROBE_S, Notify, OnMessage, Subscriber


class RedisServer:
    """Both ways to one server."""

    def __init__(
        self,
        redis: Redis,
        *,
        node: bytes,
        probe: bytes,
        voice: PubSubDialect,
        counts: BusCounters,
        take: OnMessage,
        back: Notify,
        lost: Notify,
        strays: OnMisrouted,
    ) -> None:
        self._redis = redis
        self._publish = voice.publish
        self.probe = probe
        self.subscriber = Subscriber(
            redis.connection_pool, voice=voice, probe=probe, take=take, back=back, lost=lost
        )
        self.publisher = Publisher(redis, node=node, voice=voice, counts=counts, strays=strays)
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Begin to hear and to publish."""
        loop = asyncio.get_running_loop()
        for name, work in (
            ("bus.listen", self.subscriber.listen()),
            ("bus.subscribe", self.subscriber.send_commands()),
            ("bus.publish", self.publisher.run()),
            ("bus.probe", self._probe()),
        ):
            self._tasks.append(loop.create_task(work, name=name))

    async def close(self) -> None:
        """End both connections."""
        await cancel_all(self._tasks)
        await self.subscriber.disconnect()
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()

    async def _probe(self) -> None:
        """Ring at ourselves: if we do not hear it, we hear nobody."""
        while True:
            with contextlib.suppress(RedisError, OSError):
                await execute(self._redis, self._publish, self.probe, b"")
            await asyncio.sleep(PROBE_S)


async def execute(redis: Redis, *command: str | bytes) -> Any:
    """Have a server do something; return its answer."""
    return await redis.execute_command(*command)  # type: ignore[no-untyped-call]


async def cancel_all(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel these until they have ended."""
    running = set(tasks)
    while running:
        # Again and again: on Python 3.11 redis-py's wait_for may swallow a cancellation
        # (https://github.com/python/cpython/issues/86296).
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.2)
