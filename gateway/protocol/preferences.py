"""What is only mine of a conversation on the wire: archived, pinned, muted, notifications."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime

from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, Position, frame
from gateway.protocol.search import FIRST_MOMENT

MAX_PINNED = 20

Notify = Literal["all", "mentions", "none"]

LAST_MUTED = datetime(9999, 1, 1, tzinfo=UTC)


def _of_our_times(value: datetime) -> datetime:
    if not FIRST_MOMENT <= value < LAST_MUTED:
        raise ValueError("must lie between 1970 and 9999")
    return value


MutedMoment = Annotated[AwareDatetime, AfterValidator(_of_our_times)]
"""Until when; year 2999 is for ever."""


@frame
class Mine:
    """What one participant has set for a conversation; nobody else sees it."""

    archived: bool = False
    """Until the next message: a new one brings it back without anybody's doing."""
    pinned_at: datetime | None = None
    """Set while it is pinned; show pinned ones first, the latest pinned on top."""
    muted_until: datetime | None = None
    """Muted while this lies in the future."""
    notify: Notify = "all"
    """What to be notified of on a device that is not looking."""
    manual_unread: bool = False
    """Marked unread by hand; a window that is merely open must not undo it."""
    version: Position = 0
    """Whoever holds a higher version ignores a lower one."""


@frame
class MineIs:
    """Reply to archive, pin, mute, notify and their opposites: how it now is for me."""

    conversation_id: Id
    mine: Mine


@command(reply=MineIs, cost="write", repeatable=True)
class ConversationArchive:
    """Client → server: put it out of my list until the next message."""

    type: Literal["conversation.archive"] = "conversation.archive"
    conversation_id: Id


@command(reply=MineIs, cost="write", repeatable=True)
class ConversationUnarchive:
    """Client → server: bring it back into my list."""

    type: Literal["conversation.unarchive"] = "conversation.unarchive"
    conversation_id: Id


@command(reply=MineIs, cost="write", repeatable=True)
class ConversationPin:
    """Client → server: keep it on top of my list; at most 20 can be."""

    type: Literal["conversation.pin"] = "conversation.pin"
    conversation_id: Id


@command(reply=MineIs, cost="write", repeatable=True)
class ConversationUnpin:
    """Client → server: no longer keep it on top."""

    type: Literal["conversation.unpin"] = "conversation.unpin"
    conversation_id: Id


@command(reply=MineIs, cost="write", repeatable=True)
class ConversationMute:
    """Client → server: leave its messages out of my badge until then; without a time, no more."""

    type: Literal["conversation.mute"] = "conversation.mute"
    conversation_id: Id
    until: MutedMoment | None = None


@command(reply=MineIs, cost="write", repeatable=True)
class ConversationNotify:
    """Client → server: what to notify me of when I am not looking."""

    type: Literal["conversation.notify"] = "conversation.notify"
    conversation_id: Id
    level: Notify


@event(lane="receipt")
class ConversationMineChanged:
    """Server → my devices: what only I see of this conversation is now so."""

    type: Literal["conversation.mine_changed"] = "conversation.mine_changed"
    conversation_id: Id
    mine: Mine
