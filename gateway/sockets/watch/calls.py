"""The versions of calls and call-backs that this node delivered, compared with the database.

hub, queue_watches ─▶ delivered ─ reconcile ─▶ announce, callbacks ─▶ Delivery. A worker may have
died between COMMIT and announcement, and the bus may lose anything: the database is the truth.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import structlog

from gateway.bus import Announcement
from gateway.context import Services
from gateway.delivery.delivery import Delivery
from gateway.telephony.callbacks import callbacks
from gateway.telephony.calls import announce

log = structlog.get_logger(__name__)

OF_CALLS = ("call.offered", "call.updated", "call.ended", "call.revised")
RECONCILE_EVERY = 6
"""Rounds of the reconciler from one comparison to the next. While the bus is away: each round."""
ANNOUNCED_WITHIN = timedelta(seconds=5)
"""A younger change is left to the worker that stored it."""
OVERLAP = timedelta(minutes=1)
"""A change is dated when its transaction began, and clocks differ."""
HOURS = 2
"""Calls that began earlier are compared while they go on, or after lost events."""
REMEMBERED_S = 180.0
MOST_REMEMBERED = 50_000

Key = tuple[str, Any]
"""(topic, call or item); without a topic: a call that was compared."""


class CallReconciler:
    """The versions that one node delivered, and up to when all were delivered."""

    def __init__(
        self,
        services: Services,
        delivery: Delivery,
        sessions: Collection[object],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._services = services
        self._delivery = delivery
        self._sessions = sessions
        self._now = now
        self._delivered_versions: dict[Key, tuple[int, float]] = {}
        """→ the highest version, and when it was delivered; the latest is last."""
        self._complete_until = datetime.now(UTC)
        self._rounds_skipped = 0

    def register(self) -> None:
        """Record calls and call-backs from the hub; QueueWatches records watched calls."""
        for happened in (*OF_CALLS, "missed_call.created", "callback.changed"):
            self._delivery.hub.on_delivered(happened, self._delivered)

    def _delivered(self, announcement: Announcement, listeners: Any) -> None:
        if listeners:
            self.delivered(announcement)

    def delivered(self, announcement: Announcement) -> None:
        """Record what was delivered here."""
        self._record(*_version_of(announcement))

    async def reconcile(self, *, events_lost: bool) -> None:
        """Deliver what is missing here; after lost events, everything that has changed.

        The moment up to which all was delivered moves on only when all of it was.
        """
        self._rounds_skipped += 1
        overdue = self._rounds_skipped >= RECONCILE_EVERY
        due = overdue or events_lost or not self._delivery.bus.healthy
        if not due and self._sessions:
            return
        began = datetime.now(UTC)
        reached = None
        if self._sessions:
            if events_lost:
                reached = await self._deliver_all()
            else:
                reached = await self._deliver_missing(began - ANNOUNCED_WITHIN)
        if reached:  # others may have changed at that very moment
            self._complete_until = reached - timedelta(milliseconds=1)
            self._rounds_skipped = RECONCILE_EVERY
        else:
            self._complete_until, self._rounds_skipped = began - OVERLAP, 0
        self._expire()

    async def _deliver_all(self) -> datetime | None:
        services, deliver = self._services, self._delivery.deliver
        return _first(
            await announce.redeliver(services, deliver, self._complete_until),
            await callbacks.redeliver(services, deliver, self._complete_until),
        )

    async def _deliver_missing(self, until: datetime) -> datetime | None:
        services, looked = self._services, dict[UUID, int]()
        late = 0

        def known(call_id: UUID, version: int) -> bool:
            looked[call_id] = version
            return self._has_delivered(("", call_id), version)

        def deliver(announcement: Announcement) -> None:
            nonlocal late
            if announcement.type == announce.AGENT_RECHECK:
                self._delivery.deliver(announcement)
                return
            key, version = _version_of(announcement)
            if not self._has_delivered(key, version):
                self._delivery.deliver(announcement)
                late += self._has_delivered(key, version)  # somebody was here to receive it

        reached = _first(
            await announce.redeliver(
                services, deliver, self._complete_until, until=until, hours=HOURS, is_current=known
            ),
            await callbacks.redeliver(services, deliver, self._complete_until, until=until),
        )
        for call_id, version in looked.items():
            self._record(("", call_id), version)
        if late:
            log.info("calls.delivered_late", events=late)
        return reached

    def _has_delivered(self, key: Key, version: int) -> bool:
        return key in self._delivered_versions and self._delivered_versions[key][0] >= version

    def _record(self, key: Key, version: int) -> None:
        before, _ = self._delivered_versions.pop(key, (0, 0.0))
        self._delivered_versions[key] = max(before, version), self._now()
        if len(self._delivered_versions) > MOST_REMEMBERED:
            del self._delivered_versions[next(iter(self._delivered_versions))]

    def _expire(self) -> None:
        """Remove versions older than REMEMBERED_S."""
        long_ago = self._now() - REMEMBERED_S
        for key, (_, at) in list(self._delivered_versions.items()):
            if at > long_ago:
                return
            del self._delivered_versions[key]


def _first(*reached: datetime | None) -> datetime | None:
    """Return up to when all was delivered, where not all of it was."""
    return min((moment for moment in reached if moment), default=None)


def _version_of(announcement: Announcement) -> tuple[Key, int]:
    """Return the item of an event and its version; events of watched calls have a head line."""
    event = orjson.loads(announcement.payload.rpartition(b"\n")[2])
    item = event["call"] if "call" in event else event["callback"]
    return (announcement.topic, item["id"]), item["version"]
