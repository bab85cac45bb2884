"""Bus: from COMMIT to every node.

The bus is a doorbell, not a log: it may lose anything, and whoever cares reads it back by
position. What it promises: `deliver` is called in the order one node published; after any
time in which something may have been lost, `resynced` is called once things work again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from gateway.bus.announcement import Announcement

Deliver = Callable[[Announcement], None]
Resynced = Callable[[], None]


class Bus(Protocol):
    """Publish to topics, hear topics."""

    def publish(self, announcements: Collection[Announcement]) -> None:
        """Ring at every other node that hears the topics; never waits, never raises.

        This node's own listeners are not called: the publisher delivers locally itself, so that
        local delivery survives the bus.
        """

    async def subscribe(self, topics: Collection[str]) -> None:
        """Hear these topics; returns when nothing published from now on is missed.

        While the bus is down it returns at once: `resynced` follows when it is back.
        """

    def unsubscribe(self, topics: Collection[str]) -> None:
        """Stop hearing these topics, some time soon."""

    @property
    def healthy(self) -> bool:
        """False while this node may be deaf."""
