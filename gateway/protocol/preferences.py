"""Settings of a conversation for one employee: archived, pinned, muted, notifications."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator

from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, Instant, Position, frame
from gateway.protocol.search import FIRST_MOMENT

MAX_PINNED = 20

Notify = Literal["all", "mentions", "none"]

LAST_MUTED = datetime(9999, 1, 1, tzinfo=UTC)


def _check_muted_until(value: datetime) -> datetime:
    if not FIRST_MOMENT <= value < LAST_MUTED:
        raise ValueError("must lie between 1970 and 9999")
    return value


MutedMoment = Annotated[Instant, AfterValidator(_check_muted_until)]
"""Until when; the year 2999 stands for ever."""


@frame
class Mine:
    """The settings of one participant for a conversation; nobody else sees them."""

    archived: bool = False
    """It ends automatically with the next message."""
    pinned_at: datetime | None = None
    """Set while it is pinned; clients show pinned ones first, the last pinned on top."""
    muted_until: datetime | None = None
    """Muted while this lies in the future."""
    notify: Notify = "all"
    """What to notify the employee of when they are not looking."""
    manual_unread: bool = False
    """Marked unread by hand; receipt.read without `explicit` does not end it."""
    version: Position = 0
    """Rises with each change; ignore a version below the one already received."""


@frame
class MineIs:
    """Reply to archive, pin, mute, notify and their opposites: the settings after the change."""

    conversation_id: Id
    mine: Mine


@command(reply=MineIs, cost="write", repeatable=True)
class ConversationArchive:
    """Client → server: archive a conversation until the next message."""

    type: Literal["conversation.archive"] = "conversation.archive"
    conversation_id: Id


@command(reply=MineIs, cost="write", repeatable=True)
class ConversationUnarchive:
    """Client → server: end the archiving of a conversation."""

    type: Literal["conversation.unarchive"] = "conversation.unarchive"
    conversation_id: Id


@command(reply=MineIs, cost="write", repeatable=True)
class ConversationPin:
    """Client → server: pin a conversation to the top of the list; at most 20 can be pinned."""

    type: Literal["conversation.pin"] = "conversation.pin"
    conversation_id: Id


@command(reply=MineIs, cost="write", repeatable=True)
class ConversationUnpin:
    """Client → server: unpin a conversation."""

    type: Literal["conversation.unpin"] = "conversation.unpin"
    conversation_id: Id


@command(reply=MineIs, cost="write", repeatable=True)
class ConversationMute:
    """Client → server: leave its messages out of the total until a time; null ends it."""

    type: Literal["conversation.mute"] = "conversation.mute"
    conversation_id: Id
    until: MutedMoment | None = None


@command(reply=MineIs, cost="write", repeatable=True)
class ConversationNotify:
    """Client → server: choose what to notify the employee of when they are not looking."""

    type: Literal["conversation.notify"] = "conversation.notify"
    conversation_id: Id
    level: Notify


@event(lane="receipt")
class ConversationMineChanged:
    """Server → the employee's devices: their settings of a conversation have changed."""

    type: Literal["conversation.mine_changed"] = "conversation.mine_changed"
    conversation_id: Id
    mine: Mine
