"""The topology of a Redis Cluster: one RedisServer for each master, sharded pub/sub.

RedisBus ─▶ ClusterTopology ─▶ RedisServer. A topic's slot decides its server. When a server is
lost, refuses a channel that is not its own (MOVED) or revokes one, the slot map is read again,
topics move to their new servers, and `resynced` is called.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet

import structlog
from redis.exceptions import RedisError

from gateway.bus import slots
from gateway.bus.announcement import Announcement
from gateway.bus.bus import Resynced
from gateway.bus.publisher import OUTBOX, BusCounters
from gateway.bus.pubsub_dialect import PubSubDialect
from gateway.bus.redis_config import TIMEOUT_S, Address, RedisConfig
from gateway.bus.redis_server import RedisServer, cancel_all
from gateway.bus.slots import Slots
from gateway.bus.topology import OpenServer

log = structlog.get_logger(__name__)

EVERY_S = 15.0
"""The map is also read this often: after a failover the old master may be up, as a replica."""
AGAIN_S = 0.2
"""Shortest time between two readings of the map."""


class ClusterTopology:
    """The masters of a cluster, and which topics each has."""

    def __init__(
        self,
        config: RedisConfig,
        open_server: OpenServer,
        *,
        node: str,
        dialect: PubSubDialect,
        counters: BusCounters,
        topics: AbstractSet[str],
        subscribe: Callable[[Iterable[str]], list[asyncio.Future[None]]],
        publish: Callable[[Collection[Announcement]], None],
        compare: Resynced,
        compare_when_confirmed: Callable[[Iterable[asyncio.Future[None]]], None],
    ) -> None:
        self._config = config
        self._open_server = open_server
        self._node = node
        self._dialect = dialect
        self._counters = counters
        self._topics = topics
        """The bus's own set of subscribed topics; only read here."""
        self._subscribe = subscribe
        self._republish = publish
        self._compare = compare
        self._compare_when_confirmed = compare_when_confirmed
        self.slots = Slots([])
        self._by_address: dict[Address, RedisServer] = {}
        self._check_map = asyncio.Event()
        self._misrouted: list[Announcement] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def servers(self) -> Collection[RedisServer]:
        return self._by_address.values()

    @property
    def complete(self) -> bool:
        return self.slots.complete

    def open(self) -> None:
        self._check_map.set()
        self._tasks.append(asyncio.create_task(self._watch_map(), name="bus.slots"))

    async def close(self) -> None:
        await cancel_all(self._tasks)
        await asyncio.gather(*(server.close() for server in self._by_address.values()))
        await asyncio.gather(*self._closing)

    def server_of(self, topic: str, /) -> RedisServer | None:
        at = self.slots.master_of(self._dialect.channel(topic))
        return None if at is None else self._by_address.get(at)

    def on_lost(self) -> None:
        self._check_map.set()

    def on_misrouted(self, announcements: list[Announcement]) -> None:
        """Hold them until the map has been read again."""
        self._misrouted += announcements
        if (beyond := len(self._misrouted) - OUTBOX) > 0:
            del self._misrouted[:beyond]
            self._counters.dropped += beyond
        self._check_map.set()

    # --- the map ---------------------------------------------------------------------------

    async def _watch_map(self) -> None:
        """Read the map again when something contradicts it, and every EVERY_S; until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._check_map.wait()
            self._check_map.clear()
            try:
                found = await self._read_map()
                if found is None:
                    log.warning("bus.no_map")
                    self._check_map.set()
                else:
                    await self._apply_map(found)
            except Exception:  # this loop must survive every error
                log.exception("bus.map_failed")
            await asyncio.sleep(AGAIN_S)

    async def _read_map(self) -> Slots | None:
        """Ask the healthy servers first, then the URL's, then the others; None: none answered."""
        healthy = [at for at, server in self._by_address.items() if server.subscriber.healthy]
        others = [at for at, server in self._by_address.items() if not server.subscriber.healthy]
        for at in (*healthy, None, *others):
            redis = self._config.server_client(at)
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    found = await slots.read(redis)
            except (RedisError, OSError, TimeoutError, ValueError) as error:
                log.info("bus.map_unread", at=at, error=type(error).__name__)
            else:
                if found.masters:
                    return found
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await redis.aclose()
        return None

    async def _apply_map(self, found: Slots) -> None:
        """Use the masters of this map, and move topics to the servers that have them now."""
        before = {topic: self.server_of(topic) for topic in self._topics}
        self.slots = found
        self._close_removed()
        for at in found.masters - self._by_address.keys():
            prefix = f"{self._dialect.channel_prefix}node:{self._node}:"
            probe = found.first_on(at, slots.names(prefix, "}"))
            self._by_address[at] = self._open_server(at, probe)
        moved = []
        for topic, server in before.items():
            if self.server_of(topic) is not server:
                moved.append(topic)
                if server is not None and server in self._by_address.values():
                    server.subscriber.unsubscribe([self._dialect.channel(topic)])
        waits = self._subscribe(moved)
        for server in self._by_address.values():
            server.subscriber.resubscribe_revoked()
        misrouted, self._misrouted = self._misrouted, []
        self._republish(misrouted)
        if waits:
            _, late = await asyncio.wait(waits, timeout=TIMEOUT_S)
            self._compare()  # topics on new servers are compared when those have connected
            self._compare_when_confirmed(late)

    def _close_removed(self) -> None:
        """Close servers that have no slots any more, or have lost the slot of their probe."""
        removed = [
            at
            for at, server in self._by_address.items()
            if self.slots.master_of(server.probe) != at
        ]
        for at in removed:
            server = self._by_address.pop(at)
            self._misrouted = [*server.publisher.drain(), *self._misrouted]
            closing = asyncio.create_task(server.close(), name="bus.close")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
