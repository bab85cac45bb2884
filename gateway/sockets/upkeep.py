"""What a node compares with the database every few seconds, and after the bus may have lost news.

Nothing here is announced to be believed: who may come in, what they may do, which conversations
they are in, what they have not read, who is here and which calls go on are all read again.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from gateway import topics
from gateway.auth import Identity
from gateway.auth.queries import employees
from gateway.chat.queries import conversations
from gateway.people.presences import announcements
from gateway.protocol import close_codes
from gateway.sockets import welcome
from gateway.telephony import announce as call_news

if TYPE_CHECKING:
    from gateway.sockets.node import Node
    from gateway.sockets.session import Session

log = structlog.get_logger(__name__)

EVERY_S = 5.0
PEOPLE_AT_ONCE = 500


class Upkeep:
    """The checks of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._wake = asyncio.Event()
        self._lost_news = False
        self._heard_all_at = datetime.now(UTC)

    def news_lost(self) -> None:
        """Have everything compared soon: the bus was away."""
        self._lost_news = True
        self._wake.set()

    async def run(self) -> None:
        """Check until cancelled; an outage delays."""
        while True:
            try:
                async with asyncio.timeout(EVERY_S):
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

    async def _check(self, *, lost_news: bool) -> None:
        began = datetime.now(UTC)
        present = self._present()
        people = list(present)
        for start in range(0, len(people), PEOPLE_AT_ONCE):
            some = people[start : start + PEOPLE_AT_ONCE]
            async with self._node.services.connection() as conn:
                standing = await employees.standing(conn, some)
                prints = await conversations.fingerprints(conn, some)
            for employee_id in some:
                self._apply_rights(present[employee_id], standing.get(employee_id))
                if any(s.fingerprint != prints[employee_id] for s in present[employee_id]):
                    await self.reconcile(employee_id, present[employee_id])
        self._node.watches.mark(degraded=self._node.services.presence.degraded)
        if lost_news and present:
            self._node.unread.check_all()
            await self._presence_again()
            await call_news.again(self._node.services, self._node.deliver, self._heard_all_at)
        self._heard_all_at = began - timedelta(minutes=1)

    def _present(self) -> dict[int, list[Session]]:
        found: dict[int, list[Session]] = {}
        for session in self._node.sessions:
            if session.live:
                found.setdefault(session.user_id, []).append(session)
        return found

    def _apply_rights(self, sessions: list[Session], found: employees.Found | None) -> None:
        """Let go of who was disabled; give the others the permissions they have now."""
        for session in sessions:
            if found is None or not found.active:
                session.end(close_codes.EMPLOYEE_DISABLED)
            elif session.context is not None:
                old = session.context.identity
                if (old.permissions, old.employee) != (found.permissions, found.employee):
                    session.identify(Identity(found.employee, found.permissions, old.expires_at))

    async def reconcile(self, employee_id: int, sessions: list[Session]) -> None:
        """Have these sessions hear the conversations this person is in now, and no others."""
        most = self._node.settings.max_topics
        async with self._node.services.connection() as conn:
            members = await conversations.memberships(conn, employee_id, most)
        wanted = {member.conversation_id for member in members}
        for session in sessions:
            heard = {
                conversation_id
                for topic in session.topics
                if (conversation_id := topics.conversation_of(topic)) is not None
            }
            if len(members) < most:  # beyond it only the newest are heard live
                self._node.hub.part(session, map(topics.conversation, heard - wanted))
            for conversation_id in wanted - heard:
                await welcome.join_known(self._node, session, conversation_id)

    async def _presence_again(self) -> None:
        watched = self._node.watches.watched()
        for start in range(0, len(watched), PEOPLE_AT_ONCE):
            found = await self._node.services.presence.look(watched[start : start + PEOPLE_AT_ONCE])
            for announcement in announcements(list(found.values())):
                self._node.watches.deliver(announcement)
