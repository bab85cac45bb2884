"""The order of sending to a client that reads slowly: calls, replies, messages, receipts, the rest.

A ringing telephone is useless later; so is a typing notice. Within a lane the order is kept;
clients place messages by number and states by version, so lanes may overtake each other.
"""

from __future__ import annotations

from typing import Final, get_args

from gateway.protocol.declaration import EVENT_DECLARATIONS, Lane

CALL: Final = 0
REPLY: Final = 1
MESSAGE: Final = 2
RECEIPT: Final = 3
PASSING: Final = 4
"""May be replaced by a newer one of its subject, or dropped."""

NAMES: Final = get_args(Lane)
COUNT: Final = len(NAMES)

_LANES = {name: NAMES.index(event.lane) for name, event in EVENT_DECLARATIONS.items()}


def lane_of(event_type: str) -> int:
    """Return the lane that an event is declared with; one of a newer node counts as a message."""
    return _LANES.get(event_type, MESSAGE)
