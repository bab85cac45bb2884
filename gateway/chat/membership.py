"""Membership checks: every command of a conversation begins with one of them."""

from __future__ import annotations

from gateway.chat.queries import conversations
from gateway.chat.queries import messages as queries
from gateway.context import Context
from gateway.db import Conn
from gateway.errors import ConversationNotFound


async def membership_of(
    ctx: Context, conn: Conn, conversation_id: int, *, lock: bool = False
) -> queries.Membership:
    """Return my membership of this conversation; ConversationNotFound when there is none."""
    membership = await queries.membership(conn, ctx.user_id, conversation_id, lock=lock)
    if membership is None:
        raise ConversationNotFound
    return membership


async def require_participant(ctx: Context, conn: Conn, conversation_id: int) -> None:
    """Raise ConversationNotFound when I am not in this conversation."""
    if not await conversations.is_participant(conn, ctx.user_id, conversation_id):
        raise ConversationNotFound
