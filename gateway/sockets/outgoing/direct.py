"""Which sockets may be written past their transport, and the rooms that are written in one pass.

Cork, Sender ─▶ DirectSockets ─▶ kernel. A frame that nothing stands in front of goes to the
descriptor itself, and what the kernel does not take goes to the transport. One array says for all
sockets whether that is so: an event to a room touches no session, nor any other of its objects,
which are spread over the memory of the process.
"""

from __future__ import annotations

import asyncio
import os
from array import array
from collections.abc import Callable, Collection, Iterable
from typing import Any, Protocol

from gateway.delivery.shared_frame import SharedFrame


def descriptor_of(transport: asyncio.Transport) -> int:
    """Return the descriptor that frames may be written to past this transport; -1 for none.

    TLS is the transport's to write, and so is all that comes after what it still holds.
    """
    end = transport.get_extra_info("socket")
    if os.name != "posix" or end is None or transport.get_write_buffer_size():
        return -1
    return -1 if transport.get_extra_info("sslcontext") is not None else int(end.fileno())


class DirectSockets:
    """Descriptor → the number of the connection that may be written to there now; 0 for none.

    The kernel gives the descriptor of a closed connection to the next one. Numbers are not given
    twice: what was collected for a connection that has gone never reaches its successor.
    """

    def __init__(self) -> None:
        self.ready = array("q")
        self._last = 0

    def add(self, descriptor: int) -> int:
        """Give a new connection its number; it may be written to."""
        self._last += 1
        if descriptor >= len(self.ready):
            self.ready.extend([0] * (descriptor + 1 - len(self.ready)))
        self.ready[descriptor] = self._last
        return self._last

    def write(
        self, descriptors: array[int], numbers: array[int], data: bytes
    ) -> list[tuple[int, int]]:
        """Write to those that may be written to; return who has not got all, and how much they got.

        The loop of every event to a room: what is done here is done for each delivery.
        """
        ready, write, size = self.ready, os.write, len(data)
        left: list[tuple[int, int]] = []
        for descriptor, number in zip(descriptors, numbers, strict=True):
            if ready[descriptor] != number:
                left.append((number, 0))
                continue
            try:
                taken = write(descriptor, data)
            except OSError:  # full, or broken: its transport finds out
                left.append((number, 0))
                continue
            if taken != size:
                left.append((number, taken))
        return left


class RoomListener(Protocol):
    """What a room needs of its listeners: sessions."""

    sender: Any
    """Its Sender, of the module above this one."""

    @property
    def deliver(self) -> Callable[[SharedFrame], None]: ...


class RoomSockets:
    """The listeners of a topic, for as long as nobody joins or leaves."""

    __slots__ = ("_by_number", "elsewhere", "groups", "holders", "listeners")

    def __init__(self, listeners: Iterable[RoomListener]) -> None:
        self.listeners = list(listeners)
        self.groups: dict[int, tuple[array[int], array[int]]] = {}
        """Largest window that a client inflates → descriptors and numbers of such connections."""
        self.elsewhere: list[RoomListener] = []
        """Those whose sockets only their transports write to."""
        self.holders: Collection[RoomListener] = ()
        """Those who hold events back while events of this room wait for the end of the turn."""
        self._by_number: dict[int, RoomListener] | None = None
        for listener in self.listeners:
            sender = listener.sender
            if sender.descriptor < 0:
                self.elsewhere.append(listener)
                continue
            group = self.groups.setdefault(sender.window_bits, (array("i"), array("q")))
            group[0].append(sender.descriptor)
            group[1].append(sender.number)

    def __len__(self) -> int:
        return len(self.listeners)

    def of_number(self, number: int) -> RoomListener:
        """Return the listener whose connection has this number; few rooms ever need to."""
        if self._by_number is None:
            self._by_number = {one.sender.number: one for one in self.listeners}
        return self._by_number[number]
