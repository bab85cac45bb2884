"""Participants, roles, title and closing of a conversation: each function is one command.

The conversation's row is locked first and membership is read after that: of two people who change
it at once, the second is checked against the result of the first. Each change is announced with its
number, and recorded in the conversation by a silent system message.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gateway import topics
from gateway.audit import Act
from gateway.chat import conversations, preferences
from gateway.chat.queries import conversations as conversation_queries
from gateway.chat.queries import members as queries
from gateway.chat.queries import system_messages
from gateway.chat.queries.members import LockedConversation, Member
from gateway.context import Context, Transaction
from gateway.errors import (
    ConversationFull,
    ConversationNotFound,
    DirectConversation,
    EmployeeNotFound,
    Forbidden,
    Invalid,
    LastOwner,
    ParticipantNotFound,
)
from gateway.protocol import (
    Conversation,
    ConversationAdd,
    ConversationClose,
    ConversationIs,
    ConversationLeave,
    ConversationRemove,
    ConversationReopen,
    ConversationSetRole,
    ConversationUpdate,
    MessageCreated,
)
from gateway.protocol.conversations import MAX_PARTICIPANTS
from gateway.serving import serves


@serves(ConversationAdd)
async def add(ctx: Context, command: ConversationAdd) -> ConversationIs:
    """Add people; those who are in it already stay as they are."""
    async with _editing(ctx, command.conversation_id) as change:
        change.require_admin()
        requested = list(dict.fromkeys(command.employee_ids))
        active = await conversation_queries.active_employees(change.conn, requested)
        missing = set(requested) - active
        if missing:
            raise EmployeeNotFound(f"There is no active employee {min(missing)}.")
        members = await change.members(requested)
        present = {member.employee_id for member in members if not member.left}
        returning = {member.employee_id for member in members if member.left}
        joining = [one for one in requested if one not in present]
        if joining:
            if await queries.count(change.conn, change.room.id) + len(joining) > MAX_PARTICIPANTS:
                raise ConversationFull
            await queries.join(change.conn, change.room.id, joining)
            await change.announce_participants(joining)
            await change.post_system_message("joined", employee_ids=joining)
        conversation = await change.read()
        event = conversations.created_event(conversation, change=conversation.last_change)
        for employee_id in joining:
            change.tx.announce(topics.user(employee_id), event)
        for employee_id in returning & set(joining):  # their earlier preferences are gone
            await preferences.announce_current(change.tx, employee_id, change.room.id)
    return await _reply(ctx, conversation)


@serves(ConversationRemove)
async def remove(ctx: Context, command: ConversationRemove) -> ConversationIs:
    """Remove someone; nothing changes when they have left already."""
    async with _editing(ctx, command.conversation_id) as change:
        change.require_admin()
        if command.employee_id == ctx.user_id:
            raise Invalid("Leave with conversation.leave.", path="employee_id")
        member = await change.member(command.employee_id)
        if member.role == "owner" and change.room.role != "owner" and not member.left:
            raise Forbidden("Only an owner may remove an owner.")
        if not member.left:
            await change.post_system_message("removed", employee_ids=[command.employee_id])
            act = change.act(command, employee_id=command.employee_id)
            await change.remove(command.employee_id, audit=act)
        conversation = await change.read()
    return await _reply(ctx, conversation)


@serves(ConversationLeave)
async def leave(ctx: Context, command: ConversationLeave) -> None:
    """Leave; when I am the last owner, the longest-standing admin or member becomes owner.

    Somebody who is dismissed only when nobody else is there: a group is never without an owner.
    """
    async with _editing(ctx, command.conversation_id) as change:
        room, me = change.room, ctx.user_id
        if room.role == "owner" and await queries.is_last_owner(change.conn, room.id, me):
            next_owner = await queries.next_owner(change.conn, room.id, leaving=me)
            if next_owner is None:
                next_owner = await queries.next_dismissed_owner(change.conn, room.id, leaving=me)
            if next_owner is not None:
                await change.set_role(next_owner, "owner")
        await change.post_system_message("left", employee_ids=[me])
        await change.remove(me)


@serves(ConversationSetRole)
async def set_role(ctx: Context, command: ConversationSetRole) -> ConversationIs:
    """Give someone a role."""
    async with _editing(ctx, command.conversation_id) as change:
        if change.room.role != "owner":
            raise Forbidden("Only an owner may give roles.")
        member = await change.member(command.employee_id)
        if member.left:
            raise ParticipantNotFound
        if member.role != command.role:
            if member.role == "owner" and await queries.is_last_owner(
                change.conn, change.room.id, member.employee_id
            ):
                raise LastOwner
            act = change.act(
                command, employee_id=member.employee_id, role=command.role, before=member.role
            )
            await change.set_role(member.employee_id, command.role, audit=act)
        conversation = await change.read()
    return await _reply(ctx, conversation)


@serves(ConversationUpdate)
async def update(ctx: Context, command: ConversationUpdate) -> ConversationIs:
    """Change title, picture or history; fields that are not given stay."""
    given = (command.title, command.avatar_url, command.history)
    if all(one is None for one in given):
        raise Invalid("Give title, avatar_url or history.", path="title")
    async with _editing(ctx, command.conversation_id) as change:
        change.require_admin()
        room = change.room
        title = room.title if command.title is None else command.title
        avatar_url = room.avatar_url if command.avatar_url is None else command.avatar_url or None
        history = command.history or room.history
        if title != room.title:
            await change.post_system_message("renamed", title=title)
        if avatar_url != room.avatar_url:
            _require_known_origin(ctx, avatar_url)
            await change.post_system_message("picture_changed")
        if history != room.history:
            await change.post_system_message("history_changed", history=history)
        await change.update(command, title=title, avatar_url=avatar_url, history=history)
        conversation = await change.read()
    return await _reply(ctx, conversation)


def _require_known_origin(ctx: Context, url: str | None) -> None:
    """Refuse a picture that would tell a stranger who looks at the conversation, and when."""
    if url is None or url.startswith("/"):
        return
    scheme, _, rest = url.partition("://")
    host = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    if f"{scheme}://{host}".lower() not in {one.lower() for one in ctx.services.picture_origins}:
        raise Invalid(
            "A picture is at the gateway's own origin, or at one that its operator named.",
            path="avatar_url",
        )


@serves(ConversationClose)
async def close(ctx: Context, command: ConversationClose) -> ConversationIs:
    """Close the conversation to new messages."""
    return await _set_closed(ctx, command, closed=True)


@serves(ConversationReopen)
async def reopen(ctx: Context, command: ConversationReopen) -> ConversationIs:
    """Open the conversation to new messages again."""
    return await _set_closed(ctx, command, closed=False)


async def _set_closed(
    ctx: Context, command: ConversationClose | ConversationReopen, *, closed: bool
) -> ConversationIs:
    async with _editing(ctx, command.conversation_id) as change:
        change.require_admin()
        if closed != (change.room.closed_at is not None):
            await change.post_system_message("closed" if closed else "reopened")
            await change.update(command, closed=closed)
        conversation = await change.read()
    return await _reply(ctx, conversation)


@dataclass(slots=True)
class _Edit:
    """One command's changes to one conversation, which it has locked."""

    ctx: Context
    tx: Transaction
    room: LockedConversation

    @property
    def conn(self) -> Any:
        return self.tx.conn

    def require_admin(self) -> None:
        if self.room.role == "member":
            raise Forbidden("Only an owner or an admin of the conversation may do this.")

    async def members(self, employee_ids: Collection[int]) -> list[Member]:
        return await queries.find(self.conn, self.room.id, employee_ids)

    async def member(self, employee_id: int) -> Member:
        """Return someone's place; ParticipantNotFound when they never had one."""
        found = await self.members([employee_id])
        if not found:
            raise ParticipantNotFound
        return found[0]

    async def post_system_message(self, event: str, **attrs: Any) -> None:
        """Store and announce a system message."""
        message = await system_messages.insert(
            self.conn, self.room.id, {"event": event, "by": self.ctx.user_id, **attrs}
        )
        self.tx.announce_change(
            MessageCreated(conversation_id=self.room.id, change=message.change, message=message)
        )

    async def announce_participants(self, employee_ids: Collection[int]) -> None:
        """Announce these people's memberships as they are now."""
        for event in await queries.participant_events(self.conn, self.room.id, employee_ids):
            self.tx.announce_change(event)

    async def remove(self, employee_id: int, *, audit: Act | None = None) -> None:
        """Remove someone, and announce it to all their devices: some may not have the topic."""
        await queries.leave(self.conn, self.room.id, employee_id, audit=audit)
        for event in await queries.participant_events(self.conn, self.room.id, [employee_id]):
            self.tx.announce_change(event)
            self.tx.announce(topics.user(employee_id), event)

    async def set_role(self, employee_id: int, role: Any, *, audit: Act | None = None) -> None:
        await queries.set_role(self.conn, self.room.id, employee_id, role, audit=audit)
        await self.announce_participants([employee_id])
        await self.post_system_message("role_changed", employee_ids=[employee_id], role=role)

    async def update(self, command: Any, **changes: Any) -> None:
        """Write title, picture, closing and history, and announce them; nothing when unchanged.

        The audit has what has changed, as [before, after]; of closing, the command says it.
        """
        room = self.room
        before = {
            "title": room.title,
            "avatar_url": room.avatar_url,
            "history": room.history,
            "closed": room.closed_at is not None,
        }
        changed = {
            name: [before[name], now] for name, now in changes.items() if before[name] != now
        }
        if changed:
            now: dict[str, Any] = before | changes
            changed.pop("closed", None)
            act = self.act(command, **changed)
            event = await queries.update(self.conn, room.id, **now, audit=act)
            self.tx.announce_change(event)

    def act(self, command: Any, **details: Any) -> Act:
        """Return an act of moderation for the audit."""
        return self.ctx.act(command.type, conversation_id=self.room.id, **details)

    async def read(self) -> Conversation:
        """Return the conversation as the caller sees it now."""
        return await conversations.load(self.conn, self.ctx.user_id, self.room.id)


@asynccontextmanager
async def _editing(ctx: Context, conversation_id: int) -> AsyncIterator[_Edit]:
    """Lock a conversation that I am in and that is not direct."""
    async with ctx.transaction() as tx:
        room = await queries.lock(tx.conn, ctx.user_id, conversation_id)
        if room is None:
            raise ConversationNotFound
        if room.kind == "direct":
            raise DirectConversation
        yield _Edit(ctx, tx, room)


async def _reply(ctx: Context, conversation: Conversation) -> ConversationIs:
    return ConversationIs(conversation=await conversations.with_presence(ctx, conversation))
