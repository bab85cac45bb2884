"""What this node has told of calls and call-backs, and what it should have.

hub, queue_watch ─▶ told ─ look ─▶ announce, callbacks ─▶ who is here. A worker may have
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
"""It is looked after so many upkeeps. While the bus is away, after each."""
ANNOUNCED_WITHIN = timedelta(seconds=5)
"""What is younger is left to whoever stored it."""
OVERLAP = timedelta(minutes=1)
"""A change is dated when its transaction began, and clocks differ."""
HOURS = 2
"""Calls that began before are looked at while they go on, or after lost news."""
REMEMBERED_S = 180.0
MOST_REMEMBERED = 50_000

Key = tuple[str, Any]
"""(topic, call or item); without a topic: a call that was looked at."""


class CallReconciler:
    """One node's memory of the versions that it told, and when all had been told last."""

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
        """→ the highest version, and when; the latest is last."""
        self._complete_until = datetime.now(UTC)
        self._rounds_skipped = 0

    def register(self) -> None:
        """Have the hub tell of calls and call-backs; of watched calls queue_watch does."""
        for happened in (*OF_CALLS, "missed_call.created", "callback.changed"):
            self._delivery.hub.on_delivered(happened, self._delivered)

    def _delivered(self, announcement: Announcement, listeners: Any) -> None:
        if listeners:
            self.delivered(announcement)

    def delivered(self, announcement: Announcement) -> None:
        """Take note of what was delivered here."""
        self._record(*_version_of(announcement))

    async def reconcile(self, *, lost_news: bool) -> None:
        """Tell people here what they have not been told; after lost news, all that has changed.

        The moment up to which all was told moves on only when all of it was.
        """
        self._rounds_skipped += 1
        due = lost_news or not self._delivery.bus.healthy or self._rounds_skipped >= RECONCILE_EVERY
        if not due and self._sessions:
            return
        began = datetime.now(UTC)
        reached = None
        if self._sessions:
            tell = (
                self._deliver_all()
                if lost_news
                else self._deliver_missing(began - ANNOUNCED_WITHIN)
            )
            reached = await tell
        if reached:  # others may have changed at that very moment
            self._complete_until, self._rounds_skipped = (
                reached - timedelta(milliseconds=1),
                RECONCILE_EVERY,
            )
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
                late += self._has_delivered(key, version)  # somebody was here to hear it

        reached = _first(
            await announce.redeliver(
                services, deliver, self._complete_until, until=until, hours=HOURS, is_current=known
            ),
            await callbacks.redeliver(services, deliver, self._complete_until, until=until),
        )
        for call_id, version in looked.items():
            self._record(("", call_id), version)
        if late:
            log.info("calls.told_late", events=late)
        return reached

    def _has_delivered(self, key: Key, version: int) -> bool:
        return key in self._delivered_versions and self._delivered_versions[key][0] >= version

    def _record(self, key: Key, version: int) -> None:
        before, _ = self._delivered_versions.pop(key, (0, 0.0))
        self._delivered_versions[key] = max(before, version), self._now()
        if len(self._delivered_versions) > MOST_REMEMBERED:
            del self._delivered_versions[next(iter(self._delivered_versions))]

    def _expire(self) -> None:
        """Forget what is not looked at any more."""
        long_ago = self._now() - REMEMBERED_S
        for key, (_, at) in list(self._delivered_versions.items()):
            if at > long_ago:
                return
            del self._delivered_versions[key]


def _first(*reached: datetime | None) -> datetime | None:
    """Return up to when all was told, where not all of it was."""
    return min((moment for moment in reached if moment), default=None)


def _version_of(announcement: Announcement) -> tuple[Key, int]:
    """Return what an event is about, and its version; watched calls have a head of their own."""
    said = orjson.loads(announcement.payload.rpartition(b"\n")[2])
    item = said["call"] if "call" in said else said["callback"]
    return (announcement.topic, item["id"]), item["version"]
