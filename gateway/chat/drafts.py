"""Drafts: unfinished texts, one per employee and conversation, the same on all devices.

The draft that is stored last wins. Sending empties the sender's draft in the same statement
(queries/messages.py).
"""

from __future__ import annotations

from datetime import UTC, datetime

from gateway import cursors, topics
from gateway.chat.membership import require_participant
from gateway.chat.queries import drafts as queries
from gateway.context import Context, Transaction
from gateway.errors import MessageNotFound
from gateway.protocol import (
    Draft,
    DraftChanged,
    DraftClear,
    DraftIs,
    DraftList,
    DraftPage,
    DraftSet,
)
from gateway.serving import serves

NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@serves(DraftSet)
async def put(ctx: Context, command: DraftSet) -> DraftIs:
    """Store my draft and announce it to my devices."""
    async with ctx.statement() as tx:
        draft = await queries.put(
            tx.conn,
            ctx.user_id,
            command.conversation_id,
            text=command.text,
            reply_to_seq=command.reply_to_seq,
        )
        if draft is None:
            await require_participant(ctx, tx.conn, command.conversation_id)
            raise MessageNotFound
        announce(tx, ctx.user_id, draft)
    return DraftIs(draft=draft)


@serves(DraftClear)
async def clear(ctx: Context, command: DraftClear) -> DraftIs:
    """Empty my draft and announce it to my devices; nothing changes when there is none."""
    async with ctx.transaction() as tx:
        await require_participant(ctx, tx.conn, command.conversation_id)
        draft = await queries.clear(tx.conn, ctx.user_id, command.conversation_id)
        if draft is not None:
            announce(tx, ctx.user_id, draft)
        else:
            draft = await queries.find(tx.conn, ctx.user_id, command.conversation_id)
    nothing = Draft(conversation_id=command.conversation_id, text="", updated_at=NEVER, version=0)
    return DraftIs(draft=draft or nothing)


@serves(DraftList)
async def list_page(ctx: Context, command: DraftList) -> DraftPage:
    """Return a page of my drafts, the newest first."""
    after = cursors.unpack_int(command.cursor) if command.cursor else None
    async with ctx.reading() as conn:
        found = await queries.page(conn, ctx.user_id, after, command.limit + 1)
    if len(found) <= command.limit:
        return DraftPage(drafts=found)
    last = found[command.limit - 1]
    return DraftPage(
        drafts=found[: command.limit],
        next=cursors.pack(last.updated_at, last.conversation_id),
    )


def announce(tx: Transaction, employee_id: int, draft: Draft) -> None:
    """Announce it to this employee's devices."""
    tx.announce(topics.user(employee_id), DraftChanged(draft=draft))
