"""Messages on the wire: what one is, and everything that can be done with it."""

from __future__ import annotations

import unicodedata
from dataclasses import field
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from gateway.characters import one_form_of_emoji, shows_something
from gateway.protocol.attachments import Attachment, AttachmentIds
from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, Position, ShownText, frame

MAX_TEXT = 8_000
MAX_PAGE = 100
MAX_EMOJI = 32
"""Characters. A family of four with skin tones has 11, the flag of Wales 7."""

Text = Annotated[ShownText, Field(min_length=1, max_length=MAX_TEXT)]
TextOrNone = Annotated[ShownText, Field(max_length=MAX_TEXT)]
"""Empty, or a text: of a message that may have only files."""
PageLimit = Annotated[int, Field(strict=True, ge=1, le=MAX_PAGE)]
MessageKind = Literal["text", "system"]


def _check_emoji(value: str) -> str:
    if any(char.isspace() or unicodedata.category(char) == "Cc" for char in value):
        raise ValueError("must not contain spaces or control characters")
    emoji = one_form_of_emoji(value)
    if not shows_something(emoji):
        raise ValueError("must show something: not only invisible characters")
    if len(emoji) > MAX_EMOJI:
        raise ValueError(f"must have at most {MAX_EMOJI} characters")
    return emoji


Emoji = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=MAX_EMOJI),
    AfterValidator(_check_emoji),
]
"""Taken in any form, stored in one: with U+FE0F where the emoji needs it, and only there."""


@frame
class Reaction:
    """One emoji on a message, and who added it."""

    emoji: str
    count: int
    employee_ids: list[Id]
    """In the order in which they reacted."""


@frame
class Message:
    """One message, as every participant sees it."""

    conversation_id: Id
    seq: Position
    """Its number in the conversation: 1, 2, 3 … without gaps. Clients order messages by it."""
    change: Position
    """The change of the conversation that made this version of the message."""
    sender_id: Id | None
    """An employee; null for a system message."""
    client_key: UUID | None = None
    """The key that the sender chose; a client recognises its own message by it."""
    text: str
    """The current text; empty when the message was deleted."""
    created_at: datetime
    kind: MessageKind = "text"
    attrs: dict[str, Any] | None = None
    """The content of a system message, as data: `{"event": "joined", "employee_ids": [17]}`."""
    reply_to_seq: Position | None = None
    """The seq of the message that this one replies to."""
    reply_count: int = 0
    """How many replies it had when it was read, without deleted ones."""
    mention_ids: list[Id] = field(default_factory=list)
    """Participants that the text mentions as `<@17>`."""
    mention_all: bool = False
    """The text mentions everybody as `<@all>`, and its sender was allowed to."""
    reactions: list[Reaction] = field(default_factory=list)
    """The emoji that was added first is first."""
    attachments: list[Attachment] = field(default_factory=list)
    """Its files, in the order in which message.send listed them."""
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    """Set when the message was deleted; its place stays, so that clients can show the deletion."""


@frame
class MessageSent:
    """Reply to message.send: the stored message, also for a repeated client_key."""

    message: Message


@command(reply=MessageSent, cost="write", repeatable=True)
class MessageSend:
    """Client → server: send a message to a conversation."""

    type: Literal["message.send"] = "message.send"
    conversation_id: Id
    client_key: UUID
    """Chosen by the client; a second command with the same key stores no second message."""
    text: TextOrNone
    """May be empty only with attachments."""
    reply_to_seq: Id | None = None
    """The seq of the message that this one replies to."""
    attachments: AttachmentIds | None = None
    """Files that were declared for this conversation and uploaded."""


@event(lane="message")
class MessageCreated:
    """Server → participants: a message was stored."""

    type: Literal["message.created"] = "message.created"
    conversation_id: Id
    change: Position
    message: Message


@frame
class MessageIs:
    """Reply to message.edit and message.delete: the message after the change."""

    message: Message


@command(reply=MessageIs, cost="write", repeatable=True)
class MessageEdit:
    """Client → server: change the text of one of the employee's own messages."""

    type: Literal["message.edit"] = "message.edit"
    conversation_id: Id
    seq: Id
    text: Text


@command(reply=MessageIs, cost="write", repeatable=True)
class MessageDelete:
    """Client → server: delete one's own message; owners and admins can delete any message."""

    type: Literal["message.delete"] = "message.delete"
    conversation_id: Id
    seq: Id


@event(lane="message")
class MessageUpdated:
    """Server → participants: a message has a new text. The client may not have the message yet."""

    type: Literal["message.updated"] = "message.updated"
    conversation_id: Id
    change: Position
    message: Message


@event(lane="message")
class MessageDeleted:
    """Server → participants: a message was deleted; its text is empty now."""

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
    """Client → server: add an emoji to a message."""

    type: Literal["reaction.add"] = "reaction.add"
    conversation_id: Id
    seq: Id
    emoji: Emoji


@command(reply=ReactionsAre, cost="write", repeatable=True)
class ReactionRemove:
    """Client → server: remove one's own emoji from a message."""

    type: Literal["reaction.remove"] = "reaction.remove"
    conversation_id: Id
    seq: Id
    emoji: Emoji


@event(lane="message")
class MessageReacted:
    """Server → participants: the reactions of a message have changed; all are included."""

    type: Literal["message.reacted"] = "message.reacted"
    conversation_id: Id
    change: Position
    seq: Position
    reactions: list[Reaction]


@frame
class MessagePage:
    """Messages in ascending order of seq, deleted ones included."""

    messages: list[Message]
    has_before: bool
    """True when older messages exist."""
    has_after: bool
    """True when newer messages exist."""


@command(reply=MessagePage, cost="read")
class MessageHistory:
    """Client → server: read messages before, after or around a seq; without one, the newest."""

    type: Literal["message.history"] = "message.history"
    conversation_id: Id
    before: Position | None = None
    after: Position | None = None
    around: Position | None = None
    """A page with this seq in the middle."""
    limit: PageLimit = 50


@frame
class ThreadPage:
    """A message and its replies in ascending order of seq, without deleted ones."""

    root: Message
    """Its `reply_count` is the number of all replies. If retention has deleted it, it is told as a
    deleted message without a sender."""
    messages: list[Message]
    has_before: bool
    """True when older replies exist."""
    has_after: bool
    """True when newer replies exist."""


@command(reply=ThreadPage, cost="read")
class MessageThread:
    """Client → server: read a message and its replies, by default the newest replies."""

    type: Literal["message.thread"] = "message.thread"
    conversation_id: Id
    seq: Id
    before: Position | None = None
    after: Position | None = None
    limit: PageLimit = 50


@frame
class ChangesPage:
    """Events in order of their change, as they were published."""

    events: list[dict[str, Any]]
    more: bool
    """True when more events exist: repeat with `after` set to the last change received."""


@command(reply=ChangesPage, cost="read")
class MessageChanges:
    """Client → server: read what happened in a conversation after a change, to fill a gap."""

    type: Literal["message.changes"] = "message.changes"
    conversation_id: Id
    after: Position
    """The last change that the client has processed."""
    limit: PageLimit = MAX_PAGE
