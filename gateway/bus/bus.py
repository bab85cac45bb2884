"""What every bus promises: publish to topics, subscribe to topics.

delivery ─▶ Bus ─▶ other nodes' `deliver`. The bus is a doorbell, not a log: it may lose any
announcement, and readers that need all of them compare positions and read the rest from
PostgreSQL. Two promises: `deliver` is called in the order in which one node published, and
`resynced` is called once the bus works again after a time in which it may have lost something.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from gateway.bus.announcement import Announcement

Deliver = Callable[[Announcement], None]
Resynced = Callable[[], None]


class Bus(Protocol):
    """Publish to topics and subscribe to them."""

    def publish(self, announcements: Collection[Announcement]) -> None:
        """Send to every other node that is subscribed; never waits, never raises.

        This node's own subscribers are not called: the publisher delivers locally itself, so that
        local delivery works while the bus is down.
        """

    async def subscribe(self, topics: Collection[str]) -> None:
        """Subscribe; on return, nothing published from now on is missed.

        While the bus is down, or has let somebody wait too long, it returns at once, and `resynced`
        is called when the bus is back, or has confirmed it.
        """

    def unsubscribe(self, topics: Collection[str]) -> None:
        """Unsubscribe within a few seconds."""

    @property
    def healthy(self) -> bool:
        """Return False while this node may not receive everything."""
