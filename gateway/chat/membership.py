"""What somebody is in a conversation, for every command that asks before it does anything."""

from __future__ import annotations

from gateway.chat.queries import conversations
from gateway.chat.queries import messages as queries
from gateway.context import Context
from gateway.db import Conn
from gateway.errors import ConversationNotFound


async def membership_of(
    ctx: Context, conn: Conn, conversation_id: int, *, lock: bool = False
) -> queries.Membership:
    """Return what I am in this conversation; ConversationNotFound when I am not in it."""
    membership = await queries.membership(conn, ctx.user_id, conversation_id, lock=lock)
    if membership is None:
        raise ConversationNotFound
    return membership


async def require_participant(ctx: Context, conn: Conn, conversation_id: int) -> None:
    """Raise ConversationNotFound when I am not in this conversation."""
    if not await conversations.is_participant(conn, ctx.user_id, conversation_id):
        raise ConversationNotFound
