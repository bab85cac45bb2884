"""One client's outgoing queue.

hub ─▶ Sender ─▶ socket. Frames of one event-loop turn leave in one write. While the socket does
not take them they wait here in lanes, bounded in bytes: of passing frames (typing, presence) only
the newest of each subject waits, and a client that cannot keep up with the others is closed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from typing import cast

import structlog

from gateway.delivery import lanes
from gateway.delivery.hub import TopicListeners
from gateway.delivery.shared_frame import SharedFrame, deflated_frame, text_frame
from gateway.sockets.outgoing.direct import DirectSockets, RoomListener, RoomSockets, descriptor_of
from gateway.sockets.outgoing.slow_reader_queue import SlowReaderQueue

log = structlog.get_logger(__name__)

HIGH_WATER = 65_536
"""Bytes in the transport above which it is full. Small, so that frames wait here, in lanes."""


class Cork:
    """Collects what is to be written in this turn of the event loop: senders, and one room.

    Events of one topic go to its room in one pass over the sockets. A sender with frames of its own
    is left out of that pass, and writes both in their order. When a second room has an event in
    the same turn, both go from sender to sender, so that who is in both gets one write. Sessions
    that hold events back are given each at once: what becomes of it is not decided later.
    """

    def __init__(self, *, deflate_from: int = 256) -> None:
        self.dirty: list[Sender] = []
        self.room: RoomSockets | None = None
        """The room that waits for the end of this turn."""
        self.room_frames: list[SharedFrame] = []
        self.holders = 0
        """Sessions that hold events back, of all topics."""
        self.sockets = DirectSockets()
        self.deflate_from = deflate_from
        """Frames of fewer bytes leave plain: deflating them costs more than it saves."""
        self.writes = 0
        self.frames = 0
        self.bytes_out = 0
        self.dropped = [0] * lanes.COUNT
        self._one_by_one = False
        """Whether events to rooms go from sender to sender for the rest of this turn."""

    def schedule_flush(self) -> None:
        """Write everything that is collected from now on at the end of this turn."""
        asyncio.get_running_loop().call_soon(self._flush)

    def variant(self, frame: SharedFrame, window_bits: int) -> bytes:
        """Return the frame as clients with this window get it."""
        if window_bits and len(frame.plain) >= self.deflate_from:
            return frame.deflated(window_bits)
        return frame.plain

    def send_to_room(self, listeners: TopicListeners, frame: SharedFrame) -> None:
        """Send an event to all listeners of a topic."""
        room = listeners.room
        if room is None:
            room = listeners.room = RoomSockets(cast("Iterable[RoomListener]", listeners.items))
        if self.room is room:
            self.room_frames.append(frame)
        elif self.room is not None or self._one_by_one or len(self.dirty) * 2 > len(room):
            self._one_by_one = True
            self._spread_room()
            for listener in room.listeners:
                listener.deliver(frame)
            return
        else:
            self.room, self.room_frames = room, [frame]
            room.holders = (
                [one for one in room.listeners if one.sender.held] if self.holders else ()
            )
            if not self.dirty:
                self.schedule_flush()
            for sender in self.dirty:
                sender.wait_for_room()
        for listener in room.holders:
            listener.deliver(frame)

    def flush_room(self) -> None:
        """Write the events of the room that waits."""
        room, frames = self.room, self.room_frames
        if room is None:
            return
        self.room, self.room_frames, self._one_by_one = None, [], True
        for window_bits, (descriptors, numbers) in room.groups.items():
            variants = [self.variant(frame, window_bits) for frame in frames]
            data = variants[0] if len(variants) == 1 else b"".join(variants)
            left = self.sockets.write(descriptors, numbers, data)
            written = len(descriptors) - len(left)
            for number, taken in left:
                listener = room.of_number(number)
                if taken:
                    written += 1
                    listener.sender.write_rest(data, taken)
                else:
                    self._deliver_behind(listener, frames)
            self.writes += written
            self.frames += written * len(frames)
            self.bytes_out += written * len(data)
        for listener in room.elsewhere:
            self._deliver_behind(listener, frames)

    def _spread_room(self) -> None:
        """Give the events of the room that waits to each sender."""
        room, frames = self.room, self.room_frames
        if room is None:
            return
        self.room, self.room_frames = None, []
        for listener in room.listeners:
            self._deliver_behind(listener, frames)

    def _deliver_behind(self, listener: RoomListener, frames: list[SharedFrame]) -> None:
        """Send a room's events to a listener that may have frames of its own since."""
        sender: Sender = listener.sender
        if not sender.held and not sender.weave(frames):  # who holds has been given them
            for frame in frames:
                sender.send_shared(frame)

    def _flush(self) -> None:
        try:
            self.flush_room()
        except Exception:
            log.exception("sender.room_failed")
        self._one_by_one = False
        dirty, self.dirty = self.dirty, []
        now = asyncio.get_running_loop().time()
        alone = size = 0
        for sender in dirty:
            turn = sender.turn
            try:
                if type(turn) is bytes and not sender.full:  # by far the most
                    sender.turn = None
                    sender.sent_at = now
                    alone += 1
                    size += len(turn)
                    sender.write(turn)
                else:
                    sender.flush(now)
            except Exception:  # the others' frames must leave
                log.exception("sender.write_failed")
        self.writes += alone
        self.frames += alone
        self.bytes_out += size


