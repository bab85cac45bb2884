"""What a message changed for its sender alone, when nobody announced that message.

changes.after ─▶ unannounced ─▶ the sender's devices. message.send announces the emptied draft and
the ended mark itself; a publisher that died, and realtime.send_message in SQL, announce nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway import topics
from gateway.bus import Announcement, announce
from gateway.chat.queries import sender_state as queries
from gateway.chat.queries.changes import Change
from gateway.db import Conn
from gateway.protocol import ConversationMineChanged, DraftChanged, MessageCreated


async def unannounced(
    conn: Conn, changes: Sequence[Change], connected: Callable[[int], bool]
) -> list[Announcement]:
    """Return the drafts and marks that these messages have changed, of senders connected here.

    As they are now: clients order them by version, and ignore what they have already.
    """
    sent = [
        message
        for change in changes
        if isinstance(change.event, MessageCreated)
        and (message := change.event.message).sender_id is not None
        and connected(message.sender_id)
    ]
    if not sent:
        return []
    return [
        *[
            announce(topics.user(sender_id), DraftChanged(draft=draft))
            for sender_id, draft in await queries.emptied_drafts(conn, sent)
        ],
        *[
            announce(
                topics.user(sender_id),
                ConversationMineChanged(conversation_id=conversation_id, mine=mine),
            )
            for sender_id, conversation_id, mine in await queries.ended_marks(conn, sent)
        ],
    ]
