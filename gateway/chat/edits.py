"""Edit and delete messages.

Each function is one command: under the conversation's lock it checks, writes the next change, and
announces it after the COMMIT.
"""

from __future__ import annotations

from gateway.auth.permissions import MESSAGES_DELETE_ANY
from gateway.chat import file_sweeper, mentions
from gateway.chat.membership import membership_of
from gateway.chat.queries import attachments as attachment_queries
from gateway.chat.queries import edits as queries
from gateway.chat.queries import messages as message_queries
from gateway.context import Context
from gateway.db import Conn
from gateway.errors import ConversationClosed, Forbidden, MessageNotFound
from gateway.protocol import (
    Message,
    MessageDelete,
    MessageDeleted,
    MessageEdit,
    MessageIs,
    MessageUpdated,
)
from gateway.serving import serves


@serves(MessageEdit)
async def edit(ctx: Context, command: MessageEdit) -> MessageIs:
    """Change the text of a message of mine; the same text changes nothing."""
    async with ctx.transaction() as tx:
        membership, message = await lock_message(ctx, tx.conn, command.conversation_id, command.seq)
        if message.deleted_at is not None:
            raise MessageNotFound
        if message.sender_id != ctx.user_id or message.kind != "text":
            raise Forbidden("Only the sender of a message may edit it.")
        if membership.closed:
            raise ConversationClosed
        if message.text != command.text:
            message = await queries.edit(
                tx.conn,
                message,
                text=command.text,
                sender_role=membership.role,
                mentions=mentions.mentions_in(ctx, command.text),
            )
            tx.announce_change(
                MessageUpdated(
                    conversation_id=message.conversation_id,
                    change=message.change,
                    message=message,
                )
            )
    return MessageIs(message=message)


@serves(MessageDelete)
async def delete(ctx: Context, command: MessageDelete) -> MessageIs:
    """Delete a message's content; its seq stays. Deleting again returns the same."""
    async with ctx.transaction() as tx:
        membership, message = await lock_message(ctx, tx.conn, command.conversation_id, command.seq)
        if not _may_delete(ctx, membership, message):
            raise Forbidden("Only its sender, an owner or an admin may delete a message.")
        if message.deleted_at is None:
            if message.attachments:
                await attachment_queries.release(tx.conn, message.conversation_id, message.seq)
                await tx.enqueue(file_sweeper.ORDER)
            act = None
            if message.sender_id != ctx.user_id:
                act = ctx.act(
                    "message.delete",
                    conversation_id=message.conversation_id,
                    seq=message.seq,
                    sender_id=message.sender_id,
                )
            message = await queries.delete(tx.conn, message, by=ctx.user_id, audit=act)
            tx.announce_change(
                MessageDeleted(
                    conversation_id=message.conversation_id,
                    change=message.change,
                    message=message,
                )
            )
    return MessageIs(message=message)


def _may_delete(ctx: Context, membership: message_queries.Membership, message: Message) -> bool:
    if message.kind == "system":  # it records who joined and left
        return False
    return (
        message.sender_id == ctx.user_id
        or membership.role in {"owner", "admin"}
        or MESSAGES_DELETE_ANY in ctx.identity.permissions
    )


async def lock_message(
    ctx: Context, conn: Conn, conversation_id: int, seq: int
) -> tuple[message_queries.Membership, Message]:
    """Lock the conversation; return my membership and the message, deleted or not."""
    membership = await membership_of(ctx, conn, conversation_id, lock=True)
    message = (
        await message_queries.find(conn, conversation_id, seq)
        if seq > membership.hidden_to
        else None
    )
    if message is None:
        raise MessageNotFound
    return membership, message