def _ignore(*_: object) -> None:
    """Do nothing."""


class Sender:
    """Frames on their way to one socket."""

    __slots__ = (
        "_cork", "_held", "_limit", "_on_overflow", "_transport", "_waiting", "closed",
        "descriptor", "full", "number", "sent_at", "turn", "window_bits",
    )  # fmt: skip

    def __init__(
        self,
        transport: asyncio.Transport,
        cork: Cork,
        *,
        limit_bytes: int,
        on_overflow: Callable[[], None],
    ) -> None:
        self._transport: asyncio.Transport | None = transport
        self._cork = cork
        self.descriptor = descriptor_of(transport)
        """Where frames may be written past the transport; -1 where they may not."""
        self.number = cork.sockets.add(self.descriptor) if self.descriptor >= 0 else 0
        # Past it they are written only while it holds nothing, so it must tell as soon as it does.
        transport.set_write_buffer_limits(high=0 if self.descriptor >= 0 else HIGH_WATER)
        self._limit = limit_bytes
        self._on_overflow: Callable[[], object] = on_overflow
        self._waiting: SlowReaderQueue | None = None
        self.turn: bytes | list[bytes | int] | None = None
        """The frames of this turn: none, one, or several. A number stands for the frames of the
        room that waits, up to that one."""
        self._held = False
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
        self.send(self._cork.variant(frame, self.window_bits), frame.lane, frame.subject)

    def send(self, frame: bytes, lane: int = lanes.REPLY, subject: Hashable = None) -> None:
        """Queue a frame; of passing ones with the same subject only the newest waits."""
        if self.closed:
            return
        cork, turn = self._cork, self.turn
        if self.full:
            cork.flush_room()  # its frames came before
            self._enqueue(frame, lane, subject)
        elif cork.room is not None and not self._held:
            if turn is None:
                cork.dirty.append(self)
                self.turn = []
            self.wait_for_room()
            assert type(self.turn) is list
            self.turn += (len(cork.room_frames), frame)
        elif turn is None:
            self.turn = frame
            dirty = cork.dirty
            if not dirty:
                cork.schedule_flush()
            dirty.append(self)
        elif type(turn) is list:
            turn.append(frame)
        else:
            self.turn = [turn, frame]  # type: ignore[list-item]

    def wait_for_room(self) -> None:
        """Take no part in the pass over the room that waits: its frames go between these."""
        if type(self.turn) is bytes:
            self.turn = [self.turn]
        self._set_ready(self.turn is None)

    def weave(self, frames: list[SharedFrame]) -> bool:
        """Put the frames of a room where they belong in this turn; False when it has no others."""
        turn = self.turn
        if type(turn) is not list or self.full or self.closed:
            return False
        variants = [self._cork.variant(frame, self.window_bits) for frame in frames]
        woven: list[bytes | int] = []
        done = 0
        for one in turn:
            if isinstance(one, int):
                woven += variants[done:one]
                done = one
            else:
                woven.append(one)
        self.turn = woven + variants[done:]
        return True

    def flush(self, now: float) -> None:
        """Write the frames of this turn."""
        turn, self.turn = self.turn, None
        if turn is None or self.closed:
            return
        frames = [turn] if isinstance(turn, bytes) else [one for one in turn if type(one) is bytes]
        if self.full:  # filled up since, by a control frame
            for frame in frames:
                self._enqueue(frame, lanes.MESSAGE, None)
            return
        self._write(frames, now)
        self._set_ready(not self.full)

    def write(self, data: bytes) -> None:
        """Write behind all that was written: to the socket, and the rest to the transport."""
        taken = 0
        if self.descriptor >= 0 and not self.full:
            with suppress(OSError):  # full, or broken: the transport finds out
                taken = os.write(self.descriptor, data)
        if taken != len(data):
            self.write_rest(data, taken)

    def write_rest(self, data: bytes, taken: int) -> None:
        """Have the transport write what the socket did not take."""
        if self._transport is not None:
            self._transport.write(memoryview(data)[taken:] if taken else data)

    @property
    def held(self) -> bool:
        """Whether its session holds events back, and so takes no part in passes over rooms."""
        return self._held

    @held.setter
    def held(self, held: bool) -> None:
        if held is self._held:
            return
        self._cork.flush_room()  # its events were held, or not, when they came
        self._cork.holders += 1 if held else -1
        self._held = held
        self._set_ready(type(self.turn) is not list)

    def _set_ready(self, ready: bool) -> None:
        """Take part in passes over rooms, or not; never while something goes before them."""
        if self.descriptor >= 0:
            may = ready and not (self.full or self.closed or self._held)
            self._cork.sockets.ready[self.descriptor] = self.number if may else 0

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
        if self.closed or (self.full and self._is_choked()):
            return False
        if not self.full and self.turn is not None:
            self._cork.flush_room()
            self.flush(asyncio.get_running_loop().time())
        self.write(data)
        return True

    def _is_choked(self) -> bool:
        """Tell whether more waits in the transport than control frames may follow."""
        if self.descriptor < 0 or self._transport is None:
            return True
        return self._transport.get_write_buffer_size() > HIGH_WATER

    def write_last(self, data: bytes) -> None:
        """Write the last bytes before everything that waits; nothing is sent after them."""
        self._cork.flush_room()
        if not self.full:
            self.flush(asyncio.get_running_loop().time())
        self.write(data)
        self.close()

    def pause(self) -> None:
        """Queue frames from now on: the transport is full."""
        self.full = True
        self._set_ready(False)

    def resume(self) -> None:
        """Write what waits: the transport has room again."""
        self.full = False
        while self._waiting and not self.full and not self.closed:
            frames = self._waiting.pop_batch(HIGH_WATER)
            if not frames:
                self._waiting = None
                break
            self._write(frames, asyncio.get_running_loop().time())
        self._set_ready(type(self.turn) is not list)

    def close(self) -> None:
        """Drop everything that waits."""
        self.closed = True
        self.turn = None
        self._waiting = None
        self._set_ready(False)

    def detach(self) -> None:
        """Drop the references to the socket, so that no objects refer to each other in a circle.

        Those that do wait for the cyclic garbage collector, which stops a worker with 10,000
        sessions for 0.7 s.
        """
        self.close()
        self.descriptor = -1  # closed next, and another connection's after that
        self._transport = None
        self._on_overflow = _ignore

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
