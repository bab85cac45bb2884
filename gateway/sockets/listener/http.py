"""The HTTP side of the one port: uvicorn's httptools protocol with limits of our own.

uvicorn ─▶ HttpProtocol ─▶ REST, or SocketProtocol after an upgrade. uvicorn's defaults wait for
ever for the rest of a head, read heads of any size, and keep answers for ever that nobody reads;
here a head has 5 s and 16 KiB, for every connection on the port, also those that become
WebSockets, and an answer is kept while its client takes it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Container, Hashable
from functools import partial
from typing import Any

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.errors import GatewayError, HeadTooLarge, RequestInvalid
from gateway.limits.addresses import is_in, site_of
from gateway.ops.bounded_log import BoundedLog
from gateway.sockets.listener.handshake import host_is_valid, refusal_response
from gateway.sockets.node import Node

refusals = BoundedLog(structlog.get_logger(__name__))

MAX_HEAD = 16_384
MAX_PIPELINED = 32
"""Requests of one connection that wait for the answer before theirs. One read may hold 14,000."""
LINGER_S = 2.0
"""A client that was refused has this long to read why."""
HIGH_WATER = 16_384
"""Bytes that wait for a client before no more are written, nor read, for it."""


class HttpProtocol(HttpToolsProtocol):
    """One TCP connection, until it is upgraded or closed."""

    def __init__(self, node: Node, urgent: Container[str], **arguments: Any) -> None:
        super().__init__(**arguments)
        self._node = node
        self._urgent = urgent
        self._head_bytes = 0
        self._in_head = True
        self._head_until = 0.0
        self._address = ""
        self._read = b""
        self._counted = False
        self._answered: Any = None
        """The request that is being answered; others of a pipeline wait behind it."""
        self._untaken = False
        """Whether an answer is complete, and not yet taken."""
        self._waiting_bytes = 0
        self._begun = 0
        """Heads that began in the last read."""
        self._unfinished_bytes = 0
        """Bytes read of a head that has not ended."""
        self._refused_at = 0.0
        self._taken_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=HIGH_WATER)
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if peer else "unix"
        self._counted = True
        if self._node.admission.http_opened(self._address):
            self._expect_head()
        else:
            self._abort("too many connections")

    def connection_lost(self, exc: Exception | None) -> None:
        self._no_longer_http()
        self._node.unsent.release(self)
        self._end_answer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused_at:
            return  # the client sends on while it is told why not
        if self._in_head and not self._head_bytes:
            self._head_bytes = 1  # its first bytes
        self._unset_keepalive_if_required()
        self._read, self._begun = data, 0
        all_head = self._in_head
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
        except httptools.HttpParserError as error:
            why = error.__context__
            self._refuse(why.error if isinstance(why, _Refused) else RequestInvalid())
        else:
            # With one head begun, at the start of what was read, or none, all of it is of a head.
            if all_head and self._begun <= 1:
                self._bound_unfinished(len(data))
        self._read = b""

    def _bound_unfinished(self, size: int) -> None:
        """Bound a head that has not ended: the parser keeps a header until it is complete."""
        if self.parser is not None and self._in_head and self._head_bytes:
            self._unfinished_bytes += size
            if self._unfinished_bytes > MAX_HEAD:
                self._refuse(HeadTooLarge())

    def _refuse(self, error: GatewayError) -> None:
        """Answer what is no request of ours, and read no more; a pipeline before it is cut.

        Closing while the client sends would reset the connection, and with it the answer.
        """
        if self.transport.is_closing():
            return  # cut by ourselves, or gone
        self._node.metrics.count_rejection(error.code)
        if self.cycle is not None and not self.cycle.response_complete:
            self._abort(error.code)
            return
        refusals.info("http.refused", code=error.code, address=self._address)
        self.transport.write(refusal_response(error).serialize())
        self.transport.write_eof()
        self._refused_at = asyncio.get_running_loop().time()
        self._node.wheel.add(self._refused_at + LINGER_S, self)

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
        self._begun += 1
        self._head_bytes, self._unfinished_bytes = 1, 0
        self._head_until = asyncio.get_running_loop().time() + self._node.settings.head_s

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        if len(self.pipeline) >= MAX_PIPELINED:
            self.cut("too many pipelined requests")
            raise _Refused(RequestInvalid())
        if not host_is_valid(self.headers, self.parser.get_http_version()):
            raise _Refused(RequestInvalid("A request has one Host."))
        super().on_headers_complete()

    # --- answers ---------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, partial(self._run, cycle, app))

    async def _run(self, cycle: Any, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Run the app; write to no connection that is lost, and log no error twice."""

        async def send_if_open(message: Any) -> None:
            if self.transport.is_closing():  # before uvicorn is told
                cycle.disconnected = True
            await send(message)

        answering = app(scope, receive, send_if_open)
        try:
            if scope["path"] in self._urgent:
                await answering
            else:
                asker = partial(_asker, scope, self._address)
                await self._node.services.turns.run(asker, answering)
        except Exception:
            if not scope["state"].get("logged"):
                raise
            if not cycle.response_complete:
                cycle.disconnected = True
                self.transport.close()

    def on_response_complete(self) -> None:
        """Go on to the next request, but only when the client has taken this answer."""
        self._in_head, self._head_bytes = True, 0
        if self.flow.write_paused and not self.transport.is_closing():
            self._untaken = True
        else:
            super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.flow.pause_reading()  # no more requests of one who does not take answers
        self._taken_at = asyncio.get_running_loop().time()
        self._node.unsent.hold(self, self._owner(), self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken_at = asyncio.get_running_loop().time()
        self._node.unsent.release(self)
        if not self.pipeline:
            self.flow.resume_reading()
        if self._untaken:
            self._untaken = False
            super().on_response_complete()

    def _owner(self) -> Hashable | None:
        """Return for whom answers are kept: an employee or a site; None for a proxy."""
        state = self._answered.scope["state"] if self._answered is not None else {}
        known: Hashable | None = state.get("employee_id") or state.get("site")
        if known is None and not is_in(self._address, self._node.settings.trusted_proxies):
            return site_of(self._address)
        return known

    def _is_unread(self, now: float) -> bool:
        """Tell whether the client has taken nothing of what waits for GATEWAY_SEND_S."""
        waiting = self.transport.get_write_buffer_size()
        if not self._waiting_bytes or waiting < self._waiting_bytes:
            self._taken_at = max(self._taken_at, now)
        self._waiting_bytes = waiting
        return waiting > 0 and now - self._taken_at >= self._node.settings.send_s

    # --- deadlines -------------------------------------------------------------------------

    def due(self, now: float) -> float | None:
        """Close a connection whose head did not come, or whose answer was not taken, in time."""
        if self.transport is None or self.parser is None:
            return None  # gone, or upgraded
        if self._refused_at and now >= self._refused_at + LINGER_S:
            self.transport.abort()
            return None
        if self._is_unread(now):
            self.cut("response not taken")
            return None
        if self.transport.is_closing():
            return now + self._check_s() if self._waiting_bytes else None
        if self._in_head and self._head_bytes and now >= self._head_until:
            self.cut("head too slow")
            return None
        if self._in_head and now >= self._head_until and self.cycle is None:
            self.transport.close()  # connected, and sent nothing
            return None
        return now + self._check_s()

    def _check_s(self) -> float:
        return min(self._node.settings.head_s, self._node.settings.send_s)

    def _expect_head(self) -> None:
        now = asyncio.get_running_loop().time()
        self._head_until = now + self._node.settings.head_s
        self._node.wheel.add(now + self._check_s(), self)

    def _no_longer_http(self) -> None:
        if self._counted:
            self._counted = False
            self._node.admission.http_closed(self._address)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD:
            raise _Refused(HeadTooLarge())

    def cut(self, why: str) -> None:
        """Abort the connection, with all that waits for its client, and count it."""
        self._node.metrics.count_rejection(why)
        self._abort(why)

    def _abort(self, why: str) -> None:
        refusals.info("http.cut", why=why, address=self._address)
        if self.transport is not None:
            self._end_answer()
            self.transport.abort()

    def _end_answer(self) -> None:
        """Write no more of the answer; uvicorn tells only the last request of a pipeline."""
        self.pipeline.clear()
        if self._answered is not None:
            self._answered.disconnected = True
            self._answered.message_event.set()


class _Refused(Exception):
    """The parser goes no further: the request is refused, or its connection is cut already."""

    def __init__(self, error: GatewayError) -> None:
        super().__init__(error.code)
        self.error = error


def _asker(scope: Any, address: str) -> Hashable:
    """Return whose turns of the loop a request takes: its employee's, once it is known whose it is.

    Before that, and for a program, they are those of what it shows; else those of its site.
    """
    employee_id: int | None = scope["state"].get("employee_id")
    if employee_id is not None:
        return employee_id  # as on the socket, however many tokens there are
    for name, value in scope["headers"]:
        if name == b"authorization":
            return bytes(value)
    return site_of(address)


def http_protocol_class(
    node: Callable[[], Node], urgent: Container[str]
) -> Callable[..., HttpProtocol]:
    """Return what uvicorn's `http=` setting takes; `urgent` are paths that wait for nothing."""

    def make(**arguments: Any) -> HttpProtocol:
        return HttpProtocol(node(), urgent, **arguments)

    return make
