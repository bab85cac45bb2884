"""Dispositions and notes of calls, on the wire."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from gateway.protocol.calls import CallDisposition, Direction, DispositionCode
from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, Position, ShownText, frame

MAX_NOTES = 100
MAX_NOTE = 4_000
MAX_DISPOSITIONS = 100

NoteText = Annotated[ShownText, Field(min_length=1, max_length=MAX_NOTE)]


@frame
class Disposition:
    """One entry of the operator's list of call results."""

    code: str
    label: str
    direction: Direction | None
    """The direction of calls that it may be set on; null: any."""
    active: bool
    """False: it stays on calls that have it, and can no longer be set."""


@frame
class DispositionPage:
    """The operator's dispositions, in the operator's order."""

    dispositions: list[Disposition]
    next: str | None = None


@frame
class CallNote:
    """A note that an employee wrote to a call."""

    note_id: Id
    author_id: Id
    text: str
    """Empty when the note was deleted."""
    created_at: datetime
    edited_at: datetime | None = None
    deleted_at: datetime | None = None


@frame
class CallAnnotations:
    """The disposition and the notes of a call."""

    call_id: UUID
    """The call; for a merged call, the one it was merged into."""
    version: Position
    """Rises with every change of the disposition or a note; keep the highest."""
    disposition: CallDisposition | None = None
    notes: list[CallNote] = field(default_factory=list)
    """Oldest first, at most 100."""


@frame
class CallDispositionIs:
    """Reply to call.disposition_set."""

    call_id: UUID
    version: Position
    disposition: CallDisposition | None


@command(reply=CallDispositionIs, cost="write", repeatable=True)
class CallDispositionSet:
    """Client → server: set the disposition of a call; the one set last counts."""

    type: Literal["call.disposition_set"] = "call.disposition_set"
    call_id: UUID
    disposition: DispositionCode | None = None
    """null removes it; no call has to have one."""


@frame
class CallNoteIs:
    """Reply to call.note_add, call.note_edit and call.note_delete: the note after the change."""

    call_id: UUID
    version: Position
    note: CallNote


@command(reply=CallNoteIs, cost="write", repeatable=True)
class CallNoteAdd:
    """Client → server: add a note to a call that the employee may see."""

    type: Literal["call.note_add"] = "call.note_add"
    call_id: UUID
    client_key: UUID
    """Chosen by the client; a second command with the same key adds no second note."""
    text: NoteText


@command(reply=CallNoteIs, cost="write", repeatable=True)
class CallNoteEdit:
    """Client → server: change the text of one of the employee's own notes."""

    type: Literal["call.note_edit"] = "call.note_edit"
    call_id: UUID
    note_id: Id
    text: NoteText


@command(reply=CallNoteIs, cost="write", repeatable=True)
class CallNoteDelete:
    """Client → server: delete one of the employee's own notes; repeating it changes nothing."""

    type: Literal["call.note_delete"] = "call.note_delete"
    call_id: UUID
    note_id: Id


@event(lane="message")
class CallAnnotated:
    """Server → the call's agents and the author: a disposition or a note has changed."""

    type: Literal["call.annotated"] = "call.annotated"
    call_id: UUID
    version: Position
    """When it is more than one above the version that the client has, read the call again."""
    disposition: CallDisposition | None
    """The current one, also when a note has changed."""
    note: CallNote | None = None
    """The note that was added, edited or deleted; null when the disposition has changed."""
