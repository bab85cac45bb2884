"""Everything a fresh client needs, as of one moment, and what a returning one has missed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.chat import conversations
from gateway.chat.queries import conversations as conversation_queries
from gateway.chat.queries import messages as message_queries
from gateway.chat.queries import receipts as receipt_queries
from gateway.context import Context
from gateway.protocol import Conversation, MessageCreated, Unread
from gateway.protocol.conversations import MAX_CONVERSATIONS

CHANGES_PER_CONVERSATION = 200
CHANGES_IN_ALL = 1_000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One REPEATABLE READ view of someone's chats."""

    conversations: list[Conversation]
    next: str | None
    unread: list[Unread]
    positions: dict[int, int]
    """conversation → last_change, of every conversation heard live."""
    changes: dict[int, list[MessageCreated]]
    reload: list[int]


async def take(ctx: Context, resume: Mapping[int, int], *, max_topics: int) -> Snapshot:
    """Read it all in one transaction, so that no change falls between two statements.

    Never partial: a conversation is either caught up completely, or named in reload.
    """
    async with (
        ctx.reading() as conn,
        conn.transaction(isolation="repeatable_read", readonly=True),
    ):
        members = await conversation_queries.memberships(conn, ctx.user_id, max_topics)
        listed, following = await conversations.page(conn, ctx.user_id, limit=MAX_CONVERSATIONS)
        unread = await receipt_queries.unread(conn, ctx.user_id)
        positions = {member.conversation_id: member.last_change for member in members}
        behind = [
            (conversation_id, change)
            for conversation_id, change in resume.items()
            if change < positions.get(conversation_id, 0)
        ]
        missed = (
            await message_queries.changed_after(conn, behind, CHANGES_PER_CONVERSATION + 1)
            if behind
            else []
        )
    # A position from the future was never ours to give (a restored backup): start afresh.
    ahead = [c for c, change in resume.items() if change > positions.get(c, change)]
    changes, reload = _bounded(
        [
            MessageCreated(conversation_id=m.conversation_id, change=m.change, message=m)
            for m in missed
        ]
    )
    gone = [conversation_id for conversation_id in resume if conversation_id not in positions]
    return Snapshot(
        conversations=await conversations.with_presences(ctx, listed),
        next=following,
        unread=unread,
        positions=positions,
        changes=changes,
        reload=sorted({*reload, *ahead, *gone}),
    )


def _bounded(
    events: list[MessageCreated],
) -> tuple[dict[int, list[MessageCreated]], list[int]]:
    """Keep whole conversations while they fit; the others are to be fetched afresh."""
    found: dict[int, list[MessageCreated]] = defaultdict(list)
    for event in events:
        found[event.conversation_id].append(event)
    kept: dict[int, list[MessageCreated]] = {}
    reload: list[int] = []
    room = CHANGES_IN_ALL
    for conversation_id, missed in sorted(found.items(), key=lambda item: len(item[1])):
        if len(missed) > CHANGES_PER_CONVERSATION or len(missed) > room:
            reload.append(conversation_id)
        else:
            kept[conversation_id] = missed
            room -= len(missed)
    return kept, reload
