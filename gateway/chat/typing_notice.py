"""Typing notices: published, never stored."""

from __future__ import annotations

from gateway import topics
from gateway.chat.membership import require_participant
from gateway.context import Context
from gateway.protocol import TypingStart, TypingStarted
from gateway.serving import serves


@serves(TypingStart)
async def start(ctx: Context, command: TypingStart) -> None:
    """Notify the other participants, at most once in 2 s; my own devices do not receive it."""
    topic = topics.conversation(command.conversation_id)
    if topic not in ctx.joined_topics:
        async with ctx.reading() as conn:
            await require_participant(ctx, conn, command.conversation_id)
    if ctx.services.typing_notices.announced_recently(command.conversation_id, ctx.user_id):
        return
    ctx.publish(
        topic,
        TypingStarted(conversation_id=command.conversation_id, employee_id=ctx.user_id),
        by=ctx.user_id,
    )
