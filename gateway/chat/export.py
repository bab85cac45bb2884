"""Exports: a whole conversation as JSON lines, in bounded memory, recorded in the audit.

rest ─▶ start ─▶ lines. Read page by page instead of through one cursor: a slow reader keeps neither
a connection nor a snapshot, and someone who is removed meanwhile gets no more.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace

from gateway import audit
from gateway.auth.permissions import CONVERSATIONS_EXPORT
from gateway.chat import conversations
from gateway.chat.membership import membership_of
from gateway.chat.queries import pages
from gateway.context import Context
from gateway.errors import GatewayError
from gateway.protocol import Conversation, Message, codec

PAGE = 200
"""Messages in memory at once: at most 8,000 characters each."""


async def start(ctx: Context, conversation_id: int) -> AsyncGenerator[bytes, None]:
    """Check permission and record the export; return its lines.

    First the conversation, then its messages up to now (deleted ones without their text), then
    their number: without this last line an export is incomplete. An export that cannot continue,
    because the reader was removed or the database is away, ends with an error line.
    """
    ctx.identity.require(CONVERSATIONS_EXPORT)
    async with ctx.transaction() as tx:
        membership = await membership_of(ctx, tx.conn, conversation_id)
        conversation = await conversations.load(tx.conn, ctx.user_id, conversation_id)
        act = ctx.act(
            "conversation.export",
            conversation_id=conversation_id,
            after=membership.hidden_to,
            to=conversation.last_seq,
        )
        await audit.record(tx.conn, act)
    return _lines(ctx, conversation, membership.hidden_to)


async def _lines(ctx: Context, conversation: Conversation, seq: int) -> AsyncGenerator[bytes, None]:
    yield codec.encode({"conversation": replace(conversation, presences=[])}) + b"\n"
    count = 0
    try:
        while messages := await _page(ctx, conversation, seq):
            yield b"".join(codec.encode({"message": message}) + b"\n" for message in messages)
            seq = messages[-1].seq
            count += len(messages)
    except GatewayError as error:
        yield codec.encode({"error": {"code": error.code, "message": error.detail}}) + b"\n"
    else:
        yield codec.encode({"messages": count}) + b"\n"


async def _page(ctx: Context, conversation: Conversation, seq: int) -> list[Message]:
    async with ctx.reading() as conn:
        membership = await membership_of(ctx, conn, conversation.id)
        found = await pages.after(conn, conversation.id, max(seq, membership.hidden_to), PAGE)
    return [message for message in found if message.seq <= conversation.last_seq]
