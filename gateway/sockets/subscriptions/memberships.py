"""Which conversations a session listens to, and from which change: joining, leaving, comparing.

joining, after_delivery, reconcile ─▶ Memberships ─▶ hub, streams, sessions. A session that joins
holds its events, subscribes, reads what it has missed, and goes on from there: no gap and no
duplicate.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import structlog

from gateway import topics
from gateway.bus import routing
from gateway.chat import conversations
from gateway.chat.queries import changes, compare, messages
from gateway.chat.queries import conversations as conversation_queries
from gateway.chat.queries import members as member_queries
from gateway.context import Services
from gateway.db import Conn
from gateway.delivery.delivery import Delivery
from gateway.delivery.streams import PAGE
from gateway.errors import ConversationNotFound, GatewayError
from gateway.sockets.subscriptions.listening_session import ListeningSession
from gateway.sockets.subscriptions.visibility import visible_changes
from gateway.sockets.watch.unread import UnreadPush

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Join:
    """How far a session is in the conversation it joins; None: it must not stay in it."""

    floor: int | None = None


class Memberships:
    """The conversations of the sessions of one node."""

    def __init__(
        self, services: Services, delivery: Delivery, unread: UnreadPush, *, max_topics: int
    ) -> None:
        self._services = services
        self._delivery = delivery
        self._unread = unread
        self._max_topics = max_topics

    # --- joining ---------------------------------------------------------------------------

    async def join_added(
        self, session: ListeningSession, conversation_id: int, change: int
    ) -> None:
        """Join a live session to a conversation it was just added to, from after this change.

        The state as of that change it got with conversation.created.
        """
        if session.closed:  # a session that was removed must not be in topics again
            return
        async with self._joining(session, conversation_id) as join:
            async with self._services.connection() as conn:
                missed = await self._read_missed(conn, session, conversation_id, after=change)
            floor, removed = _send_all(session, missed, floor=change)
            join.floor = None if removed else floor

    async def join_existing(self, session: ListeningSession, conversation_id: int) -> None:
        """Join a live session to a conversation whose creation it may not have received.

        A short one is sent whole, so that a client that has some of it lacks nothing; of a long
        one, a client that does not know it fetches what it shows.
        """
        if session.closed:  # a session that was removed must not be in topics again
            return
        async with self._joining(session, conversation_id) as join:
            async with self._services.connection() as conn:
                conversation = await conversations.load(conn, session.user_id, conversation_id)
                whole = conversation.last_change <= PAGE
                after = 1 if whole else conversation.last_change
                missed = await self._read_missed(conn, session, conversation_id, after=after)
            change = 1 if whole else conversation.last_change
            session.send_event(conversations.created_event(conversation, change=change))
            # Numbers that were superseded or are hidden are skipped, or streams would go back.
            floor, removed = _send_all(session, missed, floor=conversation.last_change)
            join.floor = None if removed else floor

    @asynccontextmanager
    async def _joining(
        self, session: ListeningSession, conversation_id: int
    ) -> AsyncIterator[_Join]:
        """Hold the session's events, join, subscribe; go on from `floor`.

        A failure in between undoes the joining: the reconciler sees that it is missing, and joins
        again.
        """
        topic, join = topics.conversation(conversation_id), _Join()
        hub, streams = self._delivery.hub, self._delivery.streams
        already = topic in session.topics
        session.hold()
        try:
            hub.join(session, [topic])
            await self._delivery.bus.subscribe([topic])
            yield join
            if join.floor is not None:
                floors = {conversation_id: join.floor}
                streams.start_at(floors)
                await self.catch_up(session, floors)
                join.floor = floors[conversation_id]
        except (GatewayError, OSError, TimeoutError) as error:
            join.floor = None
            log.warning("session.join_failed", session=session.id, error=type(error).__name__)
        finally:
            if join.floor is None:
                if not already:
                    hub.leave(session, [topic])
                session.release({})
            else:
                session.release(
                    {topic: join.floor}, keep=streams.behind({conversation_id: join.floor})
                )
                self._unread.changed([session.user_id], conversation_id)

    async def _read_missed(
        self, conn: Conn, session: ListeningSession, conversation_id: int, *, after: int
    ) -> list[changes.Change]:
        """Return what happened after a change, without messages hidden from this participant."""
        membership = await messages.membership(conn, session.user_id, conversation_id)
        if membership is None:  # removed again
            raise ConversationNotFound
        self.hide(session, conversation_id, membership.hidden_to)
        return await changes.after(
            conn, [(conversation_id, after)], PAGE, above=membership.hidden_to
        )

    async def catch_up(self, session: ListeningSession, floors: dict[int, int]) -> None:
        """Send a held session what the streams of this node delivered before it joined.

        A stream begins where the first session's snapshot ended. Another session, whose snapshot
        was taken a moment earlier, would miss what lies between: it is read for that session
        alone. Moves `floors` along. Nothing is sent of what happened after its employee was
        removed.
        """
        hub = self._delivery.hub
        missing = [
            (conversation_id, floors[conversation_id])
            for conversation_id, position in self._delivery.streams.ahead(floors).items()
            if not session.holds(
                topics.conversation(conversation_id), floors[conversation_id] + 1, position
            )
        ]
        if not missing:
            return
        async with self._services.connection() as conn:
            found = await changes.after(conn, missing, PAGE)
        for cid, changed in groupby(found, key=attrgetter("conversation_id")):
            topic = topics.conversation(cid)
            visible = [
                one
                for one in changed
                if not hub.is_hidden(topic, session, one.event.type, routing.of_event(one.event))
            ]
            floors[cid], removed = _send_all(session, visible, floor=floors[cid])
            if removed:
                self._leave(session, cid)
        for conversation_id, _ in missing:  # its counts are as old as its snapshot
            self._unread.changed([session.user_id], conversation_id)

    def hide(self, session: ListeningSession, conversation_id: int, hidden_to: int) -> None:
        """Send a held session nothing about messages up to this seq; 0 hides none."""
        topic = topics.conversation(conversation_id)
        self._delivery.hub.hide_messages(topic, {session: hidden_to})
        session.discard_held(topic, lambda event: 0 < event.routing.seq <= hidden_to)

    # --- leaving ---------------------------------------------------------------------------

    def _leave(self, session: ListeningSession, conversation_id: int) -> None:
        """Take a held session out; whether its employee is in again is read after the hello."""
        topic = topics.conversation(conversation_id)
        self._delivery.hub.leave(session, [topic])
        session.discard_held(topic, lambda _event: True)
        session.needs_reconcile = True

    # --- comparing -------------------------------------------------------------------------

    async def reconcile(self, employee_id: int, sessions: Sequence[ListeningSession]) -> None:
        """Join these sessions to the conversations of this employee, and to no others."""
        sessions = [session for session in sessions if not session.closed]
        if not sessions:  # gone meanwhile: ten thousand of them would be as many statements
            return
        most = self._max_topics
        joined = {session: _conversations(session) for session in sessions}
        async with self._services.connection() as conn:
            members = await conversation_queries.list_positions(conn, employee_id, most)
            wanted = {member.conversation_id for member in members}
            others = set().union(*joined.values()) - wanted
            if len(members) == most:  # of more than that only the newest are wanted
                others -= await compare.joined_among(conn, employee_id, others)
            removals = {
                conversation_id: await member_queries.participant_events(
                    conn, conversation_id, [employee_id]
                )
                for conversation_id in others
            }
        for session in sessions:
            surplus = max(0, len((joined[session] | wanted) - others) - most)
            gone = others | set(sorted(joined[session] - wanted - others)[:surplus])
            still = _conversations(session)  # what streams have ended since, they have sent too
            self._delivery.hub.leave(session, map(topics.conversation, gone & still))
            for conversation_id in others & still:
                for event in removals[conversation_id]:
                    session.send_event(event)
                self._unread.changed([employee_id], conversation_id)
            for conversation_id in wanted - joined[session]:
                await self.join_existing(session, conversation_id)

    async def rejoin(self, employee_id: int, sessions: Sequence[ListeningSession]) -> None:
        """Join somebody who was just removed from a conversation, if they are in it again."""
        with suppress(GatewayError):  # the next check does what cannot be done now
            await self.reconcile(employee_id, sessions)


def _conversations(session: ListeningSession) -> set[int]:
    return {
        conversation_id
        for topic in session.topics
        if (conversation_id := topics.conversation_of(topic)) is not None
    }


def _send_all(
    session: ListeningSession, missed: list[changes.Change], *, floor: int
) -> tuple[int, bool]:
    """Send these as events, without what was sent while its employee was not a participant.

    Return how far the session, which was at floor, is then, and whether they are removed after
    them.
    """
    visible, removed = visible_changes(missed, session.user_id)
    for change in visible:
        session.send_event(change.event)
    return max([floor, *(change.change for change in (visible if removed else missed))]), removed
