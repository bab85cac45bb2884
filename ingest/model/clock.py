"""Times reported by a PBX: from epoch seconds to UTC, and which of them are plausible."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_PAST, MAX_FUTURE = timedelta(days=366), timedelta(days=1)
"""A PBX's clock may be wrong, but not by more than a day."""


def from_epoch(seconds: float) -> datetime:
    """Convert epoch seconds to UTC, rounded to the microsecond that PostgreSQL stores."""
    return EPOCH + timedelta(microseconds=round(seconds * 1_000_000))


def is_plausible(at: datetime, received_at: datetime) -> bool:
    """Return whether a PBX's time is plausible: at most a year ago, at most a day ahead."""
    return received_at - MAX_PAST <= at <= received_at + MAX_FUTURE
