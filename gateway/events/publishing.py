"""Publishes events that come over HTTP: a batch at a time, each event for itself.

rest/events.py ─▶ EventPublishing ─▶ realtime.events_outbox, then the relay's doorbell.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from gateway.context import Services
from gateway.errors import EventBacklog, Overloaded
from gateway.events.queries import batches, outbox
from gateway.events.queries.batches import NewEvent, StoredEvent
from gateway.events.queries.outbox import OutboxBacklog
from gateway.events.relay import COUNTED, ring

MOST_WAITING: Final = COUNTED
MOST_OLD_S: Final = 60.0
"""With more, or older ones, no more are taken: what is sent is worth nothing when it comes late."""
KEPT_S = 2.0
"""What waits is counted at most so often."""
TRIES = 3
"""A key may be forgotten, or cancelled, between the two statements."""


class EventPublishing:
    """The publishing of one worker."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._backlog = OutboxBacklog(0, 0.0)
        self._counted_at = float("-inf")

    async def publish(self, source: str, events: Sequence[NewEvent]) -> list[StoredEvent]:
        """Store events and have them relayed at once; return what became of each, in order.

        EventBacklog when too much waits.
        """
        await self._check_backlog()
        found: dict[int, StoredEvent] = {}
        left = list(enumerate(events))
        stored = False
        for _ in range(TRIES):
            async with self._services.connection() as conn, conn.transaction():
                done = await batches.publish(conn, source, [one for _, one in left])
                places = [place for place, _ in left]
                refused = [left[one.place] for one in done if not (one.stored or one.wrong)]
                had = await batches.known(conn, source, refused) if refused else {}
            for one in done:
                if one.stored or one.wrong:
                    found[places[one.place]] = one
                    stored = stored or one.stored
            found |= had
            left = [(place, one) for place, one in left if place not in found]
            if not left:
                break
        else:
            raise Overloaded("The keys of these events change all the time.")
        if stored:
            ring(self._services.publish)
        return [found[place] for place in range(len(events))]

    async def cancel(self, source: str, keys: Sequence[str]) -> list[str]:
        """Take back events that are not relayed, by their keys; return those that were there."""
        async with self._services.connection() as conn:
            return await batches.cancel(conn, source, sorted(set(keys)))

    async def _check_backlog(self) -> None:
        now = time.monotonic()
        if now - self._counted_at >= KEPT_S:
            async with self._services.connection() as conn:
                self._backlog = await outbox.backlog(conn, limit=MOST_WAITING)
            self._counted_at = now
        if self._backlog.waiting >= MOST_WAITING or self._backlog.oldest_s > MOST_OLD_S:
            raise EventBacklog
