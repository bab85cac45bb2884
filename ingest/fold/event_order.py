"""The canonical order of events: the same for the same events, in whatever order they arrived.

event_log, legs ─▶ order_key. By time, and at one instant causes before effects.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ingest.model.events import CallEvent

RANK = {
    name: rank
    for rank, name in enumerate(
        (
            "call.started", "leg.created", "call.linked", "party.updated", "queue.requested",
            "queue.entered", "offer.started", "leg.ringing", "leg.answered", "offer.ended",
            "queue.left", "queue.connected", "bridge.joined", "leg.hold_on", "leg.hold_off",
            "transfer.blind", "transfer.attended", "queue.abandoned", "queue.outcome",
            "queue.completed", "bridge.left", "leg.ended", "call.ended",
        )
    )
}  # fmt: skip
"""The order of events of one instant: causes before effects."""


def order_key(event: CallEvent) -> tuple[datetime, int, int]:
    """Return the sort key of an event; it depends on nothing but the event."""
    return event.occurred_at, RANK.get(event.type, len(RANK)), event.event_id.int


def canonical(events: Iterable[CallEvent]) -> list[CallEvent]:
    """Return each event once, in an order that depends on nothing but the events."""
    return sorted({event.event_id.int: event for event in events}.values(), key=order_key)
