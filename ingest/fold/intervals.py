"""Intervals from starts and ends: of talking, of holding.

legs, bridged_peers ─▶ pair, intersection, union, total_ms. Starts and ends arrive in any order and
need not match: of repeated starts the first counts, a repeated end is ignored, an end reported just
before its start closes it, and an interval that is still open closes when the leg ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from ingest.fold.event_order import Moment
from ingest.fold.near_times import not_before
from ingest.model.call_state import ms_between

Interval = tuple[datetime, datetime | None]
"""(from, until); until is None while it goes on."""


def pair(
    starts: Collection[Moment], ends: Collection[Moment], closed_at: datetime | None
) -> list[Interval]:
    """Pair each start with the first end after it; unnumbered ends of one time come before starts.

    An end that was told after a start of the same time ends it at once.
    """
    if len(starts) == 1 and len(ends) == 1:  # as of most telephones in most calls
        (start,), (end,) = starts, ends
        if start < end:
            return [(start[0], end[0])]
    boundaries = sorted([(one, 0) for one in ends] + [(one, 1) for one in starts])
    intervals: list[Interval] = []
    since: datetime | None = None
    unused: datetime | None = None
    for (at, _), is_start in boundaries:
        if not is_start and since is None:
            unused = at
        elif not is_start:
            intervals.append((since or at, at))
            since = unused = None
        elif since is None and unused is not None and unused < at and not_before(unused, at):
            intervals.append((unused, at))
            unused = None
        else:
            since = since or at
    if since is not None:
        intervals.append((since, max(since, closed_at) if closed_at else None))
    return intervals


def intersection(one: Interval, other: Interval) -> Interval | None:
    """Return the intersection of two intervals; None when it is empty."""
    start = max(one[0], other[0])
    ends = [end for _, end in (one, other) if end]
    end = min(ends, default=None)
    return None if end is not None and end <= start else (start, end)


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Return their union as disjoint intervals, in the order of time."""
    found: list[Interval] = []
    for start, end in sorted(intervals, key=lambda interval: interval[0]):
        since, until = found[-1] if found else (start, start)
        if found and (until is None or start <= until):
            found[-1] = (since, None if end is None or until is None else max(until, end))
        else:
            found.append((start, end))
    return found


def total_ms(intervals: Iterable[Interval]) -> int:
    """Return the length in milliseconds of the union of the intervals that are over."""
    over = [(start, end) for start, end in intervals if end]
    if len(over) == 1:
        return ms_between(*over[0])
    total, covered_until = 0, None
    for start, end in sorted(over):
        begin = start if covered_until is None else max(start, covered_until)
        if end > begin:
            total += ms_between(begin, end)
            covered_until = end
    return total
