"""One client's outgoing queue.

hub ─▶ Sender ─▶ socket. Frames of one event-loop turn leave in one write. While the socket does
not take them they wait here in lanes, bounded in bytes: of passing frames (typing, presence) only
the newest of each subject waits, and a client that cannot keep up with the others is closed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable

from gateway.delivery import lanes
from gateway.delivery.shared_frame import SharedFrame, deflated_frame, text_frame

HIGH_WATER = 65_536
"""Bytes in the transport above which it is full. Small, so that frames wait here, in lanes."""

MAX_SUBJECTS = 256
"""Passing frames that wait; beyond it the oldest subject is dropped."""


class Cork:
    """Collects the senders that have frames to write in this turn of the event loop."""

    def __init__(self, *, deflate_from: int = 256) -> None:
        self.dirty: list[Sender] = []
        self.deflate_from = deflate_from
        """Frames of fewer bytes leave plain: deflating them costs more than it saves."""
        self.writes = 0
        self.frames = 0
        self.bytes_out = 0
        self.dropped = [0] * lanes.COUNT

    def schedule_flush(self) -> None:
        """Write everything that is collected from now on at the end of this turn."""
        asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        dirty, self.dirty = self.dirty, []
        now = asyncio.get_running_loop().time()
        alone = size = 0
        for sender in dirty:
            turn = sender.turn
            if type(turn) is bytes and not sender.full:  # by far the most
                sender.turn = None
                sender.sent_at = now
                alone += 1
                size += len(turn)
                sender.write(turn)
            else:
                sender.flush(now)
        self.writes += alone
        self.frames += alone
        self.bytes_out += size


class SlowReaderQueue:
    """The frames that wait for one slow reader; most clients never need one."""

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

    def pop_batch(self, limit: int) -> list[bytes]:
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


def _ignore(*_: object) -> None:
    """Do nothing."""


class Sender:
    """Frames on their way to one socket."""

    __slots__ = (
        "_cork", "_limit", "_on_overflow", "_waiting", "closed", "full", "sent_at", "turn",
        "window_bits", "write",
    )  # fmt: skip

    def __init__(
        self,
        transport: asyncio.Transport,
        cork: Cork,
        *,
        limit_bytes: int,
        on_overflow: Callable[[], None],
    ) -> None:
        self.write: Callable[[bytes], object] = transport.write
        self._cork = cork
        self._limit = limit_bytes
        self._on_overflow: Callable[[], object] = on_overflow
        self._waiting: SlowReaderQueue | None = None
        self.turn: bytes | list[bytes] | None = None
        """The frames of this turn: none, one, or several."""
        self.full = False
        """Whether the socket takes nothing now."""
        self.closed = False
        self.window_bits = 0
        """The largest window this client inflates; 0 when it takes plain frames only."""
        self.sent_at = 0.0

    @property
    def limit_bytes(self) -> int:
        """Bytes that may wait."""
        return self._limit

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait here and must not be dropped."""
        return self._waiting.waiting_bytes if self._waiting else 0

    def send_payload(self, payload: bytes, lane: int = lanes.REPLY) -> None:
        """Queue a frame for this client alone."""
        if self.window_bits and len(payload) >= self._cork.deflate_from:
            self.send(deflated_frame(payload, self.window_bits), lane)
        else:
            self.send(text_frame(payload), lane)

    def send_shared(self, frame: SharedFrame) -> None:
        """Queue a frame that others get too."""
        if self.window_bits and len(frame.plain) >= self._cork.deflate_from:
            self.send(frame.deflated(self.window_bits), frame.lane, frame.subject)
        else:
            self.send(frame.plain, frame.lane, frame.subject)

    def send(self, frame: bytes, lane: int = lanes.REPLY, subject: Hashable = None) -> None:
        """Queue a frame; of passing ones with the same subject only the newest waits."""
        if self.closed:
            return
        if self.full:
            self._enqueue(frame, lane, subject)
            return
        turn = self.turn
        if turn is None:
            self.turn = frame
            dirty = self._cork.dirty
            if not dirty:
                self._cork.schedule_flush()
            dirty.append(self)
        elif type(turn) is list:
            turn.append(frame)
        else:
            self.turn = [turn, frame]  # type: ignore[list-item]

    def flush(self, now: float) -> None:
        """Write the frames of this turn."""
        turn, self.turn = self.turn, None
        if turn is None or self.closed:
            return
        frames = turn if isinstance(turn, list) else [turn]
        if self.full:  # filled up since, by a control frame
            for frame in frames:
                self._enqueue(frame, lanes.MESSAGE, None)
            return
        self._write(frames, now)

    def _write(self, frames: list[bytes], now: float) -> None:
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        self._cork.writes += 1
        self._cork.frames += len(frames)
        self._cork.bytes_out += len(data)
        self.sent_at = now
        self.write(data)

    def write_control(self, data: bytes) -> bool:
        """Write protocol bytes (handshake, pong, close) at once; False when the socket is full.

        A client that pings without reading gets no more pongs: unbounded pongs used 44 to 59 MB in
        a few seconds (measured on every Python server).
        """
        if self.closed or self.full:
            return False
        self.flush(asyncio.get_running_loop().time())
        self.write(data)
        return True

    def write_last(self, data: bytes) -> None:
        """Write the last bytes before everything that waits; nothing is sent after them."""
        if not self.full:
            self.flush(asyncio.get_running_loop().time())
        self.write(data)
        self.close()

    def pause(self) -> None:
        """Queue frames from now on: the transport is full."""
        self.full = True

    def resume(self) -> None:
        """Write what waits: the transport has room again."""
        self.full = False
        while self._waiting and not self.full and not self.closed:
            frames = self._waiting.pop_batch(HIGH_WATER)
            if not frames:
                self._waiting = None
                return
            self._write(frames, asyncio.get_running_loop().time())

    def close(self) -> None:
        """Drop everything that waits."""
        self.closed = True
        self.turn = None
        self._waiting = None

    def detach(self) -> None:
        """Drop the references to the socket, so that no objects refer to each other in a circle.

        Those that do wait for the cyclic garbage collector, which stops a worker with 10,000
        sessions for 0.7 s.
        """
        self.close()
        self.write = self._on_overflow = _ignore

    def _enqueue(self, frame: bytes, lane: int, subject: Hashable) -> None:
        if self.closed:
            return
        if self._waiting is None:
            self._waiting = SlowReaderQueue()
        self._cork.dropped[lane] += self._waiting.add(frame, lane, subject)
        if self._waiting.waiting_bytes > self._limit:
            # Not from here: the hub is iterating over its listeners, and this one will leave.
            self.close()
            asyncio.get_running_loop().call_soon(self._on_overflow)
