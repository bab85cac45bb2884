"""The gateway's own protocol classes, as an echo server for Autobahn.

Everything below a session is the product's: uvicorn's configuration from `make_server`,
HttpProtocol, SocketProtocol, Sender, the wheel. Only the session echoes what it receives, binary
frames are accepted, and the limits are those that Autobahn's section 9 (16 MiB, 65,536 fragments)
needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from websockets.frames import Frame, Opcode

from gateway.app import make_server
from gateway.auth import Tokens
from gateway.cli.listen import listen, port_of
from gateway.context import Services
from gateway.delivery.delivery import Delivery
from gateway.delivery.shared_frame import TEXT, deflated_frame, text_frame
from gateway.ops.tasks import Tasks
from gateway.settings import Settings
from gateway.sockets.listener import websocket as product
from gateway.sockets.node import Node
from gateway.sockets.session.session import Session
from tests.support.given_settings import GivenSettings

SECRET = "a secret of thirty-two bytes or so"

BINARY = TEXT + 1  # FIN, opcode 2


class EchoSession(Session):
    """Says back what it hears, without a hello."""

    __slots__ = ()

    def receive(self, data: bytes) -> None:
        self.received_at = asyncio.get_running_loop().time()
        self.sender.send_payload(data)


class EchoProtocol(product.SocketProtocol):
    """The product's protocol class, which takes binary messages too."""

    __slots__ = ("_binary",)

    def _frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.BINARY:
            self._binary = True
            frame = Frame(Opcode.TEXT, frame.data, frame.fin)
        elif frame.opcode is Opcode.TEXT:
            self._binary = False
        super()._frame(frame)

    def _message(self, data: bytes) -> None:
        if not self._binary:
            super()._message(data)
            return
        assert self._sender is not None
        bits = self._sender.window_bits
        frame = deflated_frame(data, bits, BINARY) if bits else text_frame(data, BINARY)
        self._sender.send(frame)


def echo_settings(**changes: Any) -> Settings:
    """Return settings under which nothing but the protocol ends a connection."""
    return GivenSettings(
        **{
            "node": "echo",
            "max_frame_bytes": 2**24,
            "outgoing_bytes": 2**26,
            "hello_s": 3_600.0,
            "drain_s": 1.0,
            "pings_per_s": 1e6,
            "pings_burst": 10**6,
            "accepts_burst": 10**6,
            "database_url": None,
            "redis_url": None,
            **changes,
        }
    )


def lone_node(settings: Settings) -> Node:
    """Return a node without database, Redis and presence: enough for sessions without hello."""
    presence = SimpleNamespace(heard=lambda _presences: None)
    services = Services(cast(Any, None), lambda _: None, cast(Any, presence), cast(Any, None))
    tokens = Tokens(SECRET, "echo", "echo", 0)
    return Node(settings, services=services, tokens=tokens, delivery=Delivery(), tasks=Tasks())


@contextmanager
def echoing(protocol: type[product.SocketProtocol] = EchoProtocol) -> Iterator[None]:
    """Make the product's protocol class an echo, with the fragments that section 9 sends."""
    with (
        mock.patch.object(product, "Session", EchoSession),
        mock.patch.object(product, "SocketProtocol", protocol),
        mock.patch.object(product, "MAX_FRAGMENTS", 131_072),
    ):
        yield


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[Node, int]]:
    """Serve as the product does, but with a lone node; yields the node and the port."""
    node = lone_node(settings)
    node.cork.deflate_from = 0
    app, server = make_server(settings)

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(node.tasks)
            node.wheel.start()
            stack.callback(node.wheel.stop)
            app.state.gateway = SimpleNamespace(node=node)
            yield

    app.router.lifespan_context = lifespan
    listener = listen("127.0.0.1", 0)
    running = asyncio.create_task(server._serve([listener]), name="conformance.server")
    while not server.started and not running.done():  # noqa: ASYNC110 - uvicorn has no event
        await asyncio.sleep(0.005)
    if running.done():
        await running
    try:
        yield node, port_of(listener)
    finally:
        server.should_exit = True
        await running
