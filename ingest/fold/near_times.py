"""What one moment caused, and what came before it: times of reports compared with tolerance.

queue_stints, handovers, transfers, legs ─▶ not_after, not_before. Threads of a PBX report what one
moment caused in any order: a caller enters a queue 0.2 ms before the transfer that sent them there.
So no rule may depend on which of two such times is less. Equal times are different: between them
the order of telling is known.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ingest.fold.event_order import order_key
from ingest.model.events import CallEvent

NEAR = timedelta(milliseconds=10)
"""Reports so close may be in either order: 0 to 4 ms in recordings, and no person is faster."""


def not_after(one: datetime, other: datetime) -> bool:
    """Return whether the first may have happened before the second, or in the same moment."""
    return one <= other + NEAR


def not_before(one: datetime, other: datetime) -> bool:
    """Return whether the first may have happened after the second, or in the same moment."""
    return one >= other - NEAR


def is_near(one: datetime, other: datetime) -> bool:
    """Return whether one moment may have caused both; of equal times, the order is known."""
    return one != other and abs(one - other) <= NEAR


def may_precede(one: CallEvent, other: CallEvent) -> bool:
    """Return whether the first may have happened before the second."""
    if one.occurred_at == other.occurred_at:
        return order_key(one) <= order_key(other)
    return not_after(one.occurred_at, other.occurred_at)
