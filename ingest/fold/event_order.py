"""The canonical order of events: by time, and at one time in the order in which they were told.

event_log, legs ─▶ order_key. A PBX that reports whole seconds tells of many events with one time,
and only the order of telling shows that a caller left one queue before entering another. Events
without a number, of earlier releases, come first at their time: causes before effects.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ingest.model.events import CallEvent

RANK = {
    name: rank
    for rank, name in enumerate(
        (
            "call.started", "leg.created", "call.linked", "party.updated", "group.entered",
            "queue.requested", "queue.entered", "offer.started", "leg.ringing", "leg.answered",
            "offer.ended", "queue.left", "queue.connected", "bridge.joined", "leg.hold_on",
            "leg.hold_off", "transfer.blind", "transfer.attended", "transfer.redirect",
            "queue.abandoned", "queue.outcome", "queue.completed", "voicemail.started",
            "voicemail.ended", "bridge.left", "call.parked", "call.unparked", "leg.hung_up",
            "leg.ended", "call.ended",
        )
    )
}  # fmt: skip
"""The order of unnumbered events of one instant: causes before effects."""

Moment = tuple[datetime, int]
"""A time, and the number that decides between equal times; 0: none."""


def moment(event: CallEvent) -> Moment:
    """Return when an event occurred, comparable with moments of the same PBX's other events."""
    return event.occurred_at, event.told or 0


def order_key(event: CallEvent) -> tuple[datetime, int, int, int]:
    """Return the sort key of an event; it depends on nothing but the event."""
    rank = RANK.get(event.type, len(RANK))
    return event.occurred_at, event.told or 0, rank, event.event_id.int


def canonical(events: Iterable[CallEvent]) -> list[CallEvent]:
    """Return each event once, in an order that depends on nothing but the events."""
    return sorted({event.event_id.int: event for event in events}.values(), key=order_key)
