"""What leaves first when a client reads slowly: calls, then replies, messages, receipts, the rest.

A telephone that rings is worth nothing later; who is typing is worth nothing then. Within a lane
order is kept; clients place messages by number and states by version, so lanes may overtake.
"""

from __future__ import annotations

from typing import Final

CALL: Final = 0
REPLY: Final = 1
MESSAGE: Final = 2
RECEIPT: Final = 3
PASSING: Final = 4
"""May be replaced by a newer one of its subject, or dropped."""

COUNT: Final = 5
NAMES: Final = ("call", "reply", "message", "receipt", "passing")

_LANES = {
    "call.offered": CALL,
    "call.updated": CALL,
    "call.ended": CALL,
    "call.revised": CALL,
    "message.created": MESSAGE,
    "message.updated": MESSAGE,
    "message.deleted": MESSAGE,
    "message.reacted": MESSAGE,
    "conversation.created": MESSAGE,
    "message.schedule_failed": MESSAGE,
    "conversation.updated": MESSAGE,
    "participant.changed": MESSAGE,
    "conversation.mine_changed": RECEIPT,
    "receipt.delivered": RECEIPT,
    "receipt.read": RECEIPT,
    "unread.changed": RECEIPT,
    "draft.changed": RECEIPT,
    "queue.changed": RECEIPT,
    "agent.state_changed": RECEIPT,
    "presence.changed": PASSING,
    "typing.started": PASSING,
}


def lane_of(event_type: str) -> int:
    """Return the lane of an event; one that is not listed counts as a message: never dropped."""
    return _LANES.get(event_type, MESSAGE)
