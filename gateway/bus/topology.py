"""Which Redis server each topic is on, and the servers themselves.

RedisBus ─▶ Topology ─▶ RedisServer. SingleServer is here, ClusterTopology in its own module.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from gateway.bus.announcement import Announcement
from gateway.bus.publisher import BusCounters
from gateway.bus.redis_config import Address
from gateway.bus.redis_server import RedisServer

OpenServer = Callable[[Address | None, bytes], RedisServer]
"""Connects to the server at an address (None: the URL's), with the channel for its probes."""


class Topology(Protocol):
    """The servers of one bus."""

    @property
    def servers(self) -> Collection[RedisServer]:
        """Return the servers in use."""

    @property
    def complete(self) -> bool:
        """Return whether every topic has a server."""

    def open(self) -> None:
        """Start to use the servers."""

    async def close(self) -> None:
        """Close all servers."""

    def server_of(self, topic: str, /) -> RedisServer | None:
        """Return the server of a topic; None while that is not known."""

    def on_lost(self) -> None:
        """Handle the loss of a server's connection, or of a channel that moved elsewhere."""

    def on_misrouted(self, announcements: list[Announcement]) -> None:
        """Handle announcements that a server refused because another one has the topic."""


class SingleServer:
    """The topology of one server: it has every topic."""

    complete = True

    def __init__(self, open_server: OpenServer, *, probe: bytes, counters: BusCounters) -> None:
        self._open_server = open_server
        self._probe = probe
        self._counters = counters
        self._server: RedisServer | None = None

    @property
    def servers(self) -> Collection[RedisServer]:
        return () if self._server is None else (self._server,)

    def open(self) -> None:
        self._server = self._open_server(None, self._probe)

    async def close(self) -> None:
        if self._server is not None:
            await self._server.close()

    def server_of(self, _topic: str, /) -> RedisServer | None:
        return self._server

    def on_lost(self) -> None:
        """Do nothing: the subscriber reconnects by itself."""

    def on_misrouted(self, announcements: list[Announcement]) -> None:
        self._counters.dropped += len(announcements)
