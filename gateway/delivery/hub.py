"""Topic → sessions: join, leave, deliver.

bus ─▶ Hub ─▶ sessions. Events with a change number pass through the conversation's stream first,
which puts them in order and fills gaps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Protocol

import orjson

from gateway.bus import Announcement
from gateway.delivery.lanes import lane_of
from gateway.delivery.shared_frame import SharedFrame
from gateway.delivery.small_set import SmallSet
from gateway.protocol.codec import encode


class Listener(Protocol):
    """What joins a topic: a session."""

    topics: SmallSet[str]

    def counted(self, topic: str, step: int) -> None:
        """Take note of having joined (1) or left (-1) a topic."""

    @property
    def user_id(self) -> int: ...

    def hear(self, topic: str, change: int, frame: SharedFrame, lane: int, by: int) -> None:
        """Take a frame of this topic."""


MESSAGE_CHANGES = frozenset({"message.updated", "message.deleted", "message.reacted"})
"""What can happen to a message that came before somebody joined."""


class TopicListeners(SmallSet[Listener]):
    """Who hears one topic. It owns the topic's name, so that its listeners need no copies."""

    __slots__ = ("hidden", "topic")

    def __init__(self, topic: str) -> None:
        super().__init__()
        self.topic = topic
        self.hidden: dict[Listener, int] | None = None
        """Up to which seq messages are not for a listener; hardly any room has such listeners."""


DeliveryHook = Callable[[Announcement, Collection[Listener]], None]
"""Something to do after an event of one type was delivered here."""


class Hub:
    """Who on this node hears what."""

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
        self.deliveries = 0
        self.membership_changes = 0
        """How often somebody has joined or left a topic."""

    def on_delivered(self, event_type: str, follow: DeliveryHook) -> None:
        """Call follow after each delivery of this type of event, even to nobody."""
        self._hooks[event_type].append(follow)

    def join(self, listener: Listener, topics: Iterable[str]) -> list[str]:
        """Add listener to topics; return those that this node did not hear before."""
        new: list[str] = []
        for topic in topics:
            room = self._topics.get(topic)
            if room is None:
                room = self._topics[topic] = TopicListeners(topic)
                new.append(topic)
                self._opened(topic)
            room.add(listener)
            if listener.topics.add(room.topic):
                self.membership_changes += 1
                listener.counted(topic, 1)
        return new

    def leave_all(self, listener: Listener) -> None:
        """Take listener out of every topic."""
        self.leave(listener, tuple(listener.topics))

    def leave(self, listener: Listener, topics: Iterable[str]) -> None:
        """Take listener out of these topics."""
        for topic in topics:
            if listener.topics.discard(topic):
                self.membership_changes += 1
                listener.counted(topic, -1)
            room = self._topics.get(topic)
            if room is None:
                continue
            if room.hidden is not None:
                room.hidden.pop(listener, None)
            if room.discard(listener) and not room:
                del self._topics[topic]
                self._closed(topic)

    def hide_messages(self, topic: str, seqs: Mapping[Listener, int]) -> None:
        """Have these listeners hear nothing of messages up to a seq; 0 hides none."""
        room = self._topics.get(topic)
        if room is None:
            return
        hidden = dict(room.hidden or ())
        for listener, seq in seqs.items():
            hidden.pop(listener, None)
            if seq and topic in listener.topics:
                hidden[listener] = seq
        room.hidden = hidden or None

    def is_hidden(self, topic: str, listener: Listener, event: Any) -> bool:
        """Say whether an event of this topic is one that this listener must not hear."""
        room = self._topics.get(topic)
        if room is None or room.hidden is None or event.type not in MESSAGE_CHANGES:
            return False
        return changed_message(encode(event)) <= room.hidden.get(listener, 0)

    def listeners(self, topic: str) -> Collection[Listener]:
        """Return who hears this topic now; do not keep it."""
        room = self._topics.get(topic)
        return () if room is None else room.items

    def topics(self) -> Collection[str]:
        """Return every topic someone here hears; do not keep it."""
        return self._topics.keys()

    def hides_messages(self, topic: str) -> bool:
        """Say whether someone who hears this topic must not hear of all messages."""
        room = self._topics.get(topic)
        return room is not None and room.hidden is not None

    def deliver(self, announcement: Announcement, *, but: str | None = None) -> None:
        """Hand one event to everyone here who hears its topic, `but` who hears another one too."""
        listeners = self.listeners(announcement.topic)
        if but is not None:
            listeners = [listener for listener in listeners if but not in listener.topics]
        if listeners:
            self._fan_out(announcement, listeners)
        for follow in self._hooks.get(announcement.type, ()):
            follow(announcement, listeners)

    def _fan_out(self, announcement: Announcement, listeners: Collection[Listener]) -> None:
        frame = SharedFrame(announcement.payload)
        topic, change, by = announcement.topic, announcement.change, announcement.by
        lane = lane_of(announcement.type)
        hidden_from = self._hidden_from(announcement)
        for listener in listeners:
            if by and listener.user_id == by:
                continue
            if hidden_from and listener in hidden_from:
                continue
            listener.hear(topic, change, frame, lane, by)
        self.deliveries += len(listeners)

    def _hidden_from(self, announcement: Announcement) -> Collection[Listener]:
        """Return who must not hear this: they joined after the message that it is about."""
        room = self._topics.get(announcement.topic)
        if room is None or room.hidden is None or announcement.type not in MESSAGE_CHANGES:
            return ()
        seq = changed_message(announcement.payload)
        return {listener for listener, hidden_to in room.hidden.items() if seq <= hidden_to}


def changed_message(payload: bytes) -> int:
    """Return the seq of the message that an event tells a change of; 0 when it is another event."""
    event = orjson.loads(payload)
    if event["type"] not in MESSAGE_CHANGES:
        return 0
    seq: int = event["seq"] if "seq" in event else event["message"]["seq"]
    return seq
