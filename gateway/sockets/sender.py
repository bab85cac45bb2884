"""One client's outgoing queue.

hub ─▶ Sender ─▶ socket. Frames of one event-loop turn leave in one write. While the socket does
not take them they wait here in lanes, bounded in bytes: passing frames (typing, presence) keep
only the newest of each subject, and a client that cannot keep up with the others is let go.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable

from gateway.sockets import lanes

HIGH_WATER = 65_536
"""Bytes in the transport above which it is full. Small, so that what waits waits here, where
lanes have a say."""

MAX_SUBJECTS = 256
"""Passing frames that wait; beyond it the oldest subject is dropped."""


class Cork:
    """Collects the senders that have something to write in this turn of the event loop."""

    def __init__(self) -> None:
        self._dirty: list[Sender] = []
        self.writes = 0
        self.frames = 0
        self.bytes_out = 0
        self.dropped = [0] * lanes.COUNT

    def add(self, sender: Sender) -> None:
        if not self._dirty:
            asyncio.get_running_loop().call_soon(self._flush)
        self._dirty.append(sender)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        now = asyncio.get_running_loop().time()
        for sender in dirty:
            sender.flush(now)


class Backlog:
    """What waits for one client that reads slowly; most never need one."""

    __slots__ = ("_lanes", "_passing", "waiting_bytes")

    def __init__(self) -> None:
        self._lanes: tuple[deque[bytes], ...] = tuple(deque() for _ in range(lanes.PASSING))
        self._passing: dict[Hashable, bytes] = {}
        self.waiting_bytes = 0

    def add(self, frame: bytes, lane: int, subject: Hashable) -> int:
        """Queue a frame; return how many passing ones it replaced or pushed out."""
        if lane != lanes.PASSING:
            self._lanes[lane].append(frame)
            self.waiting_bytes += len(frame)
            return 0
        lost = self._passing.pop(subject, None) is not None
        self._passing[subject] = frame
        if len(self._passing) > MAX_SUBJECTS:
            del self._passing[next(iter(self._passing))]
            lost = True
        return int(lost)

    def take(self, limit: int) -> list[bytes]:
        """Remove and return about `limit` bytes of frames, the most urgent lane first."""
        taken: list[bytes] = []
        size = 0
        for lane in self._lanes:
            while lane and size < limit:
                frame = lane.popleft()
                size += len(frame)
                taken.append(frame)
        self.waiting_bytes -= size
        while self._passing and size < limit:
            frame = self._passing.pop(next(iter(self._passing)))
            size += len(frame)
            taken.append(frame)
        return taken


class Sender:
    """Frames on their way to one socket."""

    __slots__ = (
        "_backlog", "_closed", "_cork", "_full", "_limit", "_on_overflow", "_transport", "_turn",
        "sent_at",
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
        self._backlog: Backlog | None = None
        self._full = False
        self._closed = False
        self.sent_at = 0.0

    @property
    def full(self) -> bool:
        """Whether the socket takes nothing just now."""
        return self._full

    @property
    def limit_bytes(self) -> int:
        """How much may wait."""
        return self._limit

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait here and may not be dropped."""
        return self._backlog.waiting_bytes if self._backlog else 0

    def send(self, frame: bytes, lane: int = lanes.REPLY, subject: Hashable = None) -> None:
        """Queue a frame; of passing ones with the same subject only the newest waits."""
        if self._closed:
            return
        if self._full:
            self._wait(frame, lane, subject)
            return
        if not self._turn:
            self._cork.add(self)
        self._turn.append(frame)

    def flush(self, now: float) -> None:
        """Write what this turn collected."""
        turn, self._turn = self._turn, []
        if not turn or self._closed:
            return
        if self._full:  # filled up since, by a control frame
            for frame in turn:
                self._wait(frame, lanes.MESSAGE, None)
            return
        data = turn[0] if len(turn) == 1 else b"".join(turn)
        self._cork.writes += 1
        self._cork.frames += len(turn)
        self._cork.bytes_out += len(data)
        self.sent_at = now
        self._transport.write(data)

    def control(self, data: bytes) -> bool:
        """Write protocol bytes (handshake, pong, close) at once; False when the socket is full.

        A client that pings without reading gets no more pongs: unbounded, they grew every
        Python server measured by 44 to 59 MB in a few seconds.
        """
        if self._closed or self._full:
            return False
        self.flush(asyncio.get_running_loop().time())
        self._transport.write(data)
        return True

    def farewell(self, data: bytes) -> None:
        """Write the last bytes, whatever waits; nothing is sent after them."""
        if not self._full:
            self.flush(asyncio.get_running_loop().time())
        self._transport.write(data)
        self.close()

    def pause(self) -> None:
        """Take note that the transport is full."""
        self._full = True

    def resume(self) -> None:
        """Take note that the transport has room again, and use it."""
        self._full = False
        while self._backlog and not self._full and not self._closed:
            frames = self._backlog.take(HIGH_WATER)
            if not frames:
                self._backlog = None
                return
            self._cork.writes += 1
            self._cork.frames += len(frames)
            data = b"".join(frames)
            self._cork.bytes_out += len(data)
            self._transport.write(data)

    def close(self) -> None:
        """Forget everything that waits."""
        self._closed = True
        self._turn = []
        self._backlog = None

    def _wait(self, frame: bytes, lane: int, subject: Hashable) -> None:
        if self._closed:
            return
        if self._backlog is None:
            self._backlog = Backlog()
        self._cork.dropped[lane] += self._backlog.add(frame, lane, subject)
        if self._backlog.waiting_bytes > self._limit:
            # Not from here: the hub is just going through its listeners, and this one will leave.
            self.close()
            asyncio.get_running_loop().call_soon(self._on_overflow)
