"""Messages to be sent later, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, Instant, frame
from gateway.protocol.messages import Text

MAX_SCHEDULED = 100

ScheduledState = Literal["waiting", "sent", "failed"]


@frame
class ScheduledMessage:
    """A message that is sent at a given time; only its author sees it before."""

    scheduled_id: Id
    conversation_id: Id
    client_key: UUID
    """The key that the message will have; a client recognises the sent message by it."""
    text: str
    send_at: datetime
    state: ScheduledState
    failed_code: str | None = None
    """Why it was not sent: an error code of message.send."""


@frame
class MessageScheduled:
    """Reply to message.schedule, reschedule and unschedule: the scheduled message."""

    scheduled: ScheduledMessage


@command(reply=MessageScheduled, cost="write", repeatable=True)
class MessageSchedule:
    """Client → server: send a message later, between a minute and a year from now."""

    type: Literal["message.schedule"] = "message.schedule"
    conversation_id: Id
    client_key: UUID
    """Chosen by the client; a second command with the same key schedules no second message."""
    text: Text
    send_at: Instant


@command(reply=MessageScheduled, cost="write", repeatable=True)
class MessageReschedule:
    """Client → server: change the time or text of a scheduled message, or retry a failed one."""

    type: Literal["message.reschedule"] = "message.reschedule"
    scheduled_id: Id
    send_at: Instant
    text: Text | None = None
    """null keeps the text."""


@command(reply=MessageScheduled, cost="write", repeatable=False)
class MessageUnschedule:
    """Client → server: cancel a scheduled message, or remove a failed one."""

    type: Literal["message.unschedule"] = "message.unschedule"
    scheduled_id: Id


@frame
class ScheduledPage:
    """Reply to message.scheduled_list: all that wait and the newest that failed, at most 200."""

    scheduled: list[ScheduledMessage]


@command(reply=ScheduledPage, cost="read")
class MessageScheduledList:
    """Client → server: list waiting and failed scheduled messages, the next one first."""

    type: Literal["message.scheduled_list"] = "message.scheduled_list"
    conversation_id: Id | None = None
    """Only those of this conversation."""


@event(lane="message")
class MessageScheduleChanged:
    """Server → the employee's devices: a scheduled message has changed."""

    type: Literal["message.schedule_changed"] = "message.schedule_changed"
    scheduled: ScheduledMessage
    gone: bool
    """True: it was sent or cancelled, and is no longer listed."""


@event(lane="message")
class MessageScheduleFailed:
    """Server → the employee's devices: a scheduled message could not be sent."""

    type: Literal["message.schedule_failed"] = "message.schedule_failed"
    scheduled: ScheduledMessage
