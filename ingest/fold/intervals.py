"""Intervals from boundaries: talking, holding.

fold ─▶ intervals. Boundaries come in any order and do not pair: a repeated start keeps the first, a
repeated end is ignored, and what is still open closes when the leg ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ingest.model.call_state import ms_between

Interval = tuple[datetime, datetime | None]
"""From, until; None while it goes on."""


def pair(
    starts: Iterable[datetime], ends: Iterable[datetime], closed_at: datetime | None
) -> list[Interval]:
    """Pair each start with the first end after it; at one instant, the end of the old is first."""
    boundaries = sorted([(at, 0) for at in ends] + [(at, 1) for at in starts])
    intervals: list[Interval] = []
    since: datetime | None = None
    for at, is_start in boundaries:
        if is_start:
            since = since or at
        elif since is not None:
            intervals.append((since, at))
            since = None
    if since is not None:
        intervals.append((since, max(since, closed_at) if closed_at else None))
    return intervals


def intersection(one: Interval, other: Interval) -> Interval | None:
    """Return what two intervals have in common; None when that is nothing."""
    start = max(one[0], other[0])
    ends = [end for _, end in (one, other) if end]
    end = min(ends, default=None)
    return None if end is not None and end <= start else (start, end)


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Return their union: apart from each other, in the order of time."""
    union: list[Interval] = []
    for start, end in sorted(intervals, key=lambda interval: interval[0]):
        since, until = union[-1] if union else (start, start)
        if union and (until is None or start <= until):
            union[-1] = (since, None if end is None or until is None else max(until, end))
        else:
            union.append((start, end))
    return union


def total_ms(intervals: Iterable[Interval]) -> int:
    """Return the length of the union of the intervals that are over."""
    total, covered_until = 0, None
    for start, end in sorted((start, end) for start, end in intervals if end):
        begin = start if covered_until is None else max(start, covered_until)
        if end is not None and end > begin:
            total += ms_between(begin, end)
            covered_until = end
    return total
