"""What a node compares with the database every few seconds, and after the bus may have lost news.

Nothing here is announced to be believed: who may come in, what they may do, which conversations
they are in, what they have not read, who is here and which calls go on are all read again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import structlog

from gateway import topics
from gateway.auth import Identity
from gateway.auth.permissions import topics_for
from gateway.auth.queries import employee_changes
from gateway.auth.queries.employee_changes import UNKNOWN
from gateway.chat.queries import compare, conversations
from gateway.chat.queries import members as members_queries
from gateway.db import bigints
from gateway.delivery import lanes
from gateway.errors import GatewayError
from gateway.people.presences import announcements
from gateway.protocol import close_codes
from gateway.protocol.codec import encode
from gateway.sockets.subscriptions import joining
from gateway.sockets.watch.calls import CallReconciler

if TYPE_CHECKING:
    from gateway.sockets.node import Node
    from gateway.sockets.session.session import Session

log = structlog.get_logger(__name__)

PEOPLE_AT_ONCE = 500
STRAY = (-1, 0)
"""A fingerprint that nobody has."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EmployeeGroup:
    """Some people who are here, and what is known of them, printed for the comparison.

    Printing takes longer than all else that the worker does for somebody who does nothing.
    """

    people: dict[int, list[Session]]
    largest: int
    """The most conversations that one of them hears."""
    employee_ids: str
    stamps: str
    counts: str
    sums: str


