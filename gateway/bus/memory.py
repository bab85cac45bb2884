"""A bus inside one process, for tests; the shortest implementation of gateway.bus.bus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from gateway.bus.announcement import Announcement
from gateway.bus.bus import Deliver, Resynced


class MemoryBroker:
    """Connects the MemoryBus of each simulated node."""

    def __init__(self) -> None:
        self.subscribers: dict[str, set[MemoryBus]] = defaultdict(set)


class MemoryBus:
    """One node's bus, connected to a broker in the same process."""

    healthy = True

    def __init__(self, broker: MemoryBroker, *, deliver: Deliver, resynced: Resynced) -> None:
        self._broker = broker
        self._deliver = deliver
        self.resynced = resynced

    def publish(self, announcements: Collection[Announcement]) -> None:
        for announcement in announcements:
            for bus in tuple(self._broker.subscribers[announcement.topic]):
                if bus is not self:
                    bus.receive(announcement.topic, announcement.to_wire())

    def receive(self, topic: str, data: bytes) -> None:
        for announcement in Announcement.from_wire(topic, data):
            self._deliver(announcement)

    async def subscribe(self, topics: Collection[str]) -> None:
        for topic in topics:
            self._broker.subscribers[topic].add(self)

    def unsubscribe(self, topics: Collection[str]) -> None:
        for topic in topics:
            self._broker.subscribers[topic].discard(self)
