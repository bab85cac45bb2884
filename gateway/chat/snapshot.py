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
        chosen, reload = _fitting(
            {
                conversation_id: positions[conversation_id] - change
                for conversation_id, change in resume.items()
                if change < positions.get(conversation_id, 0)
            }
        )
        missed = (
            await message_queries.changed_after(
                conn, [(cid, resume[cid]) for cid in chosen], CHANGES_PER_CONVERSATION
            )
            if chosen
            else []
        )
    changes: dict[int, list[MessageCreated]] = defaultdict(list)
    for m in missed:
        changes[m.conversation_id].append(
            MessageCreated(conversation_id=m.conversation_id, change=m.change, message=m)
        )
    # A position from the future was never ours to give (a restored backup): start afresh.
    ahead = [c for c, change in resume.items() if change > positions.get(c, change)]
    gone = [conversation_id for conversation_id in resume if conversation_id not in positions]
    return Snapshot(
        conversations=await conversations.with_presences(ctx, listed),
        next=following,
        unread=unread,
        positions=positions,
        changes=dict(changes),
        reload=sorted({*reload, *ahead, *gone}),
    )


def _fitting(behind: Mapping[int, int]) -> tuple[list[int], list[int]]:
    """Choose whole conversations, the least behind first; the others are to be fetched afresh.

    How many changes a conversation is behind is no less than the messages that will be read for
    it, so the choice is made before any is read: 1,000 conversations are read 1,000 rows, not all
    that was missed.
    """
    chosen: list[int] = []
    reload: list[int] = []
    room = CHANGES_IN_ALL
    for conversation_id, changes in sorted(behind.items(), key=lambda item: item[1]):
        if changes > CHANGES_PER_CONVERSATION or changes > room:
            reload.append(conversation_id)
        else:
            chosen.append(conversation_id)
            room -= changes
    return chosen, reload
