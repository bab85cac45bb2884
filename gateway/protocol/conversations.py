"""Conversations, participants and unread counts on the wire."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, Line, PlainText, Position, frame
from gateway.protocol.messages import Message
from gateway.protocol.people import Employee, Presence
from gateway.protocol.preferences import Mine

MAX_CONVERSATIONS = 50
MAX_PARTICIPANTS = 1_000
MAX_LISTED = 100
"""Participants in one page."""
UNREAD_CAP = 100

Kind = Literal["direct", "group", "client"]
Role = Literal["owner", "admin", "member"]
History = Literal["all", "joined"]

Title = Annotated[Line, Field(min_length=1, max_length=200)]


@frame
class Unread:
    """How much of one conversation is unread; the server counts it, clients never add to it."""

    conversation_id: Id
    unread: int
    """Messages of others after the employee's read position; counted up to 100."""
    mentions: int
    """How many of these mention the employee; counted up to 100."""
    last_read_seq: Position
    version: Position
    """Rises with each change; ignore a version below the one already received."""
    muted_until: datetime | None = None
    """Until then the total leaves out its messages, but not its mentions."""
    archived: bool = False
    """While it is archived, the total leaves it out."""


@frame
class UnreadTotal:
    """The unread counts of all conversations together, for the badge of the application."""

    messages: int
    """Unread messages in conversations that are neither muted nor archived."""
    conversations: int
    """How many such conversations have unread messages."""
    mentions: int
    """Unread messages that mention the employee, also in muted conversations, not in archived."""


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
    """The title of a group; null for a direct conversation, which shows the other person's name."""
    avatar_url: str | None = None
    closed_at: datetime | None = None
    """Set while the conversation is closed: it can be read, but accepts no messages."""
    history: History = "all"
    """What participants who joined later may read: all messages, or those since they joined."""
    participants: list[Participant]
    """At most the first 20; participant_count says how many there are."""
    participant_count: int
    last_seq: Position
    last_change: Position
    """The change to resume from after processing this answer."""
    last_message: Message | None = None
    last_message_at: datetime
    unread: Unread
    mine: Mine = field(default_factory=Mine)
    """Settings that only this employee sees: archived, pinned, muted and others."""
    presences: list[Presence] = field(default_factory=list)
    """Presence of the listed participants; filled in lists and in the welcome."""


@frame
class ConversationOpened:
    """Reply to conversation.open and conversation.create."""

    conversation: Conversation
    created: bool


@command(reply=ConversationOpened, cost="write", repeatable=True)
class ConversationOpen:
    """Client → server: get, or create, the direct conversation with an employee."""

    type: Literal["conversation.open"] = "conversation.open"
    employee_id: Id


@command(reply=ConversationOpened, cost="write", repeatable=False)
class ConversationCreate:
    """Client → server: create a group with these employees; the creator is its owner."""

    type: Literal["conversation.create"] = "conversation.create"
    title: Title
    employee_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_PARTICIPANTS - 1)]


@frame
class ConversationPage:
    """One page of conversations."""

    conversations: list[Conversation]
    next: str | None = None
    """Cursor of the next page; null on the last page."""


@command(reply=ConversationPage, cost="read")
class ConversationList:
    """Client → server: list the employee's conversations, most recently active first."""

    type: Literal["conversation.list"] = "conversation.list"
    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_CONVERSATIONS)] = MAX_CONVERSATIONS
    cursor: Annotated[PlainText, Field(max_length=200)] | None = None
    """The `next` of the previous page."""
    archived: Annotated[bool, Field(strict=True)] = False
    """True: only archived ones; false: only those that are not archived."""


@frame
class ConversationIs:
    """Reply to conversation.get and to commands that change a conversation: its current state."""

    conversation: Conversation


@command(reply=ConversationIs, cost="read")
class ConversationGet:
    """Client → server: get one conversation, as conversation.list returns it."""

    type: Literal["conversation.get"] = "conversation.get"
    conversation_id: Id


@frame
class ParticipantPage:
    """One page of participants."""

    participants: list[Participant]
    presences: list[Presence]
    """Presence of these participants."""
    participant_count: int
    """In the whole conversation."""
    next: Id | None = None
    """Pass it as `after` for the next page; null on the last page."""


@command(reply=ParticipantPage, cost="read")
class ConversationParticipants:
    """Client → server: list the participants, by their ids."""

    type: Literal["conversation.participants"] = "conversation.participants"
    conversation_id: Id
    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_LISTED)] = MAX_LISTED
    after: Id | None = None
    """The `next` of the previous page: the id of an employee."""


@event(lane="message")
class ConversationCreated:
    """Server → participants: a conversation that the employee is in since now: new, or joined."""

    type: Literal["conversation.created"] = "conversation.created"
    conversation_id: Id
    change: Position
    """The current change; later ones follow as events. 1 for a new conversation."""
    kind: Kind
    title: str | None = None
    avatar_url: str | None = None
    closed_at: datetime | None = None
    history: History = "all"
    participants: list[Participant]
    participant_count: int
    last_message_at: datetime


@event(lane="message")
class ParticipantChanged:
    """Server → participants: someone joined, left, was removed, or has another role."""

    type: Literal["participant.changed"] = "participant.changed"
    conversation_id: Id
    change: Position
    participant: Participant
    left: bool
    """True: no longer in the conversation; that employee receives no later events of it."""


@event(lane="message")
class ConversationUpdated:
    """Server → participants: title, picture, closing or history have changed; all are included."""

    type: Literal["conversation.updated"] = "conversation.updated"
    conversation_id: Id
    change: Position
    title: str | None = None
    avatar_url: str | None = None
    closed_at: datetime | None = None
    history: History = "all"


@frame
class UnreadCounts:
    """Reply to unread.get: conversations with unread messages, at most 1,000, and the total."""

    total: UnreadTotal
    conversations: list[Unread]


@command(reply=UnreadCounts, cost="read")
class UnreadGet:
    """Client → server: get the unread counts."""

    type: Literal["unread.get"] = "unread.get"


@event(lane="receipt")
class UnreadChanged:
    """Server → the employee's devices: unread counts have changed."""

    type: Literal["unread.changed"] = "unread.changed"
    total: UnreadTotal
    conversations: list[Unread]
