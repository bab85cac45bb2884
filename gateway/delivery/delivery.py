"""The path of every event on one worker: to the bus, and to those whom it concerns here.

use cases, bus ─▶ Delivery ─▶ handler of the topic or event type ─▶ Hub ─▶ sessions. Every role has
one; a worker without sockets has no listeners and only publishes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from gateway import topics
from gateway.bus import Announcement, Bus
from gateway.delivery.hub import Hub
from gateway.delivery.streams import Streams

Handler = Callable[[Announcement], None]
"""Takes the announcements of one kind of topic, or of one event type on it."""


class Delivery:
    """Publish and deliver announcements; the owners of topics register their handlers here."""

    bus: Bus
    """Set by connect()."""

    def __init__(self) -> None:
        self.hub = Hub(opened=self._topic_opened, closed=self._topic_closed)
        self.streams = Streams(deliver=self.hub.deliver)
        self._by_kind: dict[str, Handler] = {}
        self._by_event: dict[tuple[str, str], Handler] = {}
        self._resynced: list[Callable[[], None]] = [self.streams.check_all]
        self.handle_topic(topics.CONVERSATION, self._deliver_conversation_event)
        self.handle_event(topics.CONVERSATION, topics.UNANNOUNCED, self._read_conversation)

    def connect(self, bus: Bus) -> None:
        """Publish to this bus from now on; it was opened with `deliver` and `resynced`."""
        self.bus = bus

    # --- who handles what ------------------------------------------------------------------

    def handle_topic(self, kind: str, handler: Handler) -> None:
        """Give announcements of this kind of topic to handler instead of to the hub."""
        assert kind not in self._by_kind, f"{kind} has a handler"
        self._by_kind[kind] = handler

    def handle_event(self, kind: str, event_type: str, handler: Handler) -> None:
        """Give events of this type on this kind of topic to handler; goes before handle_topic."""
        assert (kind, event_type) not in self._by_event, f"{event_type} on {kind} has a handler"
        self._by_event[kind, event_type] = handler

    def on_resync(self, callback: Callable[[], None]) -> None:
        """Call this whenever the bus may have lost something and works again."""
        self._resynced.append(callback)

    # --- the path of an event --------------------------------------------------------------

    def publish(self, announcements: Collection[Announcement]) -> None:
        """Deliver here at once, and send to the other nodes; never waits."""
        for announcement in announcements:
            self.deliver(announcement)
        self.bus.publish(announcements)

    def deliver(self, announcement: Announcement) -> None:
        """Give an announcement, from the bus or from here, to its handler; else to the hub."""
        kind = topics.kind_of(announcement.topic)
        handle = self._by_event.get((kind, announcement.type)) or self._by_kind.get(kind)
        if handle is None:
            self.hub.deliver(announcement)
        else:
            handle(announcement)

    def resynced(self) -> None:
        """Have everything compared that the bus may have lost."""
        for callback in self._resynced:
            callback()

    def _deliver_conversation_event(self, announcement: Announcement) -> None:
        """Put numbered events in order; those without a number are state or passing."""
        conversation_id = topics.conversation_of(announcement.topic)
        if announcement.change and conversation_id is not None:
            self.streams.accept(conversation_id, announcement)
        else:
            self.hub.deliver(announcement)

    def _read_conversation(self, announcement: Announcement) -> None:
        """Read what nobody announced."""
        conversation_id = topics.conversation_of(announcement.topic)
        assert conversation_id is not None
        self.streams.check(conversation_id)

    def _topic_opened(self, topic: str) -> None:
        if (conversation_id := topics.conversation_of(topic)) is not None:
            self.streams.open(conversation_id)

    def _topic_closed(self, topic: str) -> None:
        if (conversation_id := topics.conversation_of(topic)) is not None:
            self.streams.close(conversation_id)
        self.bus.unsubscribe([topic])
