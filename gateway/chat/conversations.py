"""Conversations: open a direct one, create a group, list."""

from __future__ import annotations

from dataclasses import replace

from gateway import cursors, topics
from gateway.auth.permissions import CONVERSATIONS_CREATE_GROUP
from gateway.chat.membership import require_participant
from gateway.chat.queries import conversations as queries
from gateway.chat.queries import listing, members
from gateway.context import Context, Transaction
from gateway.db import Conn
from gateway.errors import ConversationNotFound, EmployeeNotFound, Invalid
from gateway.people.presences import presences_of
from gateway.protocol import (
    Conversation,
    ConversationCreate,
    ConversationCreated,
    ConversationGet,
    ConversationIs,
    ConversationList,
    ConversationOpen,
    ConversationOpened,
    ConversationPage,
    ConversationParticipants,
    ParticipantPage,
)
from gateway.serving import serves


@serves(ConversationOpen)
async def open_direct(ctx: Context, command: ConversationOpen) -> ConversationOpened:
    """Return the direct conversation with this person; create and announce it if there is none."""
    if command.employee_id == ctx.user_id:
        raise Invalid("A direct conversation needs somebody else.", path="employee_id")
    async with ctx.transaction() as tx:
        if not await queries.active_employees(tx.conn, [command.employee_id]):
            raise EmployeeNotFound
        conversation_id, created = await queries.open_direct(
            tx.conn, ctx.user_id, command.employee_id
        )
        conversation = await load(tx.conn, ctx.user_id, conversation_id)
        if created:
            _announce(tx, conversation, [ctx.user_id, command.employee_id])
    return ConversationOpened(conversation=await with_presence(ctx, conversation), created=created)


@serves(ConversationCreate)
async def create_group(ctx: Context, command: ConversationCreate) -> ConversationOpened:
    """Create a group, and announce it to all members' devices."""
    ctx.identity.require(CONVERSATIONS_CREATE_GROUP)
    people = {*command.employee_ids, ctx.user_id}
    async with ctx.transaction() as tx:
        missing = people - await queries.active_employees(tx.conn, people)
        if missing:
            raise EmployeeNotFound(f"There is no active employee {min(missing)}.")
        conversation_id = await queries.create_group(
            tx.conn, ctx.user_id, title=command.title, employee_ids=people
        )
        conversation = await load(tx.conn, ctx.user_id, conversation_id)
        _announce(tx, conversation, sorted(people))
    return ConversationOpened(conversation=await with_presence(ctx, conversation), created=True)


@serves(ConversationList)
async def list_page(ctx: Context, command: ConversationList) -> ConversationPage:
    """Return a page of my conversations, the most recently active first."""
    async with ctx.reading() as conn:
        found, following = await page(
            conn,
            ctx.user_id,
            limit=command.limit,
            cursor=command.cursor,
            archived=command.archived,
        )
    return ConversationPage(
        conversations=await with_presences(ctx, found),
        next=following,
    )


@serves(ConversationGet)
async def get(ctx: Context, command: ConversationGet) -> ConversationIs:
    """Return one conversation of mine."""
    async with ctx.reading() as conn:
        conversation = await load(conn, ctx.user_id, command.conversation_id)
    return ConversationIs(conversation=await with_presence(ctx, conversation))


@serves(ConversationParticipants)
async def participants(ctx: Context, command: ConversationParticipants) -> ParticipantPage:
    """Return a page of the participants of a conversation of mine."""
    conversation_id, limit = command.conversation_id, command.limit
    async with ctx.reading() as conn:
        await require_participant(ctx, conn, conversation_id)
        found = await members.page(conn, conversation_id, after=command.after or 0, limit=limit + 1)
        count = await members.count(conn, conversation_id)
    listed = found[:limit]
    return ParticipantPage(
        participants=listed,
        presences=await presences_of(ctx, [who.employee.id for who in listed]),
        participant_count=count,
        next=listed[-1].employee.id if len(found) > limit else None,
    )


async def page(
    conn: Conn,
    employee_id: int,
    *,
    limit: int,
    cursor: str | None = None,
    archived: bool = False,
) -> tuple[list[Conversation], str | None]:
    """Read a page and the cursor of the next one."""
    after = listing.After(*cursors.unpack_int(cursor)) if cursor else None
    found = await listing.page(conn, employee_id, limit=limit + 1, after=after, archived=archived)
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], cursors.pack(last.last_message_at, last.id)


async def load(conn: Conn, employee_id: int, conversation_id: int) -> Conversation:
    """Return this conversation as this employee sees it; ConversationNotFound if not a member."""
    found = await listing.page(conn, employee_id, limit=1, only=conversation_id)
    if not found:
        raise ConversationNotFound
    return found[0]


async def with_presences(ctx: Context, conversations: list[Conversation]) -> list[Conversation]:
    """Add the presence of the listed participants, with one read for the whole page."""
    people = {who.employee.id for item in conversations for who in item.participants}
    known = {item.employee_id: item for item in await presences_of(ctx, people)}
    return [
        replace(
            item,
            presences=[
                known[who.employee.id]
                for who in item.participants
                if who.employee.id in known and who.employee.id != ctx.user_id
            ],
        )
        for item in conversations
    ]


async def with_presence(ctx: Context, conversation: Conversation) -> Conversation:
    """Add the presence of the listed participants."""
    return (await with_presences(ctx, [conversation]))[0]


def created_event(conversation: Conversation, *, change: int) -> ConversationCreated:
    """Make the event for a client that does not know this conversation; it resumes from change."""
    return ConversationCreated(
        conversation_id=conversation.id,
        change=change,
        kind=conversation.kind,
        title=conversation.title,
        avatar_url=conversation.avatar_url,
        closed_at=conversation.closed_at,
        history=conversation.history,
        participants=conversation.participants,
        participant_count=conversation.participant_count,
        last_message_at=conversation.last_message_at,
    )


def _announce(tx: Transaction, conversation: Conversation, people: list[int]) -> None:
    """Announce it to each member's devices: they join its topic when they receive this."""
    event = created_event(conversation, change=1)
    for employee_id in people:
        tx.announce(topics.user(employee_id), event)
