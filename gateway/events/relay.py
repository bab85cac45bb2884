"""Relays what is committed: from the outbox into the order of delivery, then to all nodes.

realtime.events_outbox ─▶ Relay ─▶ realtime.events, then the bus. Every node with the role
`background` has one; whoever locks the row of realtime.event_head does a round, the others leave
it. A node that dies after the COMMIT has announced nothing: the others find the events by their
positions (sockets/watch/event_stream.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from typing import Final

import structlog

from gateway import topics
from gateway.bus import Announcement
from gateway.db import Conn
from gateway.events.event import RelayedEvent
from gateway.events.queries import outbox
from gateway.events.queries.outbox import OutboxBacklog

log = structlog.get_logger(__name__)

ROUND = 200
"""Events moved by one transaction."""
TURN = 20
"""Events announced between two turns of the event loop."""
COUNTED = 100_000
LOOK_S = 15.0
"""Between two counts of what waits."""

STORED: Final = "events.stored"

Publish = Callable[[Collection[Announcement]], None]
Connect = Callable[[], AbstractAsyncContextManager[Conn]]


def ring(publish: Publish) -> None:
    """Tell all relays, after the COMMIT, that events were stored; a ring may be lost."""
    publish([Announcement(topics.OUTBOX, STORED, b'{"type":"events.stored"}')])


class Relay:
    """The relay of one node."""

    def __init__(self, connect: Connect, publish: Publish, *, poll_s: float) -> None:
        self._connect = connect
        self._publish = publish
        self._poll_s = poll_s
        self._rung = asyncio.Event()
        self._had_due = True
        """Something was due at the last look, or so it was told: only then there is something to
        count."""
        self.relayed = 0
        """Events that this node has relayed."""
        self.backlog = OutboxBacklog(0, 0.0)
        """What waited when it was last counted."""

    def heard(self, _announcement: Announcement) -> None:
        """Look at once: events were stored."""
        self._rung.set()

    async def run(self) -> None:
        """Relay until cancelled; an outage delays."""
        while True:
            try:
                async with asyncio.timeout(self._poll_s):
                    await self._rung.wait()
            except TimeoutError:
                pass
            try:
                await self._relay_all()
            except Exception as error:  # noqa: BLE001 - relayed in a moment
                log.warning("events.not_relayed", error=type(error).__name__)
                await asyncio.sleep(self._poll_s)

    async def watch(self, *, every_s: float = LOOK_S) -> None:
        """Count what waits until cancelled."""
        while True:
            try:
                await self._count()
            except Exception as error:  # noqa: BLE001 - counted in a moment
                log.warning("events.not_watched", error=type(error).__name__)
            await asyncio.sleep(every_s)

    async def _count(self) -> None:
        if not self._had_due:
            self.backlog = OutboxBacklog(0, 0.0)
            return
        async with self._connect() as conn:
            self.backlog = await outbox.backlog(conn, limit=COUNTED)

    async def _relay_all(self) -> None:
        """Relay until nothing is due, or another node does."""
        if self._rung.is_set():
            self._had_due = True
        else:
            async with self._connect() as conn:
                self._had_due = await outbox.has_due(conn)
            if not self._had_due:
                return
        self._rung.clear()
        while len(await self.round()) == ROUND:
            pass

    async def round(self) -> list[RelayedEvent]:
        """Relay the first events that are due, and return them; none while another node does."""
        async with self._connect() as conn, conn.transaction():
            head = await outbox.lock_head(conn)
            if head is None:
                return []
            events = await outbox.move(conn, head, limit=ROUND)
        self.relayed += len(events)
        for start in range(0, len(events), TURN):
            self._publish([one.announcement for one in events[start : start + TURN]])
            await asyncio.sleep(0)
        return events
