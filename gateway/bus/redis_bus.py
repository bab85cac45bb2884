"""The bus over Redis pub/sub, on one server or on a cluster.

delivery ─▶ RedisBus ─▶ Topology ─▶ RedisServer { Subscriber, Publisher } ─▶ Redis.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Iterable

import structlog

from gateway.bus import pubsub_dialect
from gateway.bus.announcement import Announcement
from gateway.bus.bus import Deliver, Resynced
from gateway.bus.cluster_topology import ClusterTopology
from gateway.bus.publisher import BusCounters
from gateway.bus.redis_config import Address, RedisConfig
from gateway.bus.redis_server import RedisServer, cancel_all
from gateway.bus.subscriber import Subscriber
from gateway.bus.topology import SingleServer, Topology

log = structlog.get_logger(__name__)

CONFIRM_S = 0.5
"""How long somebody who subscribes waits for Redis to confirm it; whoever resumes waits as long."""
TURNS = 5
"""That time is waited for in so many parts, and the sockets are read between them: a stall of this
event loop, however long, uses up only one part."""
REQUESTED_AT_ONCE = 32
"""Topics that are requested without a pause: of 500 it took 15 ms."""
COMPARE_S = 10.0
"""Least time between two comparisons because of late confirmations: a Redis that is slow for hours
must not make every node compare everything all the time. Conversations are swept anyway."""
LINGER_S = 2.0  # an unused subscription is kept this long: after a reload it is needed again


class RedisBus:
    """This node's connection to the bus."""

    def __init__(
        self,
        config: RedisConfig | str,
        *,
        node: str,
        prefix: str = "gateway:",
        deliver: Deliver,
        resynced: Resynced,
    ) -> None:
        self.config = RedisConfig(config) if isinstance(config, str) else config
        self._node = node.encode()
        self._deliver = deliver
        self._resynced = resynced
        dialect = pubsub_dialect.sharded if self.config.cluster else pubsub_dialect.plain
        self._dialect = dialect(prefix)
        self._topics: set[str] = set()
        self._unused_since: dict[str, float] = {}
        self._connected_before: set[RedisServer] = set()
        self._late: set[asyncio.Future[None]] = set()
        """Confirmations that nobody waits for any more."""
        self._late_added = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.counters = BusCounters()
        self.topology = self._make_topology(node)

    def _make_topology(self, node: str) -> Topology:
        if not self.config.cluster:
            probe = self._dialect.channel(f"node:{node}")
            return SingleServer(self._open_server, probe=probe, counters=self.counters)
        return ClusterTopology(
            self.config,
            self._open_server,
            node=node,
            dialect=self._dialect,
            counters=self.counters,
            topics=self._topics,
            subscribe=self._subscribe,
            publish=self.publish,
            compare=self._compare,
            compare_when_confirmed=self._compare_when_confirmed,
        )

    # --- opening and closing ---------------------------------------------------------------

    async def __aenter__(self) -> RedisBus:
        self._tasks.append(asyncio.create_task(self._drop_unused(), name="bus.linger"))
        self._tasks.append(asyncio.create_task(self._compare_late(), name="bus.late"))
        self.topology.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await cancel_all(self._tasks)
        await self.topology.close()

    def _open_server(self, at: Address | None, probe: bytes) -> RedisServer:
        """Start to use one server."""

        def connected() -> None:
            self._server_connected(server)

        server = RedisServer(
            self.config.server_client(at),
            node=self._node,
            probe=probe,
            dialect=self._dialect,
            counters=self.counters,
            on_message=self._receive,
            on_connected=connected,
            on_lost=self.topology.on_lost,
            on_misrouted=self.topology.on_misrouted,
        )
        server.open()
        return server

    @property
    def healthy(self) -> bool:
        """Return False while this node may miss announcements from any server."""
        servers = self.topology.servers
        return (
            bool(servers)
            and self.topology.complete
            and all(server.subscriber.healthy for server in servers)
        )

    @property
    def settled(self) -> bool:
        """Return whether a subscription has been requested for every topic."""
        return all(server.subscriber.settled for server in self.topology.servers)

    @property
    def published(self) -> int:
        return self.counters.published

    @property
    def received(self) -> int:
        return self.counters.received

    @property
    def dropped(self) -> int:
        return self.counters.dropped

    @property
    def reconnects(self) -> int:
        return self.counters.reconnects

    @property
    def topics(self) -> frozenset[str]:
        """Return the topics that this node is subscribed to."""
        return frozenset(self._topics)

    # --- publishing and subscribing --------------------------------------------------------

    def publish(self, announcements: Collection[Announcement]) -> None:
        by_server: dict[RedisServer | None, list[Announcement]] = defaultdict(list)
        for announcement in announcements:
            by_server[self.topology.server_of(announcement.topic)].append(announcement)
        for server, some in by_server.items():
            if server is None:
                self.counters.dropped += len(some)
            else:
                server.publisher.enqueue(some)

    async def subscribe(self, topics: Collection[str]) -> None:
        requested: dict[asyncio.Future[None], Subscriber] = {}
        named = list(topics)
        # All of them now: whoever gives them up, between two portions, does so after this.
        self._topics.update(named)
        for topic in named:
            self._unused_since.pop(topic, None)
        for start in range(0, len(named), REQUESTED_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            some = named[start : start + REQUESTED_AT_ONCE]
            requested |= self._request(topic for topic in some if topic in self._topics)
        # While Redis is away, or slow, nobody waits for it.
        waits = {one for one, at in requested.items() if at.connected and not at.overdue}
        for _ in range(TURNS):
            if waits:
                _, waits = await asyncio.wait(waits, timeout=CONFIRM_S / TURNS)
        for confirmed in waits:
            requested[confirmed].overdue = True
        self._compare_when_confirmed(one for one in requested if not one.done())

    def _subscribe(self, topics: Iterable[str]) -> list[asyncio.Future[None]]:
        return list(self._request(topics))

    def _request(self, topics: Iterable[str]) -> dict[asyncio.Future[None], Subscriber]:
        """Subscribe on each topic's server; return the confirmations to come, and of whom."""
        requested = {}
        for topic in topics:
            server = self.topology.server_of(topic)
            if server is None:
                continue
            confirmed = server.subscriber.subscribe(self._dialect.channel(topic))
            if confirmed is not None:
                requested[confirmed] = server.subscriber
        return requested

    def _compare_when_confirmed(self, late: Iterable[asyncio.Future[None]]) -> None:
        """Have everything compared once these are confirmed: nobody has waited for them."""
        self._late.update(late)
        if self._late:
            self._late_added.set()

    async def _compare_late(self) -> None:
        """Compare after late confirmations, once for all that came together; until cancelled."""
        while True:
            await self._late_added.wait()
            self._late_added.clear()
            late, self._late = self._late, set()
            await asyncio.wait(late)
            log.info("bus.confirmed_late", topics=len(late))
            self._compare()
            await asyncio.sleep(COMPARE_S)

    def unsubscribe(self, topics: Collection[str]) -> None:
        now = time.monotonic()
        self._unused_since.update((topic, now) for topic in topics)

    async def _drop_unused(self) -> None:
        """Unsubscribe from topics that have been unused for LINGER_S; until cancelled."""
        while True:
            await asyncio.sleep(LINGER_S / 2)
            long_ago = time.monotonic() - LINGER_S
            for topic in [topic for topic, at in self._unused_since.items() if at < long_ago]:
                del self._unused_since[topic]
                self._topics.discard(topic)
                if (server := self.topology.server_of(topic)) is not None:
                    server.subscriber.unsubscribe([self._dialect.channel(topic)])

    # --- what a server reports -------------------------------------------------------------

    def _server_connected(self, server: RedisServer) -> None:
        if server in self._connected_before:
            self.counters.reconnects += 1
            log.info("bus.back", topics=len(self._topics))
        self._connected_before &= {*self.topology.servers}
        self._connected_before.add(server)
        self._compare()

    def _compare(self) -> None:
        """Have everything compared; if that fails, subscribing and receiving go on."""
        try:
            self._resynced()
        except Exception:
            log.exception("bus.compare_failed")

    def _receive(self, channel: bytes, data: bytes) -> None:
        sender, _, wire = data.partition(b"\n")
        if sender == self._node:
            return
        try:
            announcements = Announcement.from_wire(self._dialect.topic(channel), wire)
        except ValueError:
            log.warning("bus.unreadable", channel=channel.decode(errors="replace"))
            return
        self.counters.received += len(announcements)
        for announcement in announcements:
            try:
                self._deliver(announcement)
            except Exception:
                log.exception(
                    "bus.deliver_failed", topic=announcement.topic, type=announcement.type
                )
