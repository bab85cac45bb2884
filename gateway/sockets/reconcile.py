"""What a node compares with the database every few seconds, and after the bus may have lost events.

database ─▶ Reconciler ─▶ sessions, memberships, watches. It relies on no announcement: who may
connect, their permissions, their conversations, their unread counts, their presence and the calls
that go on are all read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from gateway.auth.permissions import topics_for
from gateway.auth.queries import employee_changes
from gateway.auth.queries.employee_changes import UNKNOWN
from gateway.batch_loader import Spawn
from gateway.chat.queries import compare
from gateway.context import Services
from gateway.db import bigints
from gateway.delivery.delivery import Delivery
from gateway.people.presences import announcements
from gateway.protocol import close_codes
from gateway.sockets.metrics import SocketMetrics
from gateway.sockets.session.session import Session
from gateway.sockets.subscriptions.memberships import Memberships
from gateway.sockets.watch.calls import CallReconciler
from gateway.sockets.watch.presence import PresenceWatches
from gateway.sockets.watch.topic_watches import TopicWatches
from gateway.sockets.watch.unread import UnreadPush

log = structlog.get_logger(__name__)

PEOPLE_AT_ONCE = 500
STRAY = (-1, 0)
"""A fingerprint that nobody has."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EmployeeGroup:
    """Some connected employees, and what the node holds of them, encoded for the comparison.

    Encoding takes longer than everything else that the node does for an idle client.
    """

    people: dict[int, list[Session]]
    largest: int
    """The most conversations that one of them is joined to."""
    employee_ids: str
    stamps: str
    counts: str
    sums: str


