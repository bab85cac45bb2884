"""Read and delivery positions, and unread counts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from gateway import topics
from gateway.chat import preferences
from gateway.chat.membership import membership_of
from gateway.chat.queries import delivered as delivered_queries
from gateway.chat.queries import receipts as queries
from gateway.context import Context, Transaction
from gateway.errors import ConversationNotFound, MessageNotFound
from gateway.protocol import (
    Readers,
    ReceiptDelivered,
    ReceiptDeliveredDone,
    ReceiptRead,
    ReceiptReadAll,
    ReceiptReadAllDone,
    ReceiptReadDone,
    ReceiptReaders,
    ReceiptUnread,
    ReceiptWasDelivered,
    ReceiptWasRead,
    Unread,
    UnreadCounts,
    UnreadGet,
    UnreadTotal,
)
from gateway.protocol.receipts import MAX_READERS
from gateway.serving import serves

READ_ALL_BATCH = 1_000
MAX_SENDERS = 100
"""Of at most this many messages, the newest, the senders are notified of a delivery."""


@serves(ReceiptRead)
async def read(ctx: Context, command: ReceiptRead) -> ReceiptReadDone:
    """Move my read position forward and announce it to the conversation."""
    async with ctx.statement() as tx:
        position = await queries.read(
            tx.conn,
            ctx.user_id,
            command.conversation_id,
            command.seq,
            explicit=command.explicit,
        )
        if position is None:
            raise ConversationNotFound
        if position.moved:
            _announce_read(ctx, tx, command.conversation_id, position.last_read_seq)
        if position.unmarked:
            await preferences.announce_current(tx, ctx.user_id, command.conversation_id)
    return ReceiptReadDone(
        conversation_id=command.conversation_id, last_read_seq=position.last_read_seq
    )


@serves(ReceiptUnread)
async def mark_unread(ctx: Context, command: ReceiptUnread) -> ReceiptReadDone:
    """Move my read position back; only my devices are notified."""
    async with ctx.statement() as tx:
        found = await queries.mark_unread(
            tx.conn, ctx.user_id, command.conversation_id, command.seq
        )
        if found is None:
            await membership_of(ctx, tx.conn, command.conversation_id)
            raise MessageNotFound
        last_read_seq, moved = found
        if moved:
            await preferences.announce_current(tx, ctx.user_id, command.conversation_id)
    return ReceiptReadDone(conversation_id=command.conversation_id, last_read_seq=last_read_seq)


@serves(ReceiptReadAll)
async def read_all(ctx: Context, command: ReceiptReadAll) -> ReceiptReadAllDone:  # noqa: ARG001 - no fields
    """Mark everything as read, at most 1,000 conversations at once."""
    async with ctx.transaction() as tx:
        done = await queries.read_all(tx.conn, ctx.user_id, READ_ALL_BATCH)
        for one in done:
            _announce_read(ctx, tx, one.conversation_id, one.last_read_seq)
            if one.unmarked:
                await preferences.announce_current(tx, ctx.user_id, one.conversation_id)
    return ReceiptReadAllDone(conversations=len(done), more=len(done) == READ_ALL_BATCH)


@serves(ReceiptDelivered)
async def delivered(ctx: Context, command: ReceiptDelivered) -> ReceiptDeliveredDone:
    """Move my delivery position forward, and notify the senders of the delivered messages.

    Only them: notifying everybody would be a million frames for one message to 1,000 people.
    """
    conversation_id = command.conversation_id
    async with ctx.statement() as tx:
        found = await delivered_queries.delivered(
            tx.conn, ctx.user_id, conversation_id, command.seq, MAX_SENDERS
        )
        if found is None:
            raise ConversationNotFound
        event = ReceiptWasDelivered(
            conversation_id=conversation_id,
            employee_id=ctx.user_id,
            seq=found.last_delivered_seq,
        )
        for sender_id in found.senders:
            tx.announce(topics.user(sender_id), event)
    return ReceiptDeliveredDone(
        conversation_id=conversation_id, last_delivered_seq=found.last_delivered_seq
    )


@serves(ReceiptReaders)
async def readers(ctx: Context, command: ReceiptReaders) -> Readers:
    """Return the readers of a message."""
    async with ctx.reading() as conn:
        mine_here = await membership_of(ctx, conn, command.conversation_id)
        found = None
        if command.seq > mine_here.hidden_to:
            found = await delivered_queries.readers(
                conn, command.conversation_id, command.seq, MAX_READERS
            )
        if found is None:
            raise MessageNotFound
    return found


@serves(UnreadGet)
async def unread(ctx: Context, command: UnreadGet) -> UnreadCounts:  # noqa: ARG001 - no fields
    """Return my unread counts and their total."""
    async with ctx.reading() as conn:
        counts = await queries.unread(conn, ctx.user_id)
    return UnreadCounts(total=total(counts), conversations=counts)


def total(counts: Iterable[Unread]) -> UnreadTotal:
    """Add up the unread total: without archived conversations, of muted ones only mentions."""
    now = datetime.now(UTC)
    shown = [item for item in counts if item.unread and not item.archived]
    loud = [item for item in shown if item.muted_until is None or item.muted_until <= now]
    return UnreadTotal(
        messages=sum(item.unread for item in loud),
        conversations=len(loud),
        mentions=sum(item.mentions for item in shown),
    )


def _announce_read(ctx: Context, tx: Transaction, conversation_id: int, seq: int) -> None:
    tx.announce(
        topics.conversation(conversation_id),
        ReceiptWasRead(conversation_id=conversation_id, employee_id=ctx.user_id, seq=seq),
    )
