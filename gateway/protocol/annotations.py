"""What people add to calls, on the wire: dispositions and notes."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from gateway.protocol.calls import CallDisposition, Direction, DispositionCode
from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, PlainText, Position, frame

MAX_NOTES = 100
MAX_NOTE = 4_000
MAX_DISPOSITIONS = 100

NoteText = Annotated[PlainText, Field(min_length=1, max_length=MAX_NOTE)]


@frame
class Disposition:
    """One of the operator's words for how a call went."""

    code: str
    label: str
    direction: Direction | None
    """Calls that it is for; null: any."""
    active: bool
    """False: it stays where it is, and can no longer be chosen."""


@frame
class DispositionPage:
    """The catalogue, in the operator's order."""

    dispositions: list[Disposition]
    next: str | None = None


@frame
class CallNote:
    """A note that somebody wrote to a call."""

    note_id: Id
    author_id: Id
    text: str
    """Empty when it was deleted."""
    created_at: datetime
    edited_at: datetime | None = None
    deleted_at: datetime | None = None


@frame
class CallAnnotations:
    """What people added to a call."""

    call_id: UUID
    """Of the call as it now is: a merged one leads here."""
    version: Position
    """Rises with every change of the disposition or a note: keep the highest."""
    disposition: CallDisposition | None = None
    notes: list[CallNote] = field(default_factory=list)
    """In the order in which they were written, at most 100."""


@frame
class CallDispositionIs:
    """Reply to call.disposition_set."""

    call_id: UUID
    version: Position
    disposition: CallDisposition | None


@command(reply=CallDispositionIs, cost="write", repeatable=True)
class CallDispositionSet:
    """Client → server: this is how the call went; the last one to be set counts."""

    type: Literal["call.disposition_set"] = "call.disposition_set"
    call_id: UUID
    disposition: DispositionCode | None = None
    """Null takes it away: no call needs one."""


@frame
class CallNoteIs:
    """Reply to call.note_add, note_edit and note_delete: the note as it now is."""

    call_id: UUID
    version: Position
    note: CallNote


@command(reply=CallNoteIs, cost="write", repeatable=True)
class CallNoteAdd:
    """Client → server: write a note to a call I took part in."""

    type: Literal["call.note_add"] = "call.note_add"
    call_id: UUID
    client_key: UUID
    """Chosen by the client; adding twice with one key stores one note."""
    text: NoteText


@command(reply=CallNoteIs, cost="write", repeatable=True)
class CallNoteEdit:
    """Client → server: give a note of mine another text."""

    type: Literal["call.note_edit"] = "call.note_edit"
    call_id: UUID
    note_id: Id
    text: NoteText


@command(reply=CallNoteIs, cost="write", repeatable=True)
class CallNoteDelete:
    """Client → server: take a note of mine away; doing it again changes nothing."""

    type: Literal["call.note_delete"] = "call.note_delete"
    call_id: UUID
    note_id: Id


@event(lane="message")
class CallAnnotated:
    """Server → the call's agents, and whoever did it: a disposition or a note has changed."""

    type: Literal["call.annotated"] = "call.annotated"
    call_id: UUID
    version: Position
    """If it is more than one above the version you hold, read the call afresh."""
    disposition: CallDisposition | None
    """As it now is, whatever changed."""
    note: CallNote | None = None
    """The note that was added, edited or deleted; null when it was the disposition."""
