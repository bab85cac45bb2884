"""Messages on the wire: what one is, and everything that can be done with it."""

from __future__ import annotations

import unicodedata
from dataclasses import field
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from gateway.protocol.attachments import Attachment, AttachmentIds
from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, PlainText, Position, frame

MAX_TEXT = 8_000
MAX_PAGE = 100
MAX_EMOJI = 32
"""Characters. A family of four with skin tones has 11, the flag of Wales 7."""

Text = Annotated[PlainText, Field(min_length=1, max_length=MAX_TEXT)]
PageLimit = Annotated[int, Field(strict=True, ge=1, le=MAX_PAGE)]
MessageKind = Literal["text", "system"]


def _one_word(value: str) -> str:
    if any(char.isspace() or unicodedata.category(char) == "Cc" for char in value):
        raise ValueError("must not contain spaces or control characters")
    return value


Emoji = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=MAX_EMOJI),
    AfterValidator(_one_word),
]
"""Joiners and variation selectors are part of many: only spaces and controls are refused."""


@frame
class Reaction:
    """One emoji below a message, and who put it there."""

    emoji: str
    count: int
    employee_ids: list[Id]
    """In the order in which they reacted."""


@frame
class Message:
    """One message, as every participant sees it."""

    conversation_id: Id
    seq: Position
    """Its number in the conversation: 1, 2, 3 … without gaps. Place messages by it."""
    change: Position
    """The conversation's change that made this version of it."""
    sender_id: Id | None
    """An employee; null for the system."""
    client_key: UUID | None = None
    """As the sender chose it: how a client finds its own message again."""
    text: str
    """As it is now; empty once the message is deleted."""
    created_at: datetime
    kind: MessageKind = "text"
    attrs: dict[str, Any] | None = None
    """What a system message says, as data: `{"event": "joined", "employee_ids": [17]}`."""
    reply_to_seq: Position | None = None
    """The message this one answers."""
    reply_count: int = 0
    """How many answer it, as of when it was read; deleted ones do not count."""
    mention_ids: list[Id] = field(default_factory=list)
    """Participants whom the text names as `<@17>`."""
    mention_all: bool = False
    """The text names everybody, as `<@all>`, and its sender may."""
    reactions: list[Reaction] = field(default_factory=list)
    """The one that came first stands first."""
    attachments: list[Attachment] = field(default_factory=list)
    """Its files, in the order in which they were named."""
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    """Of a deleted message its place is left: show that there was one."""


@frame
class MessageSent:
    """Reply to message.send: the stored message; the same again for a retry."""

    message: Message


@command(reply=MessageSent, cost="write", repeatable=True)
class MessageSend:
    """Client → server: put a message into a conversation."""

    type: Literal["message.send"] = "message.send"
    conversation_id: Id
    client_key: UUID
    """Chosen by the client; sending twice with one key stores one message."""
    text: Annotated[PlainText, Field(max_length=MAX_TEXT)]
    """At least one character, or a file."""
    reply_to_seq: Id | None = None
    """The message this one answers."""
    attachments: AttachmentIds | None = None
    """Files that I declared for this conversation and have uploaded."""


@event(lane="message")
class MessageCreated:
    """Server → participants: a message has been stored."""

    type: Literal["message.created"] = "message.created"
    conversation_id: Id
    change: Position
    message: Message


@frame
class MessageIs:
    """Reply to message.edit and message.delete: the message as it now is."""

    message: Message


@command(reply=MessageIs, cost="write", repeatable=True)
class MessageEdit:
    """Client → server: give a message of mine another text."""

    type: Literal["message.edit"] = "message.edit"
    conversation_id: Id
    seq: Id
    text: Text


@command(reply=MessageIs, cost="write", repeatable=True)
class MessageDelete:
    """Client → server: delete a message of mine, or anyone's as an owner or admin."""

    type: Literal["message.delete"] = "message.delete"
    conversation_id: Id
    seq: Id


@event(lane="message")
class MessageUpdated:
    """Server → participants: a message has another text; place it by its seq, known or not."""

    type: Literal["message.updated"] = "message.updated"
    conversation_id: Id
    change: Position
    message: Message


@event(lane="message")
class MessageDeleted:
    """Server → participants: a message was deleted; this is what is left in its place."""

    type: Literal["message.deleted"] = "message.deleted"
    conversation_id: Id
    change: Position
    message: Message


@frame
class ReactionsAre:
    """Reply to reaction.add and reaction.remove: all reactions of the message."""

    conversation_id: Id
    seq: Position
    reactions: list[Reaction]


@command(reply=ReactionsAre, cost="write", repeatable=True)
class ReactionAdd:
    """Client → server: put an emoji below a message."""

    type: Literal["reaction.add"] = "reaction.add"
    conversation_id: Id
    seq: Id
    emoji: Emoji


@command(reply=ReactionsAre, cost="write", repeatable=True)
class ReactionRemove:
    """Client → server: take my emoji back."""

    type: Literal["reaction.remove"] = "reaction.remove"
    conversation_id: Id
    seq: Id
    emoji: Emoji


@event(lane="message")
class MessageReacted:
    """Server → participants: these are now all reactions of this message."""

    type: Literal["message.reacted"] = "message.reacted"
    conversation_id: Id
    change: Position
    seq: Position
    reactions: list[Reaction]


@frame
class MessagePage:
    """Messages in ascending order of seq, what is left of deleted ones among them."""

    messages: list[Message]
    has_before: bool
    """True when there are older messages than the first one here."""
    has_after: bool
    """True when there are newer messages than the last one here."""


@command(reply=MessagePage, cost="read")
class MessageHistory:
    """Client → server: messages before, after or around a seq; without any, the newest."""

    type: Literal["message.history"] = "message.history"
    conversation_id: Id
    before: Position | None = None
    after: Position | None = None
    around: Position | None = None
    """This one in the middle, for a jump to it."""
    limit: PageLimit = 50


@frame
class ThreadPage:
    """A message and answers to it in ascending order of seq, without deleted ones."""

    root: Message
    """Its `reply_count` says how many answers there are."""
    messages: list[Message]
    has_before: bool
    """True when there are older answers than the first one here."""
    has_after: bool
    """True when there are newer answers than the last one here."""


@command(reply=ThreadPage, cost="read")
class MessageThread:
    """Client → server: a message and its answers; without before or after, the newest ones."""

    type: Literal["message.thread"] = "message.thread"
    conversation_id: Id
    seq: Id
    before: Position | None = None
    after: Position | None = None
    limit: PageLimit = 50


@frame
class ChangesPage:
    """Events in order of their change, exactly as they were, or would have been, announced."""

    events: list[dict[str, Any]]
    more: bool
    """True when there are others: ask again after the last one's change."""


@command(reply=ChangesPage, cost="read")
class MessageChanges:
    """Client → server: what has happened in a conversation since a change, to fill a gap."""

    type: Literal["message.changes"] = "message.changes"
    conversation_id: Id
    after: Position
    """The last change taken in."""
    limit: PageLimit = MAX_PAGE
