"""Topic → sessions: join, leave, deliver.

bus ─▶ Hub ─▶ sessions. Events with a change number pass through the conversation's stream first,
which puts them in order and fills gaps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

import structlog

from gateway.bus import Announcement
from gateway.bus.routing import MESSAGE_CHANGES, Routing
from gateway.delivery.shared_frame import SharedFrame
from gateway.delivery.small_set import SmallSet

log = structlog.get_logger(__name__)


class Listener(Protocol):
    """What joins a topic: a session."""

    topics: SmallSet[str]

    def topic_counted(self, topic: str, step: int) -> None:
        """Take note of having joined (1) or left (-1) a topic."""

    @property
    def user_id(self) -> int: ...

    def deliver(self, frame: SharedFrame) -> None:
        """Send an event of a topic."""


class TopicListeners(SmallSet[Listener]):
    """The listeners of one topic. It owns the topic's name: its listeners need no copies."""

    __slots__ = ("hidden", "room", "topic")

    def __init__(self, topic: str) -> None:
        super().__init__()
        self.topic = topic
        self.hidden: dict[Listener, int] | None = None
        """Listener → the seq up to which messages are hidden from it. Few topics have any."""
        self.room: Any = None
        """What `Hub.send_to_room` keeps of them until somebody joins or leaves."""

    def add(self, item: Listener) -> bool:
        """Add a listener; return whether it was new."""
        self.room = None
        return super().add(item)

    def discard(self, item: Listener) -> bool:
        """Remove a listener; return whether it was there."""
        self.room = None
        return super().discard(item)


DeliveryHook = Callable[[Announcement, Collection[Any]], None]
"""Something to do after an event of one type was delivered here, with those who listened."""


ROOM_FROM = 8
"""Listeners from which on an event is given to all of them together."""


class Hub:
    """The topics of this node and their listeners."""

    def __init__(
        self,
        *,
        opened: Callable[[str], None],
        closed: Callable[[str], None],
    ) -> None:
        self._topics: dict[str, TopicListeners] = {}
        self._opened = opened
        self._closed = closed
        self._hooks: dict[str, list[DeliveryHook]] = defaultdict(list)
        self.send_to_room: Callable[[TopicListeners, SharedFrame], None] | None = None
        """Sends an event to all listeners of a topic together, where there is somebody who can."""
        self.deliveries = 0
        self.membership_changes = 0
        """How often somebody has joined or left a topic."""

    def on_delivered(self, event_type: str, hook: DeliveryHook) -> None:
        """Call hook after each delivery of this type of event, even to nobody."""
        self._hooks[event_type].append(hook)

    def join(self, listener: Listener, topics: Iterable[str]) -> list[str]:
        """Add listener to topics; return those that nobody here listened to before."""
        new: list[str] = []
        for topic in topics:
            of_topic = self._topics.get(topic)
            if of_topic is None:
                of_topic = self._topics[topic] = TopicListeners(topic)
                new.append(topic)
                self._opened(topic)
            of_topic.add(listener)
            if listener.topics.add(of_topic.topic):
                self.membership_changes += 1
                listener.topic_counted(topic, 1)
        return new

    def leave_all(self, listener: Listener) -> None:
        """Take listener out of every topic."""
        self.leave(listener, tuple(listener.topics))

    def leave(self, listener: Listener, topics: Iterable[str]) -> None:
        """Take listener out of these topics."""
        for topic in topics:
            if listener.topics.discard(topic):
                self.membership_changes += 1
                listener.topic_counted(topic, -1)
            of_topic = self._topics.get(topic)
            if of_topic is None:
                continue
            if of_topic.hidden is not None:
                of_topic.hidden.pop(listener, None)
            if of_topic.discard(listener) and not of_topic:
                del self._topics[topic]
                self._closed(topic)

    def hide_messages(self, topic: str, seqs: Mapping[Any, int]) -> None:
        """Hide changes of messages up to a seq from each of these listeners; 0 hides none."""
        of_topic = self._topics.get(topic)
        if of_topic is None:
            return
        hidden = dict(of_topic.hidden or ())
        for listener, seq in seqs.items():
            hidden.pop(listener, None)
            if seq and topic in listener.topics:
                hidden[listener] = seq
        of_topic.hidden = hidden or None

    def is_hidden(self, topic: str, listener: Listener, event_type: str, routing: Routing) -> bool:
        """Return whether an event of this topic is hidden from this listener."""
        of_topic = self._topics.get(topic)
        if of_topic is None or of_topic.hidden is None or event_type not in MESSAGE_CHANGES:
            return False
        return routing.seq <= of_topic.hidden.get(listener, 0)

    def listeners(self, topic: str) -> Collection[Any]:
        """Return the listeners of this topic now; do not keep the collection."""
        of_topic = self._topics.get(topic)
        return () if of_topic is None else of_topic.items

    def topics(self) -> Collection[str]:
        """Return every topic that somebody here listens to; do not keep the collection."""
        return self._topics.keys()

    def hides_messages(self, topic: str) -> bool:
        """Return whether messages of this topic are hidden from one of its listeners."""
        of_topic = self._topics.get(topic)
        return of_topic is not None and of_topic.hidden is not None

    def deliver(self, announcement: Announcement, *, except_in: str | None = None) -> None:
        """Deliver an event to the listeners of its topic, except those of topic `except_in`."""
        listeners = self.listeners(announcement.topic)
        if except_in is not None:
            listeners = [one for one in listeners if except_in not in one.topics]
        if listeners:
            self._fan_out(announcement, listeners)
        for hook in self._hooks.get(announcement.type, ()):
            try:
                hook(announcement, listeners)
            except Exception:  # the event was delivered; those after it must be, too
                log.exception("delivery.hook_failed", type=announcement.type)

    def _fan_out(self, announcement: Announcement, listeners: Collection[Listener]) -> None:
        frame, by = SharedFrame.of(announcement), announcement.by
        self.deliveries += len(listeners)
        hidden_from = self._hidden_from(announcement)
        of_topic = self._topics[announcement.topic]
        everyone = listeners is of_topic.items and not by and not hidden_from
        if everyone and len(listeners) >= ROOM_FROM and self.send_to_room is not None:
            self.send_to_room(of_topic, frame)
            return
        for listener in listeners:
            if by and listener.user_id == by:
                continue
            if hidden_from and listener in hidden_from:
                continue
            listener.deliver(frame)

    def _hidden_from(self, announcement: Announcement) -> Collection[Listener]:
        """Return the listeners who joined after the message that this event is about."""
        of_topic = self._topics.get(announcement.topic)
        if of_topic is None or of_topic.hidden is None or announcement.type not in MESSAGE_CHANGES:
            return ()
        seq = announcement.routing.seq
        return {listener for listener, hidden_to in of_topic.hidden.items() if seq <= hidden_to}
