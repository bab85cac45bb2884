"""A minimal WebSocket client, so that thousands of them cost little.

fleet ─▶ LeanSocket ─▶ servers. It upgrades, splits frames, answers pings and closes. Once it
counts, it only adds up bytes and parses nothing.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Callable
from typing import Any, cast

PING = b'{"type":"ping"}'
POLL_S = 0.004
RETRY_AFTER = re.compile(r"^Retry-After: *(\d+)\r?$", re.IGNORECASE | re.MULTILINE)
OPCODE_TEXT, OPCODE_CLOSE, OPCODE_PING, OPCODE_PONG = 1, 8, 9, 10

OnText = Callable[[bytes], None]
"""Takes the payload of a text frame."""


class UpgradeRefused(ConnectionError):
    """The server answered the upgrade with something else than a WebSocket."""

    def __init__(self, status: str, retry_after_s: float) -> None:
        super().__init__(status)
        self.retry_after_s = retry_after_s
        """Retry-After of the reply in seconds; 0 without one."""


def masked(payload: bytes, opcode: int = OPCODE_TEXT) -> bytes:
    """Return a client's frame. The key is zero: masking protects proxies, and here are none."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


PONG = masked(b'{"type":"pong"}')


class ByteCounter:
    """Bytes that a group of clients has received."""

    def __init__(self) -> None:
        self.received = 0

    async def reach(self, wanted: int, within_s: float) -> None:
        """Return when the group has received this much in all; TimeoutError when it did not.

        It checks every POLL_S and blocks in between: a client that waits in epoll is woken by
        every send, and waking costs the server up to 4 µs a delivery, depending on who is faster.
        """
        deadline = time.monotonic() + within_s
        while self.received < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(POLL_S)  # noqa: ASYNC251 - nothing else is to run
            await asyncio.sleep(0)


class LeanSocket(asyncio.Protocol):
    """One connection. `greeting` is how the text begins that says it is served."""

    __slots__ = (
        "_buffer", "_greeting", "_on_text", "_tally", "_transport", "_upgraded", "close_code",
        "counted", "lost", "open", "served",
    )  # fmt: skip

    def __init__(self, *, greeting: bytes = b"", on_text: OnText | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.open: asyncio.Future[None] = loop.create_future()
        """Done when the server has answered the upgrade."""
        self.served: asyncio.Future[bytes] = loop.create_future()
        """The greeting, when it has come."""
        self.lost: asyncio.Future[None] = loop.create_future()
        """Done when the connection has ended."""
        self.counted = 0
        self.close_code = 0
        self._greeting = greeting
        self._on_text = on_text
        self._buffer = bytearray()
        self._tally: ByteCounter | None = None
        self._transport: asyncio.Transport | None = None
        self._upgraded = False

    # --- what its owner does ---------------------------------------------------------------

    def upgrade(self, host: str, path: str, *headers: str) -> None:
        """Ask for a WebSocket."""
        lines = [
            f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            *headers, "", "",
        ]  # fmt: skip
        self.write("\r\n".join(lines).encode())

    def skip_upgrade(self) -> None:
        """Talk to a server that sends frames at once."""
        self._upgraded = True
        self.open.set_result(None)
        self._split()  # some may have come already

    def await_greeting_again(self) -> None:
        """Wait for another greeting: the last one was a refusal."""
        self.served = asyncio.get_running_loop().create_future()
        if self._transport is None:
            self._fail(self.served, ConnectionError("closed"))

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def count_for(self, tally: ByteCounter) -> None:
        """From now on only add up bytes; what is half here does not count."""
        self._tally = tally
        self._buffer.clear()

    def limit_receive_buffer(self, size: int) -> None:
        """Limit how many unread bytes the kernel holds."""
        if self._transport is not None:
            end = self._transport.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def pause_reading(self) -> None:
        """Stop reading."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def abort(self) -> bool:
        """Abort the connection; return whether there was one."""
        if self._transport is None:
            return False
        self._transport.abort()
        return True

    # --- asyncio.Protocol ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._tally is not None:
            self.counted += len(data)
            self._tally.received += len(data)
            return
        self._buffer += data
        if self._upgraded or self._read_head():
            self._split()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        ended = exc or ConnectionError(f"closed by the server ({self.close_code or 1006})")
        self._fail(self.open, ended)
        self._fail(self.served, ended)
        self.lost.set_result(None)

    @staticmethod
    def _fail(waiting: asyncio.Future[Any], why: Exception) -> None:
        if not waiting.done():
            waiting.set_exception(why)
            waiting.exception()  # marks it as retrieved: awaiting it is optional

    # --- reading ---------------------------------------------------------------------------

    def _read_head(self) -> bool:
        """Parse the reply to the upgrade; return whether frames follow."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._buffer[:end]).decode(errors="replace")
        del self._buffer[: end + 4]
        self._upgraded = head.startswith("HTTP/1.1 101")
        if self._upgraded:
            self.open.set_result(None)
        else:
            found = RETRY_AFTER.search(head)
            status = head.partition("\r\n")[0]
            self.open.set_exception(UpgradeRefused(status, float(found[1]) if found else 0.0))
            self.abort()
        return self._upgraded

    def _split(self) -> None:
        """Take whole frames off the front of the buffer."""
        at = 0
        while (found := _frame_at(self._buffer, at)) is not None:
            start, end = found
            opcode, at = self._buffer[at] & 0x0F, end
            self._handle_frame(opcode, bytes(self._buffer[start:end]))
        del self._buffer[:at]

    def _handle_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == OPCODE_TEXT:
            if payload == PING:
                self.write(PONG)
            elif not self.served.done() and payload.startswith(self._greeting):
                self.served.set_result(payload)
            elif self._on_text is not None:
                self._on_text(payload)
        elif opcode == OPCODE_PING:
            self.write(masked(payload, OPCODE_PONG))
        elif opcode == OPCODE_CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big") or 1005
            if self._transport is not None:
                self._transport.close()


def _frame_at(buffer: bytearray, at: int) -> tuple[int, int] | None:
    """Return where the payload of the frame at this place begins and ends; None when cut off."""
    there = len(buffer) - at
    if there < 2:
        return None
    size, start = buffer[at + 1], at + 2
    if size == 126:
        start += 2
    elif size == 127:
        start += 8
    if len(buffer) < start:
        return None
    if size >= 126:
        size = int.from_bytes(buffer[at + 2 : start], "big")
    return (start, start + size) if len(buffer) >= start + size else None
