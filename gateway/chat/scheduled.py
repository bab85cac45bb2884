"""Scheduled messages: create, change, cancel, list. schedule_worker.py sends them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway import topics
from gateway.chat.membership import require_participant
from gateway.chat.queries import scheduled as queries
from gateway.context import Context, Transaction
from gateway.errors import (
    ClientKeyReused,
    GatewayError,
    Invalid,
    ScheduledNotFound,
    ScheduledSent,
    TooManyScheduled,
)
from gateway.protocol import (
    MessageReschedule,
    MessageSchedule,
    MessageScheduleChanged,
    MessageScheduled,
    MessageScheduledList,
    MessageUnschedule,
    ScheduledMessage,
    ScheduledPage,
)
from gateway.protocol.scheduled import MAX_SCHEDULED
from gateway.serving import serves

MIN_DELAY = timedelta(minutes=1)
MAX_DELAY = timedelta(days=366)
MAX_LISTED = 200


@serves(MessageSchedule)
async def schedule(ctx: Context, command: MessageSchedule) -> MessageScheduled:
    """Schedule a message; the same client_key again returns the first one."""
    async with ctx.transaction() as tx:
        await queries.lock(tx.conn, ctx.user_id)
        await require_participant(ctx, tx.conn, command.conversation_id)
        found = await queries.find_key(
            tx.conn, ctx.user_id, command.conversation_id, command.client_key
        )
        if found is not None:
            if found.text != command.text:
                raise ClientKeyReused
            return MessageScheduled(scheduled=found)
        _require_valid_time(command.send_at)
        made = await queries.insert(
            tx.conn,
            ctx.user_id,
            command.conversation_id,
            client_key=command.client_key,
            text=command.text,
            send_at=command.send_at,
            most=MAX_SCHEDULED,
        )
        if made is not None:
            _announce(tx, ctx, made)
    if made is None:
        raise TooManyScheduled
    return MessageScheduled(scheduled=made)


@serves(MessageReschedule)
async def reschedule(ctx: Context, command: MessageReschedule) -> MessageScheduled:
    """Change the time and the text of a message; a failed one waits again."""
    _require_valid_time(command.send_at)
    async with ctx.transaction() as tx:
        await queries.lock(tx.conn, ctx.user_id)
        moved = await queries.reschedule(
            tx.conn,
            ctx.user_id,
            command.scheduled_id,
            send_at=command.send_at,
            text=command.text,
            most=MAX_SCHEDULED,
        )
        if moved is None:
            raise await _refusal(ctx, tx, command.scheduled_id)
        _announce(tx, ctx, moved)
    return MessageScheduled(scheduled=moved)


@serves(MessageUnschedule)
async def unschedule(ctx: Context, command: MessageUnschedule) -> MessageScheduled:
    """Cancel a message before it is sent."""
    async with ctx.transaction() as tx:
        removed = await queries.remove(tx.conn, ctx.user_id, command.scheduled_id)
        if removed is None:
            raise await _refusal(ctx, tx, command.scheduled_id)
        _announce(tx, ctx, removed, gone=True)
    return MessageScheduled(scheduled=removed)


@serves(MessageScheduledList)
async def list_all(ctx: Context, command: MessageScheduledList) -> ScheduledPage:
    """Return waiting and failed messages, of all conversations or of one."""
    async with ctx.reading() as conn:
        found = await queries.page(conn, ctx.user_id, command.conversation_id, MAX_LISTED)
    return ScheduledPage(scheduled=found)


async def _refusal(ctx: Context, tx: Transaction, scheduled_id: int) -> GatewayError:
    """Return why a message could not be rescheduled or cancelled."""
    found = await queries.find(tx.conn, ctx.user_id, scheduled_id)
    if found is None:
        return ScheduledNotFound()
    waiting = await queries.count_waiting(tx.conn, ctx.user_id)
    if found.state == "failed" and waiting >= MAX_SCHEDULED:
        return TooManyScheduled()
    return ScheduledSent()


def _announce(
    tx: Transaction, ctx: Context, scheduled: ScheduledMessage, *, gone: bool = False
) -> None:
    tx.announce(topics.user(ctx.user_id), MessageScheduleChanged(scheduled=scheduled, gone=gone))


def _require_valid_time(send_at: datetime) -> None:
    now = datetime.now(UTC)
    if not now + MIN_DELAY <= send_at <= now + MAX_DELAY:
        raise Invalid("must be at least a minute and at most a year from now", path="send_at")
