"""Looking for messages and people on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from gateway.protocol.declaration import command
from gateway.protocol.frame import Id, PlainText, frame
from gateway.protocol.messages import Message
from gateway.protocol.people import Employee, Presence

MAX_FOUND = 50
MAX_EMPLOYEES = 100
MAX_SOUGHT = 200

FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime(2200, 1, 1, tzinfo=UTC)


def _of_our_times(value: datetime) -> datetime:
    if not FIRST_MOMENT <= value < LAST_MOMENT:
        raise ValueError("must lie between 1970 and 2200")
    return value


Moment = Annotated[AwareDatetime, AfterValidator(_of_our_times)]
Sought = Annotated[PlainText, Field(min_length=1, max_length=MAX_SOUGHT)]
FoundLimit = Annotated[int, Field(strict=True, ge=1, le=MAX_FOUND)]
FoundCursor = Annotated[PlainText, Field(max_length=1_000)]


@frame
class MessagesFound:
    """Reply to message.search."""

    messages: list[FoundMessage]
    next: str | None = None
    """Cursor of the next page; null when this is the last."""


@command(reply=MessagesFound, cost="read")
class MessageSearch:
    """Client → server: messages in my conversations that contain all these words, newest first."""

    type: Literal["message.search"] = "message.search"
    text: Sought
    """Words, in any order. Of the last one three letters are enough, unless a space follows."""
    conversation_id: Id | None = None
    """Only in this one."""
    sender_id: Id | None = None
    """Only theirs."""
    since: Moment | None = None
    """Only of this moment or later."""
    until: Moment | None = None
    """Only before this moment."""
    has_attachment: bool = False
    """Only with a file."""
    limit: FoundLimit = 20
    cursor: FoundCursor | None = None
    """The `next` of the page before."""


@frame
class Span:
    """A part of a text: from `start` up to, not including, `end`, in Unicode code points."""

    start: int
    end: int


@frame
class FoundMessage:
    """A message, and where in it the words are."""

    message: Message
    snippet: str
    """The part of the text round the first match, as plain text; not markup, to be escaped."""
    matches: list[Span]
    """What to highlight in the snippet."""


@frame
class EmployeesFound:
    """Reply to employee.search: those whose name begins so first, then by name."""

    employees: list[Employee]
    presences: list[Presence]
    """How reachable they are."""
    next: str | None = None
    """Cursor of the next page; null when this is the last."""


@command(reply=EmployeesFound, cost="read")
class EmployeeSearch:
    """Client → server: active colleagues whose name, position or department has all these words."""

    type: Literal["employee.search"] = "employee.search"
    text: Annotated[PlainText, Field(max_length=MAX_SOUGHT)] = ""
    """Parts of words are enough; without any text everybody is found."""
    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_EMPLOYEES)] = 20
    cursor: FoundCursor | None = None
    """The `next` of the page before."""
