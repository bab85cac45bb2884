"""Personal preferences of a conversation: archived, pinned, muted, notifications.

They take no change number: they are announced to the employee's own devices only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway import topics
from gateway.chat.queries import conversations
from gateway.chat.queries import preferences as queries
from gateway.context import Context, Transaction
from gateway.db import Conn
from gateway.errors import ConversationNotFound, TooManyPinned
from gateway.protocol import (
    ConversationArchive,
    ConversationMineChanged,
    ConversationMute,
    ConversationNotify,
    ConversationPin,
    ConversationUnarchive,
    ConversationUnpin,
    Mine,
    MineIs,
)
from gateway.protocol.preferences import MAX_PINNED
from gateway.serving import serves

Write = Callable[[Conn], Awaitable[Mine | None]]


@serves(ConversationArchive)
async def archive(ctx: Context, command: ConversationArchive) -> MineIs:
    """Archive it until the next message."""
    return await _write(
        ctx,
        command.conversation_id,
        lambda conn: queries.archive(conn, ctx.user_id, command.conversation_id, on=True),
    )


@serves(ConversationUnarchive)
async def unarchive(ctx: Context, command: ConversationUnarchive) -> MineIs:
    """Take it out of the archive."""
    return await _write(
        ctx,
        command.conversation_id,
        lambda conn: queries.archive(conn, ctx.user_id, command.conversation_id, on=False),
    )


@serves(ConversationPin)
async def pin(ctx: Context, command: ConversationPin) -> MineIs:
    """Pin it; one that is pinned already keeps its place."""
    return await _pin(ctx, command.conversation_id, on=True)


@serves(ConversationUnpin)
async def unpin(ctx: Context, command: ConversationUnpin) -> MineIs:
    """Unpin it."""
    return await _pin(ctx, command.conversation_id, on=False)


@serves(ConversationMute)
async def mute(ctx: Context, command: ConversationMute) -> MineIs:
    """Leave its messages out of my unread total until a time."""
    return await _write(
        ctx,
        command.conversation_id,
        lambda conn: queries.mute(conn, ctx.user_id, command.conversation_id, command.until),
    )


@serves(ConversationNotify)
async def notify(ctx: Context, command: ConversationNotify) -> MineIs:
    """Choose what to be notified of."""
    return await _write(
        ctx,
        command.conversation_id,
        lambda conn: queries.notify(conn, ctx.user_id, command.conversation_id, command.level),
    )


async def _write(ctx: Context, conversation_id: int, write: Write) -> MineIs:
    async with ctx.statement() as tx:
        mine = await write(tx.conn)
        if mine is None:
            raise ConversationNotFound
        announce(tx, ctx.user_id, conversation_id, mine)
    return MineIs(conversation_id=conversation_id, mine=mine)


async def _pin(ctx: Context, conversation_id: int, *, on: bool) -> MineIs:
    async with ctx.transaction() as tx:
        mine = await queries.pin(tx.conn, ctx.user_id, conversation_id, on=on, most=MAX_PINNED)
        if mine is None:
            if await conversations.is_participant(tx.conn, ctx.user_id, conversation_id):
                raise TooManyPinned
            raise ConversationNotFound
        announce(tx, ctx.user_id, conversation_id, mine)
    return MineIs(conversation_id=conversation_id, mine=mine)


def announce(tx: Transaction, employee_id: int, conversation_id: int, mine: Mine) -> None:
    """Announce it to this employee's devices; their node then counts unread again."""
    tx.announce(
        topics.user(employee_id),
        ConversationMineChanged(conversation_id=conversation_id, mine=mine),
    )


async def announce_current(tx: Transaction, employee_id: int, conversation_id: int) -> None:
    """Announce the current preferences to this employee's devices after another change."""
    now = await queries.find(tx.conn, employee_id, conversation_id)
    if now is not None:
        announce(tx, employee_id, conversation_id, now)
