"""Events of the CRM on this node: each once, in the order of their positions.

bus ─▶ EventStream ─▶ sessions. An event behind a gap is not kept: it is read from realtime.events
with what is missing, as is what nobody announced because the relay died after its COMMIT, or
because the bus lost it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Protocol

import structlog

from gateway import topics
from gateway.bus import Announcement
from gateway.context import Services
from gateway.delivery.delivery import Delivery
from gateway.delivery.lanes import lane_of
from gateway.delivery.shared_frame import SharedFrame
from gateway.events.event import PUBLISHED, RelayedEvent
from gateway.events.queries import log as queries
from gateway.sockets.watch.watching_session import WatchingSession

log = structlog.get_logger(__name__)

GAP_S = 0.05
"""Two relays may overtake each other by a few milliseconds: wait a little before reading."""
PAGE = 200
"""Events read at once."""


class TopicWatchers(Protocol):
    """Who watches a topic."""

    def watchers(self, topic: str) -> Collection[WatchingSession]: ...


class EventStream:
    """How far the events have been delivered on this node."""

    def __init__(self, services: Services, delivery: Delivery, watches: TopicWatchers) -> None:
        self._services = services
        self._delivery = delivery
        self._watches = watches
        self._wake = asyncio.Event()
        self._lane = lane_of(PUBLISHED)
        self.position: int | None = None
        """Of the last event that was delivered here; None until the database was read."""
        self.delivered = 0
        """Events handed to sessions."""
        self.healed = 0
        """Events that the bus did not bring."""

    def register(self) -> None:
        """Have events delivered, also those that the bus lost."""
        self._delivery.handle_topic(topics.EVENTS, self._announced)
        self._delivery.on_resync(self._wake.set)

    async def start(self) -> None:
        """Begin with the next event; whoever connects from now on hears of it."""
        await self._delivery.bus.subscribe([topics.EVENTS])
        await self._try_to_read()

    async def run(self, sweep_s: float) -> None:
        """Read what nobody announced, until cancelled: when a gap shows, and every sweep_s."""
        while True:
            try:
                async with asyncio.timeout(sweep_s):
                    await self._wake.wait()
                await asyncio.sleep(GAP_S)
            except TimeoutError:
                pass
            self._wake.clear()
            await self._try_to_read()

    async def _try_to_read(self) -> None:
        try:
            await self._read()
        except Exception as error:  # noqa: BLE001 - read again in a moment
            log.warning("events.not_read", error=type(error).__name__)

    def _announced(self, announcement: Announcement) -> None:
        event = RelayedEvent.announced(announcement)
        if self.position is None or event.position <= self.position:
            return
        if event.position > self.position + 1:
            self._wake.set()
            return
        self._deliver(event)

    async def _read(self) -> None:
        if self.position is None:
            async with self._services.connection() as conn:
                self.position = await queries.head(conn)
            return
        while True:
            known = self.position  # the bus may bring more while this is read
            async with self._services.connection() as conn:
                head, events = await queries.after(conn, known, limit=PAGE)
            if head < known:
                # Of another database, or of a backup: what comes next has lower positions.
                log.warning("events.positions_fell", position=known, head=head)
                self.position = head
            for event in events:
                if event.position > self.position:  # the bus may have brought it meanwhile
                    self.healed += 1
                    self._deliver(event)
            if len(events) < PAGE:
                return

    def _deliver(self, event: RelayedEvent) -> None:
        """Send an event to everybody here whom it concerns: to each session once."""
        self.position = event.position
        try:
            for (addressed, named), sessions in self._receivers(event).items():
                payload = event.payload(addressed=addressed, topics=[*named])
                frame = SharedFrame(payload, self._lane)
                for session in sessions:
                    session.deliver(frame)
                self.delivered += len(sessions)
        except Exception:  # those after it must be delivered, too
            log.exception("events.not_delivered", position=event.position)

    def _receivers(
        self, event: RelayedEvent
    ) -> Mapping[tuple[bool, tuple[str, ...]], list[WatchingSession]]:
        """Return sessions by whether the event names them, and by the topics they watch."""
        named: dict[WatchingSession, list[str]] = {}
        for topic in dict.fromkeys(event.topics):
            for session in self._watches.watchers(topic):
                named.setdefault(session, []).append(topic)
        hub, found = self._delivery.hub, dict[tuple[bool, tuple[str, ...]], list[WatchingSession]]()
        for user in dict.fromkeys(event.users):
            for session in hub.listeners(topics.user(user)):
                found.setdefault((True, tuple(named.pop(session, ()))), []).append(session)
        for session, watched in named.items():
            found.setdefault((False, tuple(watched)), []).append(session)
        return found
