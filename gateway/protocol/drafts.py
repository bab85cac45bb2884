"""Drafts on the wire: unsent texts of an employee, the same on all their devices."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, PlainText, Position, frame
from gateway.protocol.messages import MAX_TEXT

MAX_DRAFTS = 50

DraftText = Annotated[PlainText, Field(min_length=1, max_length=MAX_TEXT)]
"""May be spaces only: somebody is typing."""


@frame
class Draft:
    """An unsent text in one conversation; only its author sees it."""

    conversation_id: Id
    text: str
    """Empty when the draft was cleared."""
    reply_to_seq: Id | None = None
    """The message that it answers."""
    updated_at: datetime
    version: Position
    """Rises with each change; ignore a version below the one already received."""


@frame
class DraftIs:
    """Reply to draft.set and draft.clear: the draft after the change."""

    draft: Draft


@command(reply=DraftIs, cost="write", repeatable=True)
class DraftSet:
    """Client → server: store a draft; send it when typing pauses, not with every key."""

    type: Literal["draft.set"] = "draft.set"
    conversation_id: Id
    text: DraftText
    reply_to_seq: Id | None = None


@command(reply=DraftIs, cost="write", repeatable=True)
class DraftClear:
    """Client → server: clear the draft of a conversation."""

    type: Literal["draft.clear"] = "draft.clear"
    conversation_id: Id


@event(lane="receipt")
class DraftChanged:
    """Server → the employee's devices: a draft was stored or cleared."""

    type: Literal["draft.changed"] = "draft.changed"
    draft: Draft


@frame
class DraftPage:
    """One page of drafts."""

    drafts: list[Draft]
    next: str | None = None
    """Cursor of the next page; null on the last page."""


@command(reply=DraftPage, cost="read")
class DraftList:
    """Client → server: list the drafts, newest first."""

    type: Literal["draft.list"] = "draft.list"
    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_DRAFTS)] = MAX_DRAFTS
    cursor: Annotated[PlainText, Field(max_length=200)] | None = None
    """The `next` of the previous page."""
