"""Who was added to a conversation or removed from it by a function in SQL: tells their sessions.

standing checks ─▶ MembershipNews ─▶ hub, streams. The function only writes rows. What the
participants receive comes from the conversation's stream, and what those who joined or left
receive on their own topic comes from here, as it would from the command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

import structlog

from gateway import topics
from gateway.auth.queries.standing import MembershipChange
from gateway.bus import announce
from gateway.chat import conversations
from gateway.chat.queries import members, preferences
from gateway.context import Services
from gateway.db import Conn
from gateway.delivery.delivery import Delivery
from gateway.errors import ConversationNotFound
from gateway.protocol import ConversationMineChanged, ParticipantChanged
from gateway.sockets.subscriptions.after_delivery import AfterDelivery

log = structlog.get_logger(__name__)


class MembershipNews:
    """The news of one node."""

    def __init__(self, services: Services, delivery: Delivery, after: AfterDelivery) -> None:
        self._services = services
        self._delivery = delivery
        self._after = after
        self._applied: set[int] = set()
        """Changes that are read again, as they may have been committed late."""
        self._waiting: dict[int, MembershipChange] = {}
        self._wake = asyncio.Event()

    def add(self, changes: Sequence[MembershipChange]) -> None:
        """Have those told that are new. Who was dismissed, or has no token, is not kept waiting."""
        self._applied &= {one.id for one in changes}
        self._waiting |= {one.id: one for one in changes if one.id not in self._applied}
        if self._waiting:
            self._wake.set()

    async def run(self) -> None:
        """Tell of what was added, in that order, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._apply_first()

    async def _apply_first(self) -> None:
        number, change = next(iter(self._waiting.items()))
        try:
            with suppress(ConversationNotFound):  # they are gone again
                await self._apply(change)
            self._applied.add(number)
        except Exception as error:  # noqa: BLE001 - for a while it is read again
            log.warning("memberships.not_told", error=type(error).__name__)
        finally:
            del self._waiting[number]

    async def _apply(self, change: MembershipChange) -> None:
        conversation_id, streams = change.conversation_id, self._delivery.streams
        streams.check(conversation_id)
        joined = self._here(change.joined)
        # Where somebody is joined to the conversation, its stream tells who was removed, in order.
        removed = [] if streams.is_open(conversation_id) else self._here(change.removed)
        if not joined and not removed:
            return
        async with self._services.connection() as conn:
            events = await members.participant_events(conn, conversation_id, [*joined, *removed])
            left = {one.participant.employee.id: one for one in events if one.left}
            # Whoever was added or removed again since then is told of that by its own row.
            present = [one for one in joined if one not in left]
            if present:
                await self._tell_joined(conn, change, present)
        self._tell_removed(left[one] for one in removed if one in left)

    def _here(self, employee_ids: Collection[int]) -> list[int]:
        """Return those who are connected to this node."""
        return [one for one in employee_ids if self._delivery.hub.listeners(topics.user(one))]

    async def _tell_joined(
        self, conn: Conn, change: MembershipChange, employee_ids: Sequence[int]
    ) -> None:
        """Send them the conversation; each of their sessions joins it, from this change on."""
        conversation_id, hub = change.conversation_id, self._delivery.hub
        topic = topics.conversation(conversation_id)
        conversation = await conversations.load(conn, employee_ids[0], conversation_id)
        event = conversations.created_event(conversation, change=change.change)
        for employee_id in employee_ids:
            hub.deliver(announce(topics.user(employee_id), event), except_in=topic)
            mine = await preferences.find(conn, employee_id, conversation_id)
            if mine is not None and mine.version:  # they were in it before, with others
                changed = ConversationMineChanged(conversation_id=conversation_id, mine=mine)
                hub.deliver(announce(topics.user(employee_id), changed))

    def _tell_removed(self, events: Iterable[ParticipantChanged]) -> None:
        for event in events:
            topic = topics.user(event.participant.employee.id)
            self._after.deliver_removal(announce(topic, event, change=event.change))
