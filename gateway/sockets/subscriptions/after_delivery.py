"""What a node does after it delivered an event: unread counts to read, topics to join or to leave.

hub ─▶ AfterDelivery ─▶ UnreadPush, Memberships.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from gateway import topics
from gateway.batch_loader import Spawn
from gateway.bus import Announcement
from gateway.chat.queries import members
from gateway.context import Services
from gateway.delivery.delivery import Delivery
from gateway.sockets.subscriptions.listening_session import ListeningSession
from gateway.sockets.subscriptions.memberships import Memberships
from gateway.sockets.watch.unread import UnreadPush

PARTICIPANT_CHANGED = "participant.changed"
"""On an employee's own topic: they were removed from a conversation."""

Listeners = Collection[ListeningSession]


class AfterDelivery:
    """The consequences of one node's deliveries."""

    def __init__(
        self,
        services: Services,
        delivery: Delivery,
        *,
        unread: UnreadPush,
        memberships: Memberships,
        spawn: Spawn,
    ) -> None:
        self._services = services
        self._delivery = delivery
        self._unread = unread
        self._memberships = memberships
        self._spawn = spawn

    def register(self) -> None:
        """Register the handlers."""
        after = self._delivery.hub.on_delivered
        for event_type in ("message.created", "message.updated", "message.deleted"):
            after(event_type, self._message_delivered)
        after("message.created", self._system_message_delivered)
        after("receipt.read", self._receipt_delivered)
        after("conversation.created", self._conversation_delivered)
        after("conversation.mine_changed", self._mine_delivered)
        after(PARTICIPANT_CHANGED, self._participant_delivered)
        after("conversation.updated", self._update_delivered)
        self._delivery.handle_event(topics.USER, PARTICIPANT_CHANGED, self.deliver_removal)
        self._delivery.streams.on_healed = self._tell_unannounced_removal

    def _message_delivered(self, announcement: Announcement, listeners: Listeners) -> None:
        conversation_id = topics.conversation_of(announcement.topic)
        assert conversation_id is not None
        self._unread.changed({listener.user_id for listener in listeners}, conversation_id)

    def _system_message_delivered(self, announcement: Announcement, listeners: Listeners) -> None:
        """Unsubscribe those whom a system message names as removed.

        If they rejoined meanwhile, the database holds only the rejoin, and no other event reports
        the removal; they must not get messages sent between.
        """
        if listeners:
            for employee_id in announcement.routing.removed_ids:
                self._remove(announcement.topic, employee_id, listeners)

    def _receipt_delivered(self, announcement: Announcement, _listeners: Listeners) -> None:
        routing = announcement.routing
        self._unread.changed([routing.employee_id], routing.conversation_id)

    def _conversation_delivered(self, announcement: Announcement, listeners: Listeners) -> None:
        routing = announcement.routing
        conversation_id = routing.conversation_id
        for session in list(listeners):
            if topics.conversation(conversation_id) in session.topics:
                continue
            if not session.live:  # its hello looks for such conversations itself
                session.needs_reconcile = True
                continue
            self._spawn(
                self._memberships.join_added(session, conversation_id, routing.change),
                name="session.join_added",
            )

    def _mine_delivered(self, announcement: Announcement, _listeners: Listeners) -> None:
        employee_id = topics.user_of(announcement.topic)
        assert employee_id is not None
        self._unread.changed([employee_id], announcement.routing.conversation_id)

    def _update_delivered(self, announcement: Announcement, listeners: Listeners) -> None:
        """Read which messages are hidden from whom, when that may have changed."""
        if listeners and (
            announcement.routing.joined_history
            or self._delivery.hub.hides_messages(announcement.topic)
        ):
            self._spawn(self._hide(announcement.topic), name="session.hide")

    async def _hide(self, topic: str) -> None:
        conversation_id = topics.conversation_of(topic)
        assert conversation_id is not None
        hub = self._delivery.hub
        people = {listener.user_id for listener in hub.listeners(topic)}
        async with self._services.connection() as conn:
            found = await members.hidden_to(conn, conversation_id, people)
        hub.hide_messages(topic, {one: found.get(one.user_id, 0) for one in hub.listeners(topic)})

    def deliver_removal(self, announcement: Announcement) -> None:
        """Tell of a removal those sessions of the employee that do not listen to the conversation.

        Sessions that listen to it receive it there, in order, after what was sent before.
        """
        employee_id = topics.user_of(announcement.topic)
        assert employee_id is not None
        conversation_id = announcement.routing.conversation_id
        self._delivery.hub.deliver(announcement, except_in=topics.conversation(conversation_id))
        self._unread.changed([employee_id], conversation_id)

    def _tell_unannounced_removal(self, announcement: Announcement) -> None:
        """Tell somebody that they are removed, whom the system message before it has unsubscribed.

        Whoever announces a removal does so on the employee's own topic, too; here nobody did.
        """
        employee_id = announcement.routing.employee_id
        if announcement.type == PARTICIPANT_CHANGED and employee_id:
            self.deliver_removal(replace(announcement, topic=topics.user(employee_id)))

    def _participant_delivered(self, announcement: Announcement, listeners: Listeners) -> None:
        """Remove from the topic those who have left; they may have rejoined since."""
        routing = announcement.routing
        if not routing.employee_id or topics.user_of(announcement.topic) is not None:
            return
        self._remove(announcement.topic, routing.employee_id, listeners)
        self._unread.changed([routing.employee_id], routing.conversation_id)

    def _remove(self, topic: str, employee_id: int, listeners: Listeners) -> None:
        leaving = [session for session in listeners if session.user_id == employee_id]
        for session in leaving:
            self._delivery.hub.leave(session, [topic])
            session.needs_reconcile = True  # for one whose hello is not through yet
        if live := [session for session in leaving if session.live]:
            self._spawn(self._memberships.rejoin(employee_id, live), name="session.rejoin")
