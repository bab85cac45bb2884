"""Topic → sessions: join, leave, deliver.

bus ─▶ Hub ─▶ sessions. Events with a change number pass through the conversation's stream first,
which puts them in order and fills gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from gateway.bus import Announcement
from gateway.sockets.lanes import lane_of
from gateway.sockets.shared_frame import SharedFrame
from gateway.sockets.small_set import SmallSet


class Listener(Protocol):
    """What joins a topic: a session."""

    topics: SmallSet[str]

    def counted(self, topic: str, step: int) -> None:
        """Take note of having joined (1) or left (-1) a topic."""

    @property
    def user_id(self) -> int: ...

    def hear(self, topic: str, change: int, frame: SharedFrame, lane: int, by: int) -> None:
        """Take a frame of this topic."""


class Room(SmallSet[Listener]):
    """Who hears one topic. It owns the topic's name, so that its listeners need no copies."""

    __slots__ = ("topic",)

    def __init__(self, topic: str) -> None:
        super().__init__()
        self.topic = topic


Follow = Callable[[Announcement, Collection[Listener]], None]
"""Something to do after an event of one type was delivered here."""


class Hub:
    """Who on this node hears what."""

    def __init__(
        self,
        *,
        opened: Callable[[str], None],
        closed: Callable[[str], None],
    ) -> None:
        self._rooms: dict[str, Room] = {}
        self._opened = opened
        self._closed = closed
        self._follow: dict[str, Follow] = {}
        self.deliveries = 0

    def after(self, event_type: str, follow: Follow) -> None:
        """Call follow after each delivery of this type of event, even to nobody."""
        self._follow[event_type] = follow

    def join(self, listener: Listener, topics: Iterable[str]) -> list[str]:
        """Add listener to topics; return those that this node did not hear before."""
        new: list[str] = []
        for topic in topics:
            room = self._rooms.get(topic)
            if room is None:
                room = self._rooms[topic] = Room(topic)
                new.append(topic)
                self._opened(topic)
            room.add(listener)
            if listener.topics.add(room.topic):
                listener.counted(topic, 1)
        return new

    def leave(self, listener: Listener) -> None:
        """Take listener out of every topic."""
        self.part(listener, tuple(listener.topics))

    def part(self, listener: Listener, topics: Iterable[str]) -> None:
        """Take listener out of these topics."""
        for topic in topics:
            if listener.topics.discard(topic):
                listener.counted(topic, -1)
            room = self._rooms.get(topic)
            if room is not None and room.discard(listener) and not room:
                del self._rooms[topic]
                self._closed(topic)

    def listeners(self, topic: str) -> Collection[Listener]:
        """Return who hears this topic now; do not keep it."""
        room = self._rooms.get(topic)
        return () if room is None else room.items

    def topics(self) -> Collection[str]:
        """Return every topic someone here hears; do not keep it."""
        return self._rooms.keys()

    def deliver(self, announcement: Announcement) -> None:
        """Hand one event to everyone here who hears its topic."""
        listeners = self.listeners(announcement.topic)
        if listeners:
            self._fan_out(announcement, listeners)
        follow = self._follow.get(announcement.type)
        if follow is not None:
            follow(announcement, listeners)

    def _fan_out(self, announcement: Announcement, listeners: Collection[Listener]) -> None:
        frame = SharedFrame(announcement.payload)
        topic, change, by = announcement.topic, announcement.change, announcement.by
        lane = lane_of(announcement.type)
        for listener in listeners:
            if by and listener.user_id == by:
                continue
            listener.hear(topic, change, frame, lane, by)
        self.deliveries += len(listeners)
