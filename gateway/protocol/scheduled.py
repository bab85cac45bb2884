"""Messages to be sent later, on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime

from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, frame
from gateway.protocol.messages import Text

MAX_SCHEDULED = 100

ScheduledState = Literal["waiting", "sent", "failed"]


@frame
class ScheduledMessage:
    """A message of mine that is sent at a time; nobody else sees it before."""

    scheduled_id: Id
    conversation_id: Id
    client_key: UUID
    """The key that the message will have: how a client finds it among the sent ones."""
    text: str
    send_at: datetime
    state: ScheduledState
    failed_code: str | None = None
    """Why it was not sent: an error code that message.send could have answered with."""


@frame
class MessageScheduled:
    """Reply to message.schedule, reschedule and unschedule: the message as it is, or was."""

    scheduled: ScheduledMessage


@command(reply=MessageScheduled, cost="write", repeatable=True)
class MessageSchedule:
    """Client → server: send this later, at least a minute and at most a year from now."""

    type: Literal["message.schedule"] = "message.schedule"
    conversation_id: Id
    client_key: UUID
    """Chosen by the client; scheduling twice with one key schedules one message."""
    text: Text
    send_at: AwareDatetime


@command(reply=MessageScheduled, cost="write", repeatable=True)
class MessageReschedule:
    """Client → server: send it at another time, or with another text; a failed one once more."""

    type: Literal["message.reschedule"] = "message.reschedule"
    scheduled_id: Id
    send_at: AwareDatetime
    text: Text | None = None
    """Null leaves the text as it is."""


@command(reply=MessageScheduled, cost="write", repeatable=False)
class MessageUnschedule:
    """Client → server: do not send it; a failed one is forgotten."""

    type: Literal["message.unschedule"] = "message.unschedule"
    scheduled_id: Id


@frame
class ScheduledPage:
    """Reply to message.scheduled_list: all that wait, and the newest failed, at most 200."""

    scheduled: list[ScheduledMessage]


@command(reply=ScheduledPage, cost="read")
class MessageScheduledList:
    """Client → server: what I have scheduled and what could not be sent, the next one first."""

    type: Literal["message.scheduled_list"] = "message.scheduled_list"
    conversation_id: Id | None = None
    """Only for this one."""


@event(lane="message")
class MessageScheduleChanged:
    """Server → my devices: a scheduled message is now so."""

    type: Literal["message.schedule_changed"] = "message.schedule_changed"
    scheduled: ScheduledMessage
    gone: bool
    """True: it was sent or taken back, and is in no list any more."""


@event(lane="message")
class MessageScheduleFailed:
    """Server → my devices: a scheduled message could not be sent."""

    type: Literal["message.schedule_failed"] = "message.schedule_failed"
    scheduled: ScheduledMessage
