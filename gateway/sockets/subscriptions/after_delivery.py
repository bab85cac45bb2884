"""What a node does after it delivered an event: counts to read anew, topics to join or to leave.

hub ─▶ Follows ─▶ UnreadPush, welcome, Upkeep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from gateway import topics
from gateway.bus import Announcement
from gateway.chat.queries import members
from gateway.sockets.subscriptions import joining
from gateway.sockets.subscriptions.visibility import removed_employees

if TYPE_CHECKING:
    from gateway.sockets.node import Node

REMOVED = "participant.changed"
"""On someone's own topic: they were taken out of a conversation."""
SYSTEM = b'"kind":"system"'


class AfterDelivery:
    """The consequences of one node's deliveries."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def register(self) -> None:
        """Have the hub call these."""
        after = self._node.hub.on_delivered
        for happened in ("message.created", "message.updated", "message.deleted"):
            after(happened, self._message_delivered)
        after("receipt.read", self._receipt_delivered)
        after("conversation.created", self._conversation_delivered)
        after("conversation.mine_changed", self._mine_delivered)
        after("participant.changed", self._participant_delivered)
        after("conversation.updated", self._update_delivered)

    def _message_delivered(self, announcement: Announcement, listeners: Any) -> None:
        conversation_id = topics.conversation_of(announcement.topic)
        assert conversation_id is not None
        self._node.unread.changed({listener.user_id for listener in listeners}, conversation_id)
        if listeners and SYSTEM in announcement.payload:
            self._system_message_delivered(announcement, listeners)

    def _system_message_delivered(self, announcement: Announcement, listeners: Any) -> None:
        """Let who has left hear nothing more, though nothing else may tell of it.

        Of somebody who was let in again since, the database has only that; what was said while they
        were out is not for them, and may come next, when both are read from there.
        """
        message = orjson.loads(announcement.payload)["message"]
        for employee_id in removed_employees(message["kind"], message["attrs"]):
            self._remove_employee(announcement.topic, employee_id, listeners)

    def _receipt_delivered(self, announcement: Announcement, _listeners: Any) -> None:
        event = orjson.loads(announcement.payload)
        self._node.unread.changed([event["employee_id"]], event["conversation_id"])

    def _conversation_delivered(self, announcement: Announcement, listeners: Any) -> None:
        event = orjson.loads(announcement.payload)
        conversation_id, change = event["conversation_id"], event["change"]
        for session in list(listeners):
            if topics.conversation(conversation_id) in session.topics:
                continue
            if not session.live:  # its hello looks for such conversations itself
                session.missed_joins = True
                continue
            self._node.spawn(
                joining.join_added(self._node, session, conversation_id, change),
                name="session.join_late",
            )

    def _mine_delivered(self, announcement: Announcement, _listeners: Any) -> None:
        employee_id = topics.user_of(announcement.topic)
        assert employee_id is not None
        event = orjson.loads(announcement.payload)
        self._node.unread.changed([employee_id], event["conversation_id"])

    def _update_delivered(self, announcement: Announcement, listeners: Any) -> None:
        """Look who may hear of which messages, when that may have become another one."""
        joined = orjson.loads(announcement.payload)["history"] == "joined"
        if listeners and (joined or self._node.hub.hides_messages(announcement.topic)):
            self._node.spawn(self._hide(announcement.topic), name="session.hide")

    async def _hide(self, topic: str) -> None:
        conversation_id = topics.conversation_of(topic)
        assert conversation_id is not None
        people = {listener.user_id for listener in self._node.hub.listeners(topic)}
        async with self._node.services.connection() as conn:
            found = await members.hidden_to(conn, conversation_id, people)
        listeners = self._node.hub.listeners(topic)
        self._node.hub.hide_messages(topic, {one: found.get(one.user_id, 0) for one in listeners})

    def participant_removed(self, announcement: Announcement, employee_id: int) -> None:
        """Tell someone of having been taken out of a conversation of which they hear nothing.

        Devices that hear it are told there, in order, behind what was said before.
        """
        conversation_id = orjson.loads(announcement.payload)["conversation_id"]
        self._node.hub.deliver(announcement, but=topics.conversation(conversation_id))
        self._node.unread.changed([employee_id], conversation_id)

    def _participant_delivered(self, announcement: Announcement, listeners: Any) -> None:
        """Let who has left hear nothing more; they may have been let in again since."""
        event = orjson.loads(announcement.payload)
        if not event["left"] or topics.user_of(announcement.topic) is not None:
            return
        employee_id = event["participant"]["employee"]["id"]
        self._remove_employee(announcement.topic, employee_id, listeners)
        self._node.unread.changed([employee_id], event["conversation_id"])

    def _remove_employee(self, topic: str, employee_id: int, listeners: Any) -> None:
        leaving = [session for session in listeners if session.user_id == employee_id]
        for session in leaving:
            self._node.hub.leave(session, [topic])
            session.missed_joins = True  # for one whose hello is not through yet
        if live := [session for session in leaving if session.live]:
            self._node.spawn(
                self._node.reconciler.rejoin(employee_id, live), name="session.let_in_again"
            )
