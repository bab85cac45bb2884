"""Read positions and unread counts."""

from __future__ import annotations

from collections.abc import Iterable

from gateway import topics
from gateway.chat.queries import receipts as queries
from gateway.context import Context
from gateway.errors import ConversationNotFound
from gateway.protocol import (
    ReceiptRead,
    ReceiptReadDone,
    ReceiptWasRead,
    Unread,
    UnreadCounts,
    UnreadGet,
    UnreadTotal,
)


async def read(ctx: Context, command: ReceiptRead) -> ReceiptReadDone:
    """Move my read position forward; the conversation hears how far I have read."""
    async with ctx.statement() as tx:
        position = await queries.read(tx.conn, ctx.user_id, command.conversation_id, command.seq)
        if position is None:
            raise ConversationNotFound
        if position.moved:
            tx.announce(
                topics.conversation(command.conversation_id),
                ReceiptWasRead(
                    conversation_id=command.conversation_id,
                    employee_id=ctx.user_id,
                    seq=position.last_read_seq,
                ),
            )
    return ReceiptReadDone(
        conversation_id=command.conversation_id, last_read_seq=position.last_read_seq
    )


async def unread(ctx: Context, command: UnreadGet) -> UnreadCounts:  # noqa: ARG001 - no fields
    """Return my unread counts and their total."""
    async with ctx.reading() as conn:
        counts = await queries.unread(conn, ctx.user_id)
    return UnreadCounts(total=total(counts), conversations=counts)


def total(counts: Iterable[Unread]) -> UnreadTotal:
    """Add up a badge."""
    counted = [item for item in counts if item.unread]
    return UnreadTotal(
        messages=sum(item.unread for item in counted),
        conversations=len(counted),
        mentions=sum(item.mentions for item in counted),
    )
