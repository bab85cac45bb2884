"""Search for messages and employees, on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.protocol.declaration import command
from gateway.protocol.frame import Flag, Id, Instant, PlainText, frame
from gateway.protocol.messages import Message
from gateway.protocol.people import Employee, Presence

MAX_FOUND = 50
MAX_EMPLOYEES = 100
MAX_SEARCH_TEXT = 200

FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime(2200, 1, 1, tzinfo=UTC)


def _check_moment(value: datetime) -> datetime:
    if not FIRST_MOMENT <= value < LAST_MOMENT:
        raise ValueError("must lie between 1970 and 2200")
    return value


Moment = Annotated[Instant, AfterValidator(_check_moment)]
SearchText = Annotated[PlainText, Field(min_length=1, max_length=MAX_SEARCH_TEXT)]
FoundLimit = Annotated[int, Field(strict=True, ge=1, le=MAX_FOUND)]
FoundCursor = Annotated[PlainText, Field(max_length=1_000)]


@frame
class MessagesFound:
    """Reply to message.search."""

    messages: list[FoundMessage]
    next: str | None = None
    """Cursor of the next page; null on the last page."""


@command(reply=MessagesFound, cost="read")
class MessageSearch:
    """Client → server: search one's conversations for messages with all words, newest first."""

    type: Literal["message.search"] = "message.search"
    text: SearchText
    """Words in any order. Three letters of the last word are enough, unless a space follows it."""
    conversation_id: Id | None = None
    """Only in this conversation."""
    sender_id: Id | None = None
    """Only messages of this employee."""
    since: Moment | None = None
    """Only messages of this time or later."""
    until: Moment | None = None
    """Only messages before this time."""
    has_attachment: Flag = False
    """Only messages with a file."""
    limit: FoundLimit = 20
    cursor: FoundCursor | None = None
    """The `next` of the previous page."""


@frame
class Span:
    """A part of a text: from `start` up to, not including, `end`, in Unicode code points."""

    start: int
    end: int


@frame
class FoundMessage:
    """A message, and where the words are in it."""

    message: Message
    snippet: str
    """The text around the first match. Plain text, not markup: escape it."""
    matches: list[Span]
    """The parts of the snippet to highlight."""


@frame
class EmployeesFound:
    """Reply to employee.search: names that begin with the text first, then by name."""

    employees: list[Employee]
    presences: list[Presence]
    """Presence of these employees."""
    next: str | None = None
    """Cursor of the next page; null on the last page."""


@command(reply=EmployeesFound, cost="read")
class EmployeeSearch:
    """Client → server: search active employees by words in name, position or department."""

    type: Literal["employee.search"] = "employee.search"
    text: Annotated[PlainText, Field(max_length=MAX_SEARCH_TEXT)] = ""
    """Parts of words are enough; an empty text finds everybody."""
    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_EMPLOYEES)] = 20
    cursor: FoundCursor | None = None
    """The `next` of the previous page."""
