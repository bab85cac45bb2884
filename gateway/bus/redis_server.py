"""One Redis server as the bus uses it: a subscriber's connection, a publisher's, and a probe."""

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
    """Both directions to one server."""

    def __init__(
        self,
        redis: Redis,
        *,
        node: bytes,
        probe: bytes,
        dialect: PubSubDialect,
        counters: BusCounters,
        on_message: OnMessage,
        on_connected: Notify,
        on_lost: Notify,
        on_misrouted: OnMisrouted,
    ) -> None:
        self._redis = redis
        self._publish = dialect.publish
        self.probe = probe
        """The channel on which this node sends probes to itself."""
        self.subscriber = Subscriber(
            redis.connection_pool,
            dialect=dialect,
            probe=probe,
            on_message=on_message,
            on_connected=on_connected,
            on_lost=on_lost,
        )
        self.publisher = Publisher(
            redis, node=node, dialect=dialect, counters=counters, on_misrouted=on_misrouted
        )
        self._tasks: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Start to receive and to publish."""
        loop = asyncio.get_running_loop()
        for name, work in (
            ("bus.listen", self.subscriber.listen()),
            ("bus.subscribe", self.subscriber.send_commands()),
            ("bus.publish", self.publisher.run()),
            ("bus.probe", self._send_probes()),
        ):
            self._tasks.append(loop.create_task(work, name=name))

    async def close(self) -> None:
        """Close both connections."""
        await cancel_all(self._tasks)
        await self.subscriber.disconnect()
        with contextlib.suppress(RedisError, OSError):
            await self._redis.aclose()

    async def _send_probes(self) -> None:
        """Publish to ourselves: a node that does not receive its own probe receives nothing."""
        while True:
            with contextlib.suppress(RedisError, OSError):
                await execute(self._redis, self._publish, self.probe, b"")
            await asyncio.sleep(PROBE_S)


async def execute(redis: Redis, *command: str | bytes) -> Any:
    """Run one command and return the reply; redis-py gives it no type."""
    return await redis.execute_command(*command)  # type: ignore[no-untyped-call]


async def cancel_all(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until all have ended."""
    running = set(tasks)
    while running:
        # Repeated: on Python 3.11 redis-py's wait_for may swallow a cancellation
        # (https://github.com/python/cpython/issues/86296).
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.2)
