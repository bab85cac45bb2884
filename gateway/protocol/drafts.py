"""Drafts on the wire: what I have begun to write, on all my devices."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, PlainText, Position, frame
from gateway.protocol.messages import Text

MAX_DRAFTS = 50


@frame
class Draft:
    """What I have begun to write in one conversation; nobody else sees it."""

    conversation_id: Id
    text: str
    """Empty when there is no draft any more."""
    reply_to_seq: Id | None = None
    """The message it answers."""
    updated_at: datetime
    version: Position
    """Whoever holds a higher version ignores a lower one."""


@frame
class DraftIs:
    """Reply to draft.set and draft.clear: the draft as it now is."""

    draft: Draft


@command(reply=DraftIs, cost="write", repeatable=True)
class DraftSet:
    """Client → server: this is my draft here now; send it when typing pauses, not every key."""

    type: Literal["draft.set"] = "draft.set"
    conversation_id: Id
    text: Text
    reply_to_seq: Id | None = None


@command(reply=DraftIs, cost="write", repeatable=True)
class DraftClear:
    """Client → server: I have no draft here any more."""

    type: Literal["draft.clear"] = "draft.clear"
    conversation_id: Id


@event(lane="receipt")
class DraftChanged:
    """Server → my devices: my draft in a conversation is now so."""

    type: Literal["draft.changed"] = "draft.changed"
    draft: Draft


@frame
class DraftPage:
    """One page of drafts."""

    drafts: list[Draft]
    next: str | None = None
    """Cursor of the next page; null when this is the last."""


@command(reply=DraftPage, cost="read")
class DraftList:
    """Client → server: my drafts, the newest first."""

    type: Literal["draft.list"] = "draft.list"
    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_DRAFTS)] = MAX_DRAFTS
    cursor: Annotated[PlainText, Field(max_length=200)] | None = None
    """The `next` of the page before."""
