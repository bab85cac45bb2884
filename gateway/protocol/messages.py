"""Messages on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from gateway.protocol.frame import Id, PlainText, Position, frame

MAX_TEXT = 8_000
MAX_PAGE = 100

Text = Annotated[PlainText, Field(min_length=1, max_length=MAX_TEXT)]


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
    created_at: datetime


@frame
class MessageSend:
    """Client → server: put a message into a conversation."""

    type: Literal["message.send"] = "message.send"
    conversation_id: Id
    client_key: UUID
    """Chosen by the client; sending twice with one key stores one message."""
    text: Text


@frame
class MessageSent:
    """Reply to message.send: the stored message; the same again for a retry."""

    message: Message


@frame
class MessageCreated:
    """Server → participants: a message has been stored."""

    type: Literal["message.created"] = "message.created"
    conversation_id: Id
    change: Position
    message: Message


@frame
class MessageHistory:
    """Client → server: messages before or after a seq; without either, the newest."""

    type: Literal["message.history"] = "message.history"
    conversation_id: Id
    before: Position | None = None
    after: Position | None = None
    limit: Annotated[int, Field(strict=True, ge=1, le=MAX_PAGE)] = 50


@frame
class MessagePage:
    """Messages in ascending order of seq."""

    messages: list[Message]
    has_before: bool
    """True when there are older messages than the first one here."""
    has_after: bool
    """True when there are newer messages than the last one here."""
