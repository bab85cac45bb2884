"""Commands that change who is in a conversation, and its title, picture and history."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.protocol.conversations import ConversationIs, History, Role, Title
from gateway.protocol.declaration import command
from gateway.protocol.frame import Id, printable

MAX_ADDED = 100

AvatarUrl = Annotated[
    str,
    Field(strict=True, max_length=2_000, pattern=r"^(https?://[^\s]+|/[^\s/\\][^\s\\]*)?$"),
    AfterValidator(printable),
]


@command(reply=ConversationIs, cost="write", repeatable=True)
class ConversationAdd:
    """Client → server: add employees; for owners and admins."""

    type: Literal["conversation.add"] = "conversation.add"
    conversation_id: Id
    employee_ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_ADDED)]


@command(reply=ConversationIs, cost="write", repeatable=True)
class ConversationRemove:
    """Client → server: remove an employee; for owners and admins, admins cannot remove an owner."""

    type: Literal["conversation.remove"] = "conversation.remove"
    conversation_id: Id
    employee_id: Id


@command(reply=None, cost="write", repeatable=False)
class ConversationLeave:
    """Client → server: leave a conversation. When the last owner leaves, another becomes owner."""

    type: Literal["conversation.leave"] = "conversation.leave"
    conversation_id: Id


@command(reply=ConversationIs, cost="write", repeatable=True)
class ConversationSetRole:
    """Client → server: give a participant a role; for owners. The last owner stays owner."""

    type: Literal["conversation.set_role"] = "conversation.set_role"
    conversation_id: Id
    employee_id: Id
    role: Role


@command(reply=ConversationIs, cost="write", repeatable=True)
class ConversationUpdate:
    """Client → server: change the fields that are given; for owners and admins."""

    type: Literal["conversation.update"] = "conversation.update"
    conversation_id: Id
    title: Title | None = None
    avatar_url: AvatarUrl | None = None
    """A path at the gateway's own origin, or an address at one of GATEWAY_PICTURE_ORIGINS. An empty
    text removes the picture."""
    history: History | None = None
    """all: every participant sees all messages; joined: only those after they joined. It applies to
    everybody at once."""


@command(reply=ConversationIs, cost="write", repeatable=True)
class ConversationClose:
    """Client → server: close a conversation to new messages; for owners and admins."""

    type: Literal["conversation.close"] = "conversation.close"
    conversation_id: Id


@command(reply=ConversationIs, cost="write", repeatable=True)
class ConversationReopen:
    """Client → server: open a closed conversation again; for owners and admins."""

    type: Literal["conversation.reopen"] = "conversation.reopen"
    conversation_id: Id
