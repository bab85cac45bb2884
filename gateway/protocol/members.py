"""Who is in a conversation, and what it is called, on the wire: the commands that change it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.protocol.conversations import ConversationIs, History, Role, Title
from gateway.protocol.declaration import command
from gateway.protocol.frame import Id, PlainText

MAX_ADDED = 100

AvatarUrl = Annotated[PlainText, Field(max_length=2_000, pattern=r"^(https?://[^\s]+)?$")]


@command(reply=ConversationIs, cost="write", repeatable=True)
class ConversationAdd:
    """Client → server: let these people join; owners and admins may."""

    type: Literal["conversation.add"] = "conversation.add"
    conversation_id: Id
    employee_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_ADDED)]


@command(reply=ConversationIs, cost="write", repeatable=True)
class ConversationRemove:
    """Client → server: take someone out; admins may not take out an owner."""

    type: Literal["conversation.remove"] = "conversation.remove"
    conversation_id: Id
    employee_id: Id


@command(reply=None, cost="write", repeatable=False)
class ConversationLeave:
    """Client → server: take me out. When the last owner leaves, another one becomes it."""

    type: Literal["conversation.leave"] = "conversation.leave"
    conversation_id: Id


@command(reply=ConversationIs, cost="write", repeatable=True)
class ConversationSetRole:
    """Client → server: give someone a role; owners may. The last owner keeps theirs."""

    type: Literal["conversation.set_role"] = "conversation.set_role"
    conversation_id: Id
    employee_id: Id
    role: Role


@command(reply=ConversationIs, cost="write", repeatable=True)
class ConversationUpdate:
    """Client → server: change what is given; owners and admins may."""

    type: Literal["conversation.update"] = "conversation.update"
    conversation_id: Id
    title: Title | None = None
    avatar_url: AvatarUrl | None = None
    """An http(s) address; an empty one takes the picture away."""
    history: History | None = None
    """Counts for everybody in it at once, by when they joined."""


@command(reply=ConversationIs, cost="write", repeatable=True)
class ConversationClose:
    """Client → server: take no more messages here; owners and admins may."""

    type: Literal["conversation.close"] = "conversation.close"
    conversation_id: Id


@command(reply=ConversationIs, cost="write", repeatable=True)
class ConversationReopen:
    """Client → server: take messages here again."""

    type: Literal["conversation.reopen"] = "conversation.reopen"
    conversation_id: Id
