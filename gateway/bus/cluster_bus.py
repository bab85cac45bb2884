"""The bus over a Redis Cluster: sharded pub/sub, one Server for each master.

A topic's slot says on which server it is heard. Whenever a server is lost, refuses a channel as
not its own (MOVED) or takes one away, the map is read again, topics move, and `resynced` is said.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog
from redis.exceptions import RedisError

from gateway.bus import pubsub_dialect, slots
from gateway.bus.announcement import Announcement
from gateway.bus.publisher import OUTBOX
from gateway.bus.redis_bus import RedisBus
from gateway.bus.redis_config import TIMEOUT_S
from gateway.bus.redis_server import RedisServer
from gateway.bus.slots import Slots

log = structlog.get_logger(__name__)

EVERY_S = 15.0
"""The map is read this often, too: a failover may leave the old server up, as a replica."""
AGAIN_S = 0.2
"""Between two readings, however often something asks for one."""


class ClusterBus(RedisBus):
    """This node's end of the bus, on every shard."""

    def __init__(self, *args: Any, prefix: str = "gateway:", **named: Any) -> None:
        super().__init__(*args, prefix=prefix, **named)
        self._voice = pubsub_dialect.sharded(prefix)
        self._slots = Slots([])
        self._look_soon = asyncio.Event()
        self._astray: list[Announcement] = []
        self._closing: set[asyncio.Task[None]] = set()

    async def __aexit__(self, *exc: object) -> None:
        await super().__aexit__(*exc)
        await asyncio.gather(*self._closing)

    def _open_servers(self) -> None:
        self._look_soon.set()
        self._tasks.append(asyncio.create_task(self._watch(), name="bus.slots"))

    @property
    def healthy(self) -> bool:
        """False while this node may be deaf on any shard, or a slot is nobody's."""
        return self._slots.complete and super().healthy

    def _server_of(self, topic: str) -> RedisServer | None:
        at = self._slots.master_of(self._voice.channel(topic))
        return None if at is None else self._servers.get(at)

    def _lost(self) -> None:
        self._look_soon.set()

    def _strays(self, announcements: list[Announcement]) -> None:
        """Keep them until the map has been read again."""
        self._astray += announcements
        if (beyond := len(self._astray) - OUTBOX) > 0:
            del self._astray[:beyond]
            self.counts.dropped += beyond
        self._look_soon.set()

    # --- the map ---------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Read the map again whenever something does not fit it, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._look_soon.wait()
            self._look_soon.clear()
            try:
                found = await self._read()
                if found is None:
                    log.warning("bus.no_map")
                    self._look_soon.set()
                else:
                    await self._settle(found)
            except Exception:  # this loop must outlive any of them
                log.exception("bus.map_failed")
            await asyncio.sleep(AGAIN_S)

    async def _read(self) -> Slots | None:
        """Ask the servers that are well, then the URL's, then those that are not."""
        well = [at for at, server in self._servers.items() if server.subscriber.healthy]
        ill = [at for at, server in self._servers.items() if not server.subscriber.healthy]
        for at in (*well, None, *ill):
            redis = self.dial.server_client(at)
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

    async def _settle(self, found: Slots) -> None:
        """Use the servers that there are now; move topics to where they belong."""
        before = {topic: self._server_of(topic) for topic in self._wanted}
        self._slots = found
        self._close_those_gone()
        for at in found.masters - self._servers.keys():
            probe = found.first_on(
                at, slots.names(f"{self._voice.channel_prefix}node:{self._name}:", "}")
            )
            self._open(at, probe)
        moved = []
        for topic, server in before.items():
            now = self._server_of(topic)
            if now is not server:
                moved.append(topic)
                if server is not None and server in self._servers.values():
                    server.subscriber.unsubscribe([self._voice.channel(topic)])
        waits = self._hear(moved)
        for server in self._servers.values():
            server.subscriber.resubscribe_revoked()
        strays, self._astray = self._astray, []
        self.publish(strays)
        if moved and waits:
            await asyncio.wait(waits, timeout=TIMEOUT_S)
            self._resynced()  # those on servers that are new follow when these are connected

    def _close_those_gone(self) -> None:
        """Let servers go that have no slots, or not those of their probes."""
        gone = [
            at for at, server in self._servers.items() if self._slots.master_of(server.probe) != at
        ]
        for at in gone:
            server = self._servers.pop(at)
            self._connected_before.discard(server)
            self._astray = [*server.publisher.drain(), *self._astray]
            closing = asyncio.create_task(server.close(), name="bus.close")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
