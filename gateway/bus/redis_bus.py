"""The bus over the pub/sub of one Redis server.

RedisBus ─▶ Server ─▶ { Hearing, Speaking } ─▶ Redis. cluster_bus.py has one Server for each shard.
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
from gateway.bus.publisher import BusCounters
from gateway.bus.redis_config import TIMEOUT_S, Address, RedisConfig
from gateway.bus.redis_server import RedisServer, cancel_all

log = structlog.get_logger(__name__)

LINGER_S = 2.0  # an unused subscription is kept this long: reloads come right back


class RedisBus:
    """This node's end of the bus."""

    def __init__(
        self,
        dial: RedisConfig | str,
        *,
        node: str,
        prefix: str = "gateway:",
        deliver: Deliver,
        resynced: Resynced,
    ) -> None:
        self.dial = RedisConfig(dial) if isinstance(dial, str) else dial
        self._name = node
        self._node = node.encode()
        self._deliver = deliver
        self._resynced = resynced
        self._voice = pubsub_dialect.plain(prefix)
        self._wanted: set[str] = set()
        self._leaving: dict[str, float] = {}
        self._servers: dict[Address | None, RedisServer] = {}
        self._connected_before: set[RedisServer] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self.counts = BusCounters()

    # --- life ------------------------------------------------------------------------------

    async def __aenter__(self) -> RedisBus:
        self._tasks.append(asyncio.create_task(self._let_go(), name="bus.linger"))
        self._open_servers()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await cancel_all(self._tasks)
        await asyncio.gather(*(server.close() for server in self._servers.values()))

    def _open_servers(self) -> None:
        self._open(None, self._voice.channel(f"node:{self._name}"))

    def _open(self, at: Address | None, probe: bytes) -> RedisServer:
        """Begin to use one server."""

        def back() -> None:
            self._back(server)

        server = RedisServer(
            self.dial.server_client(at),
            node=self._node,
            probe=probe,
            voice=self._voice,
            counts=self.counts,
            take=self._take,
            back=back,
            lost=self._lost,
            strays=self._strays,
        )
        self._servers[at] = server
        server.open()
        return server

    @property
    def healthy(self) -> bool:
        """False while this node may be deaf on any server."""
        servers = self._servers.values()
        return bool(servers) and all(server.subscriber.healthy for server in servers)

    @property
    def settled(self) -> bool:
        """Whether all that is wanted has been asked for."""
        return all(server.subscriber.settled for server in self._servers.values())

    @property
    def published(self) -> int:
        return self.counts.published

    @property
    def received(self) -> int:
        return self.counts.received

    @property
    def dropped(self) -> int:
        return self.counts.dropped

    @property
    def reconnects(self) -> int:
        return self.counts.reconnects

    # --- publishing and subscribing --------------------------------------------------------

    def _server_of(self, _topic: str) -> RedisServer | None:
        """Return the server that a topic is on; None while that is not known."""
        return self._servers[None]

    def publish(self, announcements: Collection[Announcement]) -> None:
        by_server: dict[RedisServer | None, list[Announcement]] = defaultdict(list)
        for announcement in announcements:
            by_server[self._server_of(announcement.topic)].append(announcement)
        for server, some in by_server.items():
            if server is None:
                self.counts.dropped += len(some)
            else:
                server.publisher.enqueue(some)

    async def subscribe(self, topics: Collection[str]) -> None:
        for topic in topics:
            self._leaving.pop(topic, None)
            self._wanted.add(topic)
        if waits := self._hear(topics):
            await asyncio.wait(waits, timeout=TIMEOUT_S)

    def _hear(self, topics: Iterable[str]) -> list[asyncio.Future[None]]:
        """Hear these where they are; return what to wait for."""
        waits = []
        for topic in topics:
            server = self._server_of(topic)
            if server is None:
                continue
            confirmed = server.subscriber.subscribe(self._voice.channel(topic))
            # While Redis is away nobody waits for it: positions are compared when it is back.
            if confirmed is not None and server.subscriber.connected:
                waits.append(confirmed)
        return waits

    def unsubscribe(self, topics: Collection[str]) -> None:
        now = time.monotonic()
        self._leaving.update((topic, now) for topic in topics)

    async def _let_go(self) -> None:
        """Unsubscribe what nobody came back for."""
        while True:
            await asyncio.sleep(LINGER_S / 2)
            long_ago = time.monotonic() - LINGER_S
            for topic in [topic for topic, at in self._leaving.items() if at < long_ago]:
                del self._leaving[topic]
                self._wanted.discard(topic)
                if (server := self._server_of(topic)) is not None:
                    server.subscriber.unsubscribe([self._voice.channel(topic)])

    # --- what a server tells ---------------------------------------------------------------

    def _back(self, server: RedisServer) -> None:
        if server in self._connected_before:
            self.counts.reconnects += 1
            log.info("bus.back", topics=len(self._wanted))
        self._connected_before.add(server)
        self._resynced()

    def _lost(self) -> None:
        """Take note that a server was lost, or that a channel was taken from us."""

    def _strays(self, announcements: list[Announcement]) -> None:
        """Take back what a server did not publish as it belongs to another one."""
        self.counts.dropped += len(announcements)

    def _take(self, channel: bytes, data: bytes) -> None:
        sender, _, wire = data.partition(b"\n")
        if sender == self._node:
            return
        try:
            announcements = Announcement.from_wire(self._voice.topic(channel), wire)
        except ValueError:
            log.warning("bus.unreadable", channel=channel.decode(errors="replace"))
            return
        self.counts.received += len(announcements)
        for announcement in announcements:
            try:
                self._deliver(announcement)
            except Exception:
                log.exception(
                    "bus.deliver_failed", topic=announcement.topic, type=announcement.type
                )
