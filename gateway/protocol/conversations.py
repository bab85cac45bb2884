"""Conversations, participants and unread counts on the wire."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, PlainText, Position, frame
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

Title = Annotated[PlainText, Field(min_length=1, max_length=200)]


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
    muted_until: datetime | None = None
    """Until then its messages are not in the total; its mentions are."""
    archived: bool = False
    """While it is archived nothing of it is in the total."""


@frame
class UnreadTotal:
    """What the application's badge shows."""

    messages: int
    """Unread ones of conversations that are neither muted nor archived."""
    conversations: int
    """How many such conversations have unread messages."""
    mentions: int
    """Those that mention me, in muted conversations too, but not in archived ones."""


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
    avatar_url: str | None = None
    closed_at: datetime | None = None
    """Set while it is closed: it can be read, but takes no messages."""
    history: History = "all"
    """What someone who joins later may read: all of it, or what came since they joined."""
    participants: list[Participant]
    """At most the first 20; participant_count says how many there are."""
    participant_count: int
    last_seq: Position
    last_change: Position
    """Where to resume from once everything in this answer has been taken in."""
    last_message: Message | None = None
    last_message_at: datetime
    unread: Unread
    mine: Mine = field(default_factory=Mine)
    """What only I see of it: archived, pinned, muted, and so on."""
    presences: list[Presence] = field(default_factory=list)
    """How reachable the listed participants are; filled in lists and in the welcome."""


@frame
class ConversationOpened:
    """Reply to conversation.open and conversation.create."""

    conversation: Conversation
    created: bool


@command(reply=ConversationOpened, cost="write", repeatable=True)
class ConversationOpen:
    """Client → server: the direct conversation with this person, made when there is none."""

    type: Literal["conversation.open"] = "conversation.open"
    employee_id: Id


@command(reply=ConversationOpened, cost="write", repeatable=False)
class ConversationCreate:
    """Client → server: make a group of these people and me."""

    type: Literal["conversation.create"] = "conversation.create"
    title: Title
    employee_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_PARTICIPANTS - 1)]


@frame
class ConversationPage:
    """One page of conversations."""

    conversations: list[Conversation]
    next: str | None = None
    """Cursor of the next page; null when this is the last."""


@command(reply=ConversationPage, cost="read")
class ConversationList:
    """Client → server: my conversations, newest first."""

    type: Literal["conversation.list"] = "conversation.list"
    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_CONVERSATIONS)] = MAX_CONVERSATIONS
    cursor: Annotated[PlainText, Field(max_length=200)] | None = None
    """The `next` of the page before."""
    archived: Annotated[bool, Field(strict=True)] = False
    """Those I have archived instead of those I have not."""


@frame
class ConversationIs:
    """Reply to commands that change a conversation: how it now is."""

    conversation: Conversation


@command(reply=ConversationIs, cost="read")
class ConversationGet:
    """Client → server: one conversation of mine, as a list shows it."""

    type: Literal["conversation.get"] = "conversation.get"
    conversation_id: Id


@frame
class ParticipantPage:
    """One page of participants."""

    participants: list[Participant]
    presences: list[Presence]
    """How reachable they are."""
    participant_count: int
    """Of the whole conversation."""
    next: Id | None = None
    """What to ask for the next page with; null when this is the last."""


@command(reply=ParticipantPage, cost="read")
class ConversationParticipants:
    """Client → server: everybody who is in it, in order of their numbers."""

    type: Literal["conversation.participants"] = "conversation.participants"
    conversation_id: Id
    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_LISTED)] = MAX_LISTED
    after: Id | None = None
    """The `next` of the page before: an employee."""


@event(lane="message")
class ConversationCreated:
    """Server → participants: you are in this conversation, new or joined."""

    type: Literal["conversation.created"] = "conversation.created"
    conversation_id: Id
    change: Position
    """Where it stands: what comes after it is heard live. 1 when it was just made."""
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
    """True: no longer in the conversation. Who it names hears nothing of it after this."""


@event(lane="message")
class ConversationUpdated:
    """Server → participants: the conversation's title, picture, closing and history are now so."""

    type: Literal["conversation.updated"] = "conversation.updated"
    conversation_id: Id
    change: Position
    title: str | None = None
    avatar_url: str | None = None
    closed_at: datetime | None = None
    history: History = "all"


@frame
class UnreadCounts:
    """Reply to unread.get: conversations with something unread, at most 1,000, and the total."""

    total: UnreadTotal
    conversations: list[Unread]


@command(reply=UnreadCounts, cost="read")
class UnreadGet:
    """Client → server: my unread counts."""

    type: Literal["unread.get"] = "unread.get"


@event(lane="receipt")
class UnreadChanged:
    """Server → one employee's devices: these counts are now so."""

    type: Literal["unread.changed"] = "unread.changed"
    total: UnreadTotal
    conversations: list[Unread]
