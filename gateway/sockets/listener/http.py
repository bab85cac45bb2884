"""The HTTP side of the one port: uvicorn's httptools protocol with limits of our own.

uvicorn ─▶ HttpProtocol ─▶ REST, or SocketProtocol after an upgrade. uvicorn's defaults wait for
ever for the rest of a head and read heads of any size; here a head has 5 s and 16 KiB, for every
connection on the port, also those that become WebSockets.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.sockets.node import Node

log = structlog.get_logger(__name__)

MAX_HEAD = 16_384


class HttpProtocol(HttpToolsProtocol):
    """One TCP connection, until it is upgraded or closed."""

    def __init__(self, node: Node, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._node = node
        self._head_bytes = 0
        self._in_head = True
        self._head_until = 0.0
        self._address = ""
        self._read = b""
        self._counted = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if peer else "unix"
        self._counted = True
        if self._node.admission.http_opened(self._address):
            self._expect_head()
        else:
            self._cut("too many connections")

    def connection_lost(self, exc: Exception | None) -> None:
        self._no_longer_http()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head and not self._head_bytes:
            self._head_bytes = 1  # its first bytes
        self._read = data
        super().data_received(data)
        self._read = b""

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, with what came behind the request in the same read.

        uvicorn drops that: a client that does not wait for the 101 would never get a reply.
        """
        self._no_longer_http()
        super().handle_websocket_upgrade()
        upgrade = sys.exception()
        assert isinstance(upgrade, httptools.HttpParserUpgrade)
        rest = self._read[upgrade.args[0] :]
        if rest and not self.transport.is_closing():
            self.transport.get_protocol().data_received(rest)  # type: ignore[attr-defined]
        self._forget()

    def _forget(self) -> None:
        """Drop 3 KiB; the wheel still holds this object until its next deadline."""
        self.parser = self.flow = self.scope = self._node = None  # type: ignore[assignment]
        self.headers, self.client, self.server = [], None, None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 1
        self._head_until = asyncio.get_running_loop().time() + self._node.settings.head_s

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_response_complete()

    def due(self, now: float) -> float | None:
        """Close a connection whose head did not come in time."""
        if self.transport is None or self.transport.is_closing() or self.parser is None:
            return None  # gone, or upgraded
        if self._in_head and self._head_bytes and now >= self._head_until:
            self._reject("head too slow")
            return None
        if self._in_head and now >= self._head_until and self.cycle is None:
            self.transport.close()  # connected, and sent nothing
            return None
        return now + self._node.settings.head_s

    def _expect_head(self) -> None:
        until = asyncio.get_running_loop().time() + self._node.settings.head_s
        self._head_until = until
        self._node.wheel.add(until, self)

    def _no_longer_http(self) -> None:
        if self._counted:
            self._counted = False
            self._node.admission.http_closed(self._address)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD:
            self._reject("head too large")

    def _reject(self, why: str) -> None:
        self._node.metrics.count_rejection(why)
        self._cut(why)

    def _cut(self, why: str) -> None:
        log.info("http.cut", why=why, address=self._address)
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()


def http_protocol_class(node: Callable[[], Node]) -> Callable[..., HttpProtocol]:
    """Return what uvicorn's `http=` setting takes."""

    def make(**arguments: Any) -> HttpProtocol:
        return HttpProtocol(node(), **arguments)

    return make
