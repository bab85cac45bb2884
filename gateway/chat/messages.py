"""Messages: send, history.

Each function is one command. Sending is one statement: it checks, numbers and stores at once.
"""

from __future__ import annotations

import asyncpg

from gateway import topics
from gateway.chat.queries import conversations as conversation_queries
from gateway.chat.queries import messages as queries
from gateway.context import Context
from gateway.errors import ClientKeyReused, ConversationNotFound, Invalid
from gateway.protocol import (
    Message,
    MessageCreated,
    MessageHistory,
    MessagePage,
    MessageSend,
    MessageSent,
)


async def send(ctx: Context, command: MessageSend) -> MessageSent:
    """Store the message and announce it to the conversation.

    A repeated client_key returns the first message and announces nothing.
    """
    try:
        message = await _store(ctx, command)
    except asyncpg.UniqueViolationError:
        # The same key, sent twice at once: the twin has committed, ours took no number.
        message = None
    if message is None:
        message = await _sent_before(ctx, command)
    return MessageSent(message=message)


async def _store(ctx: Context, command: MessageSend) -> Message | None:
    async with ctx.statement() as tx:
        message = await queries.insert(
            tx.conn,
            ctx.user_id,
            command.conversation_id,
            client_key=command.client_key,
            text=command.text,
        )
        if message is not None:
            tx.announce(
                topics.conversation(message.conversation_id),
                MessageCreated(
                    conversation_id=message.conversation_id,
                    change=message.change,
                    message=message,
                ),
                change=message.change,
            )
    return message


async def _sent_before(ctx: Context, command: MessageSend) -> Message:
    """Return what this key stored; or say why nothing was stored."""
    async with ctx.reading() as conn:
        message = await queries.find_sent(
            conn, ctx.user_id, command.conversation_id, command.client_key
        )
        if message is None:
            raise ConversationNotFound
        if not await conversation_queries.is_participant(
            conn, ctx.user_id, command.conversation_id
        ):
            raise ConversationNotFound
    if message.text != command.text:
        raise ClientKeyReused
    return message


async def history(ctx: Context, command: MessageHistory) -> MessagePage:
    """Return a page of a conversation: the newest, or those before or after a seq."""
    if command.before is not None and command.after is not None:
        raise Invalid("Give before or after, not both.", path="after")
    conversation_id, more = command.conversation_id, command.limit + 1
    async with ctx.reading() as conn:
        if not await conversation_queries.is_participant(conn, ctx.user_id, conversation_id):
            raise ConversationNotFound
        if command.after is not None:
            found = await queries.after(conn, conversation_id, command.after, more)
        else:
            found = await queries.before(conn, conversation_id, command.before, more)
    whole = len(found) <= command.limit
    if command.after is not None:
        return MessagePage(
            messages=found[: command.limit], has_before=command.after > 0, has_after=not whole
        )
    return MessagePage(
        messages=found[-command.limit :],
        has_before=not whole,
        has_after=command.before is not None,
    )