class Reconciler:
    """The checks of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._wake = asyncio.Event()
        self._lost_news = False
        self._presence_unsure = False
        """What watchers were told may be the last known state, or nothing."""
        self._unknown_as_of = 0
        """The version of those of whom presence knew nothing when its watchers were told last."""
        self.calls = CallReconciler(node)
        self.calls.register()
        self._known: list[EmployeeGroup] = []
        self._as_of: tuple[int, int, int] | None = None
        """What tells whether anybody came, went, or began to hear something else."""

    def check_all(self) -> None:
        """Have everything compared soon: the bus was away."""
        self._lost_news = True
        self._wake.set()

    async def run(self) -> None:
        """Check until cancelled; an outage delays."""
        while True:
            try:
                async with asyncio.timeout(self._interval_s()):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            lost_news, self._lost_news = self._lost_news, False
            try:
                await self._check(lost_news=lost_news)
            except Exception as error:  # noqa: BLE001 - asked again in a moment
                log.warning("upkeep.failed", error=type(error).__name__)
                self._lost_news = self._lost_news or lost_news
                await asyncio.sleep(1.0)

    def _interval_s(self) -> float:
        """Return when to look next: sooner when it will be known by then who is not here."""
        usual, certain = (
            self._node.settings.upkeep_s,
            self._node.services.presence.recovery_remaining_s,
        )
        return min(usual, certain + 0.01) if certain else usual

    async def _check(self, *, lost_news: bool) -> None:
        for group in self._groups():
            await self._compare(group)
        self._node.unread.push_expired_mutes()
        await self._check_presence(lost_news=lost_news)
        if lost_news and self._known:
            self._node.unread.check_all()
        await self.calls.reconcile(lost_news=lost_news)

    def _groups(self) -> list[EmployeeGroup]:
        """Return everybody who is here, in groups: those of the last look, if nobody has moved."""
        as_of = self._node.opened, len(self._node.sessions), self._node.hub.membership_changes
        if self._as_of != as_of:
            present, waiting = self._present()
            people = list(present.items())
            self._known = [
                _group(dict(people[start : start + PEOPLE_AT_ONCE]))
                for start in range(0, len(people), PEOPLE_AT_ONCE)
            ]
            self._as_of = None if waiting else as_of
        return self._known

    def _present(self) -> tuple[dict[int, list[Session]], bool]:
        """Return employee → live sessions, and whether there are others that are about to be."""
        found: dict[int, list[Session]] = {}
        waiting = False
        for session in self._node.sessions:
            if session.live and (context := session.context) is not None:
                found.setdefault(context.identity.employee.id, []).append(session)
            else:
                waiting = True
        return found, waiting

    async def _compare(self, group: EmployeeGroup) -> None:
        async with self._node.services.connection() as conn:
            changed = await employee_changes.changed(conn, group.employee_ids, group.stamps)
            strayed = await compare.strayed(conn, group.employee_ids, group.counts, group.sums)
        for employee_id, now in changed.items():
            self._as_of = None  # their stamps are others now
            self._apply_rights(group.people[employee_id], now)
        for employee_id in {*strayed, *self._grown(group)}:
            sessions = [session for session in group.people[employee_id] if session.live]
            await self.reconcile(employee_id, sessions)

    def _grown(self, group: EmployeeGroup) -> list[int]:
        """Return who hears more than they may."""
        most = self._node.settings.max_topics
        if group.largest <= most:
            return []
        return [
            employee_id
            for employee_id, sessions in group.people.items()
            if any(session.fingerprint[0] > most for session in sessions)
        ]

    def _apply_rights(self, sessions: list[Session], now: employee_changes.Changed) -> None:
        """Let go of who was disabled; give the others the permissions they have now."""
        for session in sessions:
            if now.found is None or not now.found.active:
                session.close(close_codes.EMPLOYEE_DISABLED)
            elif session.context is not None:
                session.rights_stamp = now.stamp
                old, found = session.context.identity, now.found
                if (old.permissions, old.employee) != (found.permissions, found.employee):
                    session.update_identity(
                        Identity(found.employee, found.permissions, old.expires_at)
                    )
                    self._apply_topics(session, old.permissions, found.permissions)

    def _apply_topics(self, session: Session, before: frozenset[str], now: frozenset[str]) -> None:
        """Have a session hear what its permissions allow, and nothing else from this moment on."""
        if session.closed:  # whoever has been forgotten must not be in topics again
            return
        lost = topics_for(before) - topics_for(now)
        if gained := topics_for(now) - topics_for(before):
            self._node.hub.join(session, gained)
            self._node.spawn(self._node.bus.subscribe(gained), name="upkeep.subscribe")
        self._node.hub.leave(session, lost)

    async def reconcile(self, employee_id: int, sessions: list[Session]) -> None:
        """Have these sessions hear the conversations this person is in now, and no others."""
        sessions = [session for session in sessions if not session.closed]
        if not sessions:  # gone while we read: ten thousand of them would be as many statements
            return
        most = self._node.settings.max_topics
        heard = {session: _conversations(session) for session in sessions}
        async with self._node.services.connection() as conn:
            members = await conversations.memberships(conn, employee_id, most)
            wanted = {member.conversation_id for member in members}
            others = set().union(*heard.values()) - wanted
            if len(members) == most:  # of more than that only the newest are wanted
                others -= await compare.belonging(conn, employee_id, others)
            partings = {
                conversation_id: await members_queries.changed(conn, conversation_id, [employee_id])
                for conversation_id in others
            }
        for session in sessions:
            surplus = max(0, len((heard[session] | wanted) - others) - most)
            gone = others | set(sorted(heard[session] - wanted - others)[:surplus])
            still = _conversations(session)  # what streams have parted since, they have told too
            self._node.hub.leave(session, map(topics.conversation, gone & still))
            for conversation_id in others & still:
                for event in partings[conversation_id]:
                    session.send(encode(event), lanes.MESSAGE)
                self._node.unread.changed([employee_id], conversation_id)
            for conversation_id in wanted - heard[session]:
                await joining.join_existing(self._node, session, conversation_id)

    async def rejoin(self, employee_id: int, sessions: list[Session]) -> None:
        """Look whether someone who was just taken out of a conversation is in it again."""
        with suppress(GatewayError):  # the next check does what cannot be done now
            await self.reconcile(employee_id, sessions)

    async def _check_presence(self, *, lost_news: bool) -> None:
        """Say whether presence is the last known state; tell all of it again once it is not.

        The bus may be back before presence is: what is read then is as old as what was told. And
        a Redis that came back empty can say only after a while who is not here: nobody announces
        that, it is read.
        """
        presence = self._node.services.presence
        self._node.presence_watches.set_degraded(degraded=presence.degraded)
        as_of = presence.default_version
        unsure = lost_news or presence.degraded or as_of > self._unknown_as_of
        self._presence_unsure = self._presence_unsure or unsure
        if self._presence_unsure and not presence.degraded:
            await self._redeliver_presence()
            self._presence_unsure = presence.degraded
            self._unknown_as_of = as_of

    async def _redeliver_presence(self) -> None:
        watched = self._node.presence_watches.watched()
        for start in range(0, len(watched), PEOPLE_AT_ONCE):
            found = await self._node.services.presence.fetch(
                watched[start : start + PEOPLE_AT_ONCE]
            )
            for announcement in announcements(list(found.values())):
                self._node.presence_watches.deliver(announcement)


def _conversations(session: Session) -> set[int]:
    return {
        conversation_id
        for topic in session.topics
        if (conversation_id := topics.conversation_of(topic)) is not None
    }


def _group(people: dict[int, list[Session]]) -> EmployeeGroup:
    stamps = [_agreed([session.rights_stamp for session in of], UNKNOWN) for of in people.values()]
    prints = [_agreed([session.fingerprint for session in of], STRAY) for of in people.values()]
    return EmployeeGroup(
        people=people,
        largest=max(session.fingerprint[0] for of in people.values() for session in of),
        employee_ids=bigints(people),
        stamps=bigints(stamps),
        counts=bigints(count for count, _ in prints),
        sums=bigints(total % (1 << compare.SUM_BITS) for _, total in prints),
    )


def _agreed(values: list[T], otherwise: T) -> T:
    """Return what all sessions of one person say, which is nearly always one."""
    first = values[0]
    return first if len(values) == 1 or all(value == first for value in values) else otherwise