class Reconciler:
    """The periodic checks of one node."""

    def __init__(
        self,
        services: Services,
        delivery: Delivery,
        sessions: Collection[Session],
        *,
        memberships: Memberships,
        presence_watches: PresenceWatches,
        unread: UnreadPush,
        topic_watches: TopicWatches,
        calls: CallReconciler,
        metrics: SocketMetrics,
        spawn: Spawn,
        max_topics: int,
        every_s: float,
    ) -> None:
        self._services = services
        self._delivery = delivery
        self._sessions = sessions
        self._memberships = memberships
        self._presence_watches = presence_watches
        self._unread = unread
        self._topic_watches = topic_watches
        self._calls = calls
        self._metrics = metrics
        self._spawn = spawn
        self._max_topics = max_topics
        self._every_s = every_s
        self._wake = asyncio.Event()
        self._events_lost = False
        self._presence_unsure = False
        """Watchers may have been sent a last known state, or nothing."""
        self._outdated_fetches = 0
        """How many there were at the last full delivery of presence."""
        self._delivered_version = 0
        """Default version at the last full delivery of presence."""
        self._groups_known: list[EmployeeGroup] = []
        self._as_of: tuple[int, int, int] | None = None
        """(sessions opened, sessions, joins and leaves): constant while nothing moves."""

    def check_all(self) -> None:
        """Have everything compared soon: the bus was away."""
        self._events_lost = True
        self._wake.set()

    async def compare_rights(self, employee_ids: Collection[int] | None) -> None:
        """Compare these employees (None: all) now; errors of the database are the caller's."""
        present, _ = self._present()
        if employee_ids is not None:
            present = {one: present[one] for one in present.keys() & employee_ids}
        for group in _groups_of(present):
            await self._compare(group)
        await self._check_topics(employee_ids)

    async def run(self) -> None:
        """Check until cancelled; an outage delays."""
        while True:
            try:
                async with asyncio.timeout(self._interval_s()):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            events_lost, self._events_lost = self._events_lost, False
            try:
                await self._check(events_lost=events_lost)
            except Exception as error:  # noqa: BLE001 - checked again in a moment
                log.warning("upkeep.failed", error=type(error).__name__)
                self._events_lost = self._events_lost or events_lost
                await asyncio.sleep(1.0)

    def _interval_s(self) -> float:
        """Return when to check next: sooner when presence will know by then who is not here."""
        usual, certain = self._every_s, self._services.presence.recovery_remaining_s
        return min(usual, certain + 0.01) if certain else usual

    async def _check(self, *, events_lost: bool) -> None:
        for group in self._groups():
            await self._compare(group)
        await self._check_topics()
        self._unread.push_expired_mutes()
        await self._check_presence(events_lost=events_lost)
        if events_lost and self._groups_known:
            self._unread.check_all()
        await self._calls.reconcile(events_lost=events_lost)

    async def _check_topics(self, employee_ids: Collection[int] | None = None) -> None:
        """End watches without a right; a view of the CRM that fails keeps nothing else waiting."""
        try:
            await self._topic_watches.check(employee_ids)
        except Exception as error:  # noqa: BLE001 - checked again in a moment
            log.warning("topics.not_checked", error=type(error).__name__)

    def _groups(self) -> list[EmployeeGroup]:
        """Return everybody connected, in groups: the last ones, if nothing has changed."""
        as_of = self._metrics.opened, len(self._sessions), self._delivery.hub.membership_changes
        if self._as_of != as_of:
            present, waiting = self._present()
            self._groups_known = _groups_of(present)
            self._as_of = None if waiting else as_of
        return self._groups_known

    def _present(self) -> tuple[dict[int, list[Session]], bool]:
        """Return employee → live sessions, and whether other sessions are about to be live."""
        found: dict[int, list[Session]] = {}
        waiting = False
        for session in self._sessions:
            if session.live and (context := session.context) is not None:
                found.setdefault(context.identity.employee.id, []).append(session)
            else:
                waiting = True
        return found, waiting

    async def _compare(self, group: EmployeeGroup) -> None:
        async with self._services.connection() as conn:
            changed = await employee_changes.changed(conn, group.employee_ids, group.stamps)
            strayed = await compare.mismatched(conn, group.employee_ids, group.counts, group.sums)
        for employee_id, now in changed.items():
            self._as_of = None  # their stamps have changed
            self._apply_rights(group.people[employee_id], now)
        for employee_id in {*strayed, *self._grown(group)}:
            sessions = [session for session in group.people[employee_id] if session.live]
            await self._memberships.reconcile(employee_id, sessions)

    def _grown(self, group: EmployeeGroup) -> list[int]:
        """Return who is joined to more conversations than allowed."""
        most = self._max_topics
        if group.largest <= most:
            return []
        return [
            employee_id
            for employee_id, sessions in group.people.items()
            if any(session.fingerprint[0] > most for session in sessions)
        ]

    def _apply_rights(self, sessions: list[Session], now: employee_changes.ChangedEmployee) -> None:
        """Close the sessions of a disabled employee; apply the permissions of another."""
        for session in sessions:
            if now.record is None or not now.record.active:
                session.close(close_codes.EMPLOYEE_DISABLED)
            elif session.context is not None:
                session.rights_stamp = now.stamp
                old, found = session.context.identity, now.record
                if (old.permissions, old.employee) != (found.permissions, found.employee):
                    session.update_identity(
                        replace(old, employee=found.employee, permissions=found.permissions)
                    )
                    self._apply_topics(session, old.permissions, found.permissions)

    def _apply_topics(self, session: Session, before: frozenset[str], now: frozenset[str]) -> None:
        """Join a session to the topics that its permissions allow, and to no others."""
        if session.closed:  # a session that was removed must not be in topics again
            return
        lost = topics_for(before) - topics_for(now)
        if gained := topics_for(now) - topics_for(before):
            self._delivery.hub.join(session, gained)
            self._spawn(self._delivery.bus.subscribe(gained), name="upkeep.subscribe")
        self._delivery.hub.leave(session, lost)

    async def _check_presence(self, *, events_lost: bool) -> None:
        """Mark presence as degraded or not; deliver all of it again once it is not.

        The bus may be back before presence is: what is read then is as old as what was sent. Who
        began to watch in an outage that was over before this check has the last known state. And a
        Redis that came back empty knows only after a while who is offline: that is not announced,
        so it is read again.
        """
        presence = self._services.presence
        self._presence_watches.set_degraded(degraded=presence.degraded)
        version, outdated = presence.default_version, presence.outdated_fetches
        unsure = events_lost or presence.degraded or version > self._delivered_version
        unsure = unsure or outdated > self._outdated_fetches
        self._presence_unsure = self._presence_unsure or unsure
        if self._presence_unsure and not presence.degraded and await self._redeliver_presence():
            self._presence_unsure = False
            self._delivered_version, self._outdated_fetches = version, outdated

    async def _redeliver_presence(self) -> bool:
        """Deliver the presence of all who are watched here; return whether it could be read.

        What is read while Redis is away is the last known state, which watchers have: it is not
        told again, as if somebody had gone offline just now.
        """
        presence, watched = self._services.presence, self._presence_watches.watched()
        for start in range(0, len(watched), PEOPLE_AT_ONCE):
            found = await presence.fetch(watched[start : start + PEOPLE_AT_ONCE])
            if presence.degraded:
                return False
            for announcement in announcements(list(found.values())):
                self._presence_watches.deliver(announcement)
        return True


def _groups_of(present: dict[int, list[Session]]) -> list[EmployeeGroup]:
    people = list(present.items())
    return [
        _group(dict(people[start : start + PEOPLE_AT_ONCE]))
        for start in range(0, len(people), PEOPLE_AT_ONCE)
    ]


def _group(people: dict[int, list[Session]]) -> EmployeeGroup:
    stamps = [_agreed([session.rights_stamp for session in of], UNKNOWN) for of in people.values()]
    joined = [_agreed([session.fingerprint for session in of], STRAY) for of in people.values()]
    return EmployeeGroup(
        people=people,
        largest=max(session.fingerprint[0] for of in people.values() for session in of),
        employee_ids=bigints(people),
        stamps=bigints(stamps),
        counts=bigints(count for count, _ in joined),
        sums=bigints(total % (1 << compare.SUM_BITS) for _, total in joined),
    )


def _agreed(values: list[T], otherwise: T) -> T:
    """Return the value that all sessions of one person have; `otherwise` when they differ."""
    first = values[0]
    return first if len(values) == 1 or all(value == first for value in values) else otherwise
