"""One client's outgoing queue.

hub ─▶ Sender ─▶ socket. Frames of one event-loop turn leave in one write. While the socket does
not take them they wait here, bounded in bytes: passing frames (typing, presence) are dropped
first, and a client that cannot keep up with the lasting ones is let go.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HIGH_WATER = 65_536
"""Bytes in the transport above which it is full. Small, so that what waits waits here, where it
can still be dropped."""


class Cork:
    """Collects the senders that have something to write in this turn of the event loop."""

    def __init__(self) -> None:
        self._dirty: list[Sender] = []
        self.writes = 0
        self.frames = 0

    def add(self, sender: Sender) -> None:
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._flush)
        self._dirty.append(sender)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for sender in dirty:
            self.writes += 1
            self.frames += sender.flush()


class Sender:
    """Frames on their way to one socket."""

    __slots__ = (
        "_backlog", "_closed", "_cork", "_full", "_limit", "_on_overflow", "_transport", "_turn",
        "dropped", "sent_at", "waiting_bytes",
    )  # fmt: skip

    def __init__(
        self,
        transport: asyncio.Transport,
        cork: Cork,
        *,
        limit_bytes: int,
        on_overflow: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._cork = cork
        self._limit = limit_bytes
        self._on_overflow = on_overflow
        self._turn: list[bytes] = []
        self._backlog: deque[bytes] | None = None  # made when first needed: most never are
        self._full = False
        self._closed = False
        self.waiting_bytes = 0
        self.dropped = 0
        self.sent_at = 0.0

    def send(self, frame: bytes, *, passing: bool = False) -> None:
        """Queue a frame; a passing one is dropped when the socket is full."""
        if self._closed:
            return
        if self._full:
            if passing:
                self.dropped += 1
            else:
                self._wait(frame)
            return
        if not self._turn:
            self._cork.add(self)
        self._turn.append(frame)

    def flush(self) -> int:
        """Write what this turn collected; return how many frames."""
        turn, self._turn = self._turn, []
        if not turn or self._closed:
            return 0
        if self._full:  # filled up since, by a control frame
            for frame in turn:
                self._wait(frame)
            return 0
        self._transport.write(turn[0] if len(turn) == 1 else b"".join(turn))
        self.sent_at = asyncio.get_running_loop().time()
        return len(turn)

    def control(self, data: bytes) -> bool:
        """Write protocol bytes (handshake, pong, close) at once; False when the socket is full.

        A client that pings without reading gets no more pongs: unbounded, they grew every
        Python server measured by 44 to 59 MB in a few seconds.
        """
        if self._closed or self._full:
            return False
        self.flush()
        self._transport.write(data)
        return True

    def farewell(self, data: bytes) -> None:
        """Write the last bytes, whatever waits; nothing is sent after them."""
        if not self._full:
            self.flush()
        self._transport.write(data)
        self.close()

    def pause(self) -> None:
        """Take note that the transport is full."""
        self._full = True

    def resume(self) -> None:
        """Take note that the transport has room again, and use it."""
        self._full = False
        while self._backlog and not self._full and not self._closed:
            chunk: list[bytes] = []
            size = 0
            while self._backlog and size < HIGH_WATER:
                frame = self._backlog.popleft()
                size += len(frame)
                chunk.append(frame)
            self.waiting_bytes -= size
            self._transport.write(b"".join(chunk))

    def close(self) -> None:
        """Forget everything that waits."""
        self._closed = True
        self._turn = []
        self._backlog = None
        self.waiting_bytes = 0

    def _wait(self, frame: bytes) -> None:
        if self._closed:
            return
        if self._backlog is None:
            self._backlog = deque()
        self._backlog.append(frame)
        self.waiting_bytes += len(frame)
        if self.waiting_bytes > self._limit:
            # Not from here: the hub is just going through its listeners, and this one will leave.
            self.close()
            asyncio.get_running_loop().call_soon(self._on_overflow)
