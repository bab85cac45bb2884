"""The WebSocket's protocol class for uvicorn: handshake, frames, close; no ASGI in between.

uvicorn ─▶ SocketProtocol ─▶ Session. Handshake and frame parsing are the `websockets` library's
sans-I/O ServerProtocol; outgoing frames are written to the transport as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import structlog
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN, Protocol
from websockets.server import ServerProtocol

from gateway.errors import GatewayError, NotFound, OriginRefused, VersionUnsupported
from gateway.limits.addresses import address_of
from gateway.ops.bounded_log import BoundedLog
from gateway.protocol import close_codes
from gateway.protocol.close_codes import CloseCode
from gateway.sockets.listener.handshake import (
    PATH,
    break_cycles,
    open_protocol,
    origin_allowed,
    refusal_response,
    server_protocol,
    token_of,
    version_supported,
    window_bits,
)
from gateway.sockets.node import Node
from gateway.sockets.outgoing.goodbye import bye_frame
from gateway.sockets.outgoing.sender import Sender
from gateway.sockets.session.session import Session

log = structlog.get_logger(__name__)
refusals = BoundedLog(log)

LINGER_S = 2.0  # after our close frame the client has this long to answer before the cut
MAX_FRAGMENTS = 1_024
MAX_SLICE = 16_384
"""Bytes parsed at once, before the session may be closed: 256 KiB of pings took 185 ms."""


class SocketProtocol(asyncio.Protocol):
    """One TCP connection that asked to become a WebSocket."""

    __slots__ = (
        "_address", "_closing_at", "_fragments", "_node", "_sender", "_server_state", "_session",
        "_transport", "_ws",
    )  # fmt: skip

    def __init__(self, node: Node, server_state: Any) -> None:
        self._node = node
        self._server_state = server_state
        self._transport: asyncio.Transport | None = None
        self._sender: Sender | None = None
        self._session: Session | None = None
        self._fragments: list[bytes] | None = None
        self._closing_at = 0.0
        self._address = ""
        self._ws: Protocol = server_protocol(node.settings)

    # --- asyncio.Protocol ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        transport = cast(asyncio.Transport, transport)
        self._transport = transport
        self._server_state.connections.add(self)
        peer = transport.get_extra_info("peername")
        self._address = peer[0] if peer else "unix"
        self._sender = Sender(
            transport,
            self._node.cork,
            limit_bytes=self._node.settings.outgoing_bytes,
            on_overflow=self._overflow,
        )

    def data_received(self, data: bytes) -> None:
        self._node.metrics.bytes_in += len(data)
        for start in range(0, len(data), MAX_SLICE):
            if self._session is not None and self._session.closed and start:
                self.pause_reading()  # a flood, which goes on after our close frame
                return
            self._read(data[start : start + MAX_SLICE])

    def _read(self, data: bytes) -> None:
        self._ws.receive_data(data)
        if self._ws.state is OPEN:
            self._write_protocol()  # pongs go before the answers to what came in the same read
        for event in self._ws.events_received():
            if isinstance(event, Request):
                self._answer_upgrade(event)
            elif isinstance(event, Frame):
                self._frame(event)
        self._write_protocol()

    def eof_received(self) -> bool:
        """Close, but queued: ten thousand at once took 0.2 s in close(2)."""
        if self._session is not None and self._transport is not None:
            self._node.disconnect_queue.add(self._transport.close)
            return True
        self._ws.receive_eof()
        self._write_protocol()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._server_state.connections.discard(self)
        if self._sender is not None:
            self._sender.detach()
        if self._session is not None:
            self._node.admission.disconnected(self._address)
            why = "" if self._session.closed else self._why_lost(exc)
            self._node.disconnect_queue.add(partial(self._session.finalize, why))
            self._session = None
        break_cycles(self._ws)
        self._transport = None

    def _why_lost(self, exc: Exception | None) -> str:
        received, sent = self._ws.close_rcvd, self._ws.close_sent
        if received is not None:
            self._node.metrics.count_client_close(received.code)
            return f"client closed {received.code}"
        if sent is not None:  # closed by the library, which checks the protocol
            self._node.metrics.count_close(sent.code)
            return f"{sent.code} {sent.reason}"
        self._node.metrics.count_client_close(1006)
        return type(exc).__name__ if exc is not None else "client closed 1006"

    def pause_writing(self) -> None:
        if self._sender is not None:
            self._sender.pause()

    def resume_writing(self) -> None:
        if self._sender is not None:
            self._sender.resume()

    def shutdown(self) -> None:
        """Drain: uvicorn calls this when the process is asked to stop."""
        self._node.drain.begin(self._node.spawn)
        if self._session is not None:
            return  # Drain closes it
        if self._transport is not None:
            self._transport.close()

    # --- handshake -------------------------------------------------------------------------

    def _answer_upgrade(self, request: Request) -> None:
        """Answer the upgrade; an unexpected error aborts the connection."""
        try:
            self._handshake(request)
        except Exception:
            log.exception("socket.handshake_failed", address=self._address)
            self._server_state.connections.discard(self)
            if self._transport is not None:
                self._transport.abort()

    def _handshake(self, request: Request) -> None:
        forwarded = request.headers.get_all("X-Forwarded-For")
        trusted = self._node.settings.trusted_proxies
        self._address = address_of(forwarded, self._address, trusted)
        refusal = self._refuse(request)
        if refusal is not None:
            assert isinstance(self._ws, ServerProtocol)
            self._ws.send_response(refusal)
            return
        assert isinstance(self._ws, ServerProtocol)
        response = self._ws.accept(request)
        response.headers["Server"] = "crm-gateway"
        self._ws.send_response(response)
        if self._ws.state is not OPEN:
            refusals.info("socket.refused", status=response.status_code, address=self._address)
            return
        self._write_protocol()
        assert self._sender is not None
        self._ws = open_protocol(self._ws, self._node.settings.max_frame_bytes)
        self._sender.window_bits = window_bits(self._ws)
        self._session = Session(self._node.parts, self, self._sender, token_of(request.headers))
        agents = request.headers.get_all("User-Agent")
        self._node.session_started(self._session, self._address, agents[0] if agents else None)

    def _refuse(self, request: Request) -> Response | None:
        error: GatewayError | None = None
        if request.path.partition("?")[0] != PATH:
            error = NotFound(f"The WebSocket is at {PATH}.")
        elif not version_supported(request.headers):
            error = VersionUnsupported()
        elif not origin_allowed(request.headers, self._node.settings.allowed_origins):
            error = OriginRefused()
        else:
            error = self._node.admission.check_connection(self._address)
        if error is None:
            return None
        self._node.metrics.count_rejection(error.code)
        refusals.info(
            "socket.refused",
            code=error.code,
            address=self._address,
            origin=",".join(request.headers.get_all("Origin"))[:200],
        )
        return refusal_response(error)

    # --- frames ----------------------------------------------------------------------------

    def _frame(self, frame: Frame) -> None:
        if self._session is None or self._session.closed:
            return
        if frame.opcode is Opcode.TEXT:
            if frame.fin:
                self._message(bytes(frame.data))
            else:
                self._fragments = [bytes(frame.data)]
        elif frame.opcode is Opcode.CONT and self._fragments is not None:
            self._fragments.append(bytes(frame.data))
            if len(self._fragments) > MAX_FRAGMENTS:
                self.close(close_codes.TOO_BIG)
            elif frame.fin:
                data, self._fragments = b"".join(self._fragments), None
                self._message(data)
        elif frame.opcode is Opcode.BINARY:
            self.close(close_codes.BINARY_REFUSED)
        else:  # ping (answered by the library), pong, close: a sign of life
            self._session.receive_control()

    def _message(self, data: bytes) -> None:
        assert self._session is not None
        try:
            data.decode()
        except UnicodeDecodeError:
            self.close(close_codes.BAD_UTF8)
            return
        self._session.receive(data)

    # --- closing ---------------------------------------------------------------------------

    def close(self, code: CloseCode) -> None:
        """Send `bye` and close with this code; nothing if the client or an error was first."""
        if self._session is None or self._session.closed or self._ws.state is not OPEN:
            return
        self._node.metrics.count_close(code.code)
        self._session.finalize(f"{code.code} {code.reason}")
        last = bye_frame(code, self._node.settings.drain_s) if code.code >= 4000 else b""
        self._ws.send_close(code.code, code.reason)
        self._write_last(last + b"".join(self._ws.data_to_send()))

    def _write_last(self, last: bytes) -> None:
        """Write the last bytes; abort the connection if it is still open after LINGER_S."""
        if self._sender is None or self._closing_at:
            return
        self._sender.write_last(last)
        self._closing_at = asyncio.get_running_loop().time() + LINGER_S
        self._node.wheel.add(self._closing_at, self)

    def due(self, now: float) -> None:
        """Abort a connection that was closed and is still open."""
        if self._transport is not None and now >= self._closing_at:
            self._transport.abort()

    def pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _overflow(self) -> None:
        if self._session is not None:
            self._session.overflowed()

    def _write_protocol(self) -> None:
        """Write the output of the library: handshake, pongs, close; "" means the end."""
        if self._transport is None or self._sender is None:
            return
        parts = self._ws.data_to_send()
        data = b"".join(parts)
        if b"" in parts:
            self._write_last(data)
            self._close_transport(self._transport)
        elif data:
            self._sender.write_control(data)

    def _close_transport(self, transport: asyncio.Transport) -> None:
        """Close the TCP connection; only our half of it when the client may still be sending.

        Closing with unread bytes resets the connection: a client in the middle of too large a frame
        lost our 1009 that way. It has LINGER_S to read it; what it sends is dropped.
        """
        failed = self._ws.close_sent is not None and self._ws.close_rcvd is None
        transport.write_eof() if failed and transport.can_write_eof() else transport.close()


def protocol_class(node: Callable[[], Node]) -> Callable[..., SocketProtocol]:
    """Return what uvicorn's `ws=` setting takes: it makes a protocol for each upgrade."""

    def make(*, server_state: Any, **_: Any) -> SocketProtocol:
        return SocketProtocol(node(), server_state)

    return make
