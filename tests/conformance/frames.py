"""WebSocket frames by hand, right and wrong, and a connection without a network to try them on.

Written from RFC 6455, 5.2, apart from the library that the product parses with: what both get
wrong in the same way would not be seen.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import Any

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class ReceivedFrame:
    """A frame that the server sent."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """The code in a close frame; 1005 when it has none."""
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else 1005


def head(
    opcode: int,
    size: int,
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"\x0f\xf0\x55\xaa",
) -> bytes:
    """Return the bytes before a payload; it may lie about the payload's size."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    masked = 0x80 if mask is not None else 0
    if size < 126:
        start = struct.pack("!BB", first, masked | size)
    elif size < 2**16:
        start = struct.pack("!BBH", first, masked | 126, size)
    else:
        start = struct.pack("!BBQ", first, masked | 127, size)
    return start + (mask or b"")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"\x0f\xf0\x55\xaa",
) -> bytes:
    """Return a client's frame; mask=None leaves it unmasked, which a client must not."""
    start = head(opcode, len(payload), fin=fin, rsv=rsv, mask=mask)
    if mask is None or not payload:
        return start + payload
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return start + mixed.to_bytes(len(payload), "big")


def close_frame(code: int | None = 1000, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def heard(data: bytes) -> list[ReceivedFrame]:
    """Read what a server sent; ValueError when a server must not send that, or it is cut short."""
    frames: list[ReceivedFrame] = []
    at = 0
    while at < len(data):
        first, second = data[at], data[at + 1]
        if first & 0x70 or not first & 0x80 or second & 0x80:
            raise ValueError(f"neither whole nor plain: {data[at : at + 8]!r}")
        size, at = second, at + 2
        if size == 126:
            size, at = struct.unpack_from("!H", data, at)[0], at + 2
        elif size == 127:
            size, at = struct.unpack_from("!Q", data, at)[0], at + 8
        payload = data[at : at + size]
        if len(payload) < size or first & 0x0F not in (TEXT, BINARY, CLOSE, PING, PONG):
            raise ValueError(f"cut short, or of no known kind: {first:#x} {payload[:20]!r}")
        at += size
        frames.append(ReceivedFrame(first & 0x0F, payload))
    return frames


class RecordingTransport(asyncio.Transport):
    """A transport whose peer reads everything, or, with reads=False, nothing at all.

    As uvloop's, it calls pause_writing within write(), and connection_lost in a later turn.
    """

    def __init__(self, protocol: Any, *, reads: bool = True) -> None:
        super().__init__()
        self.written = bytearray()
        self.after_close = bytearray()
        self.lost = False
        self.ended = False
        self._protocol = protocol
        self._reads = reads
        self._paused = False
        self._high = 65_536
        self._closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high if high is not None else self._high

    def get_write_buffer_size(self) -> int:
        return 0 if self._reads else len(self.written)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self._closing or self.ended:
            self.after_close += data
            return
        self.written += data
        if not self._reads and not self._paused and len(self.written) > self._high:
            self._paused = True
            self._protocol.pause_writing()

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """End our half; a client that reads takes note, and ends the other."""
        self.ended = True
        if self._reads:
            asyncio.get_running_loop().call_soon(self.close)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if self._reads:
                asyncio.get_running_loop().call_soon(self._lose)

    def abort(self) -> None:
        self._closing = True
        asyncio.get_running_loop().call_soon(self._lose)

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def _lose(self) -> None:
        if not self.lost:
            self.lost = True
            self._protocol.connection_lost(None)


class FrameConnection:
    """One client of a protocol class, without a network: say bytes, read frames."""

    def __init__(self, protocol: Any, *, reads: bool = True) -> None:
        self.protocol = protocol
        self.transport = RecordingTransport(protocol, reads=reads)
        protocol.connection_made(self.transport)
        protocol.data_received(UPGRADE)
        answer = bytes(self.transport.written)
        if not answer.startswith(b"HTTP/1.1 101 ") or not answer.endswith(b"\r\n\r\n"):
            raise ValueError(answer)
        self.transport.written.clear()

    def say(self, *pieces: bytes) -> None:
        """Deliver bytes as separate reads; a closed transport reads no more."""
        for piece in pieces:
            if not self.transport.is_closing():
                self.protocol.data_received(piece)

    def hang_up(self) -> None:
        """Let the client vanish."""
        if not self.transport.lost:
            self.transport.abort()

    async def settle(self) -> None:
        """Let the loop finish what this caused: the cork, commands, connection_lost."""
        for _ in range(6):
            await asyncio.sleep(0)

    def heard(self) -> list[ReceivedFrame]:
        return heard(bytes(self.transport.written))
