"""Conversations, participants and unread counts on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from gateway.protocol.frame import Id, PlainText, Position, frame
from gateway.protocol.messages import Message
from gateway.protocol.people import Employee, Presence

MAX_CONVERSATIONS = 50
MAX_PARTICIPANTS = 1_000
UNREAD_CAP = 100

Kind = Literal["direct", "group", "client"]
Role = Literal["owner", "admin", "member"]


@frame
class Unread:
    """How much of one conversation I have not read; computed by the server, never added up."""

    conversation_id: Id
    unread: int
    """Messages of others after my read position; counted up to 100."""
    mentions: int
    """Those of them that mention me; counted up to 100."""
    last_read_seq: Position
    version: Position
    """Whoever holds a higher version ignores a lower one."""


@frame
class UnreadTotal:
    """What the application's badge shows."""

    messages: int
    conversations: int
    """How many conversations have unread messages."""
    mentions: int


@frame
class Participant:
    """One employee in a conversation."""

    employee: Employee
    role: Role
    last_read_seq: Position


@frame
class Conversation:
    """A conversation as one participant sees it."""

    id: Id
    kind: Kind
    title: str | None = None
    """A group's title; null for direct conversations: show the other participant's name."""
    participants: list[Participant]
    """At most the first 20; participant_count says how many there are."""
    participant_count: int
    last_seq: Position
    last_change: Position
    """Where to resume from once everything in this answer has been taken in."""
    last_message: Message | None = None
    last_message_at: datetime
    unread: Unread
    presences: list[Presence] = Field(default_factory=list)
    """How reachable the listed participants are; filled in lists and in the welcome."""


@frame
class ConversationOpen:
    """Client → server: the direct conversation with this person, made when there is none."""

    type: Literal["conversation.open"] = "conversation.open"
    employee_id: Id


@frame
class ConversationCreate:
    """Client → server: make a group of these people and me."""

    type: Literal["conversation.create"] = "conversation.create"
    title: Annotated[PlainText, Field(min_length=1, max_length=200)]
    employee_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_PARTICIPANTS - 1)]


@frame
class ConversationOpened:
    """Reply to conversation.open and conversation.create."""

    conversation: Conversation
    created: bool


@frame
class ConversationList:
    """Client → server: my conversations, newest first."""

    type: Literal["conversation.list"] = "conversation.list"
    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_CONVERSATIONS)] = MAX_CONVERSATIONS
    cursor: Annotated[PlainText, Field(max_length=200)] | None = None
    """The `next` of the page before."""


@frame
class ConversationPage:
    """One page of conversations."""

    conversations: list[Conversation]
    next: str | None = None
    """Cursor of the next page; null when this is the last."""


@frame
class ConversationCreated:
    """Server → participants: you are in a new conversation."""

    type: Literal["conversation.created"] = "conversation.created"
    conversation_id: Id
    change: Position
    kind: Kind
    title: str | None = None
    participants: list[Participant]
    participant_count: int
    last_message_at: datetime


@frame
class UnreadGet:
    """Client → server: my unread counts."""

    type: Literal["unread.get"] = "unread.get"


@frame
class UnreadCounts:
    """Reply to unread.get: conversations with something unread, at most 1,000, and the total."""

    total: UnreadTotal
    conversations: list[Unread]


@frame
class UnreadChanged:
    """Server → one employee's devices: these counts are now so."""

    type: Literal["unread.changed"] = "unread.changed"
    total: UnreadTotal
    conversations: list[Unread]


@frame
class ReceiptRead:
    """Client → server: I have read this conversation up to seq. Moves forward only."""

    type: Literal["receipt.read"] = "receipt.read"
    conversation_id: Id
    seq: Position


@frame
class ReceiptReadDone:
    """Reply to receipt.read: where my read position now is."""

    conversation_id: Id
    last_read_seq: Position


@frame
class ReceiptWasRead:
    """Server → participants: this person has read up to seq."""

    type: Literal["receipt.read"] = "receipt.read"
    conversation_id: Id
    employee_id: Id
    seq: Position
