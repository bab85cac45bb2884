"""Emoji reactions to messages. Each function is one command; repeating it changes nothing."""

from __future__ import annotations

from gateway.characters import one_form_of_emoji
from gateway.chat.edits import lock_message
from gateway.chat.queries import messages as message_queries
from gateway.chat.queries import reactions as queries
from gateway.context import Context
from gateway.errors import ConversationClosed, MessageNotFound, TooManyReactions
from gateway.protocol import Message, MessageReacted, ReactionAdd, ReactionRemove, ReactionsAre
from gateway.serving import serves

MAX_DIFFERENT = 20
MAX_PER_PERSON = 10


@serves(ReactionAdd)
async def add(ctx: Context, command: ReactionAdd) -> ReactionsAre:
    """Add my reaction to a message."""
    return await _put(ctx, command, there=True)


@serves(ReactionRemove)
async def remove(ctx: Context, command: ReactionRemove) -> ReactionsAre:
    """Remove my reaction."""
    return await _put(ctx, command, there=False)


async def _put(ctx: Context, command: ReactionAdd | ReactionRemove, *, there: bool) -> ReactionsAre:
    async with ctx.transaction() as tx:
        membership, message = await lock_message(ctx, tx.conn, command.conversation_id, command.seq)
        if message.deleted_at is not None:
            raise MessageNotFound
        if membership.closed:
            raise ConversationClosed
        mine = _emojis_of(ctx.user_id, message)
        if (command.emoji in mine) != there:
            if there:
                _check_limits(message, mine, command.emoji)
            forms = [command.emoji]
            if not there:  # it may be stored in several forms, from before emoji had one
                stored = await queries.forms(tx.conn, message, ctx.user_id)
                forms = [one for one in stored if one_form_of_emoji(one) == command.emoji]
            change = await queries.put(
                tx.conn, message, ctx.user_id, emoji=forms, removed=not there
            )
            found = await message_queries.find(tx.conn, command.conversation_id, command.seq)
            assert found is not None
            message = found
            tx.announce_change(
                MessageReacted(
                    conversation_id=command.conversation_id,
                    change=change,
                    seq=command.seq,
                    reactions=message.reactions,
                )
            )
    return ReactionsAre(
        conversation_id=command.conversation_id, seq=command.seq, reactions=message.reactions
    )


def _emojis_of(employee_id: int, message: Message) -> set[str]:
    return {one.emoji for one in message.reactions if employee_id in one.employee_ids}


def _check_limits(message: Message, mine: set[str], emoji: str) -> None:
    different = {one.emoji for one in message.reactions}
    if len(mine) >= MAX_PER_PERSON or (emoji not in different and len(different) >= MAX_DIFFERENT):
        raise TooManyReactions
