"""What only I see of a conversation: archived, pinned, muted, what to be notified of.

No visible change of it: my other devices hear of it, nobody else does.
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
    """Put it away until the next message."""
    return await _write(
        ctx,
        command.conversation_id,
        lambda conn: queries.archive(conn, ctx.user_id, command.conversation_id, on=True),
    )


@serves(ConversationUnarchive)
async def unarchive(ctx: Context, command: ConversationUnarchive) -> MineIs:
    """Bring it back."""
    return await _write(
        ctx,
        command.conversation_id,
        lambda conn: queries.archive(conn, ctx.user_id, command.conversation_id, on=False),
    )


@serves(ConversationPin)
async def pin(ctx: Context, command: ConversationPin) -> MineIs:
    """Pin it; what is pinned already stays where it is."""
    return await _pin(ctx, command.conversation_id, on=True)


@serves(ConversationUnpin)
async def unpin(ctx: Context, command: ConversationUnpin) -> MineIs:
    """Take the pin away."""
    return await _pin(ctx, command.conversation_id, on=False)


@serves(ConversationMute)
async def mute(ctx: Context, command: ConversationMute) -> MineIs:
    """Leave its messages out of my badge for a while."""
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
    """Tell this person's devices; the node that tells them counts their unread anew."""
    tx.announce(
        topics.user(employee_id),
        ConversationMineChanged(conversation_id=conversation_id, mine=mine),
    )


async def announce_current(tx: Transaction, employee_id: int, conversation_id: int) -> None:
    """Tell this person's devices how it is now, after something else has changed it."""
    now = await queries.find(tx.conn, employee_id, conversation_id)
    if now is not None:
        announce(tx, employee_id, conversation_id, now)
