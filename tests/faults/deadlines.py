"""When a delivery can be expected, given the faults and disconnections.

checker ─▶ DeliveryDeadlines. A fault, or having no connection, postpones what is due while it lasts
and what falls due within the limit after it. The calm after each fault is longer than that limit,
so no chain of faults excuses everything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from tests.faults.history import History

Span = tuple[float, float]


class DeliveryDeadlines:
    """The excuses of one run."""

    def __init__(self, history: History, bound_s: float) -> None:
        self._bound_s = bound_s
        self._faults = sorted((fault.began_at, fault.over_at) for fault in history.faults)
        self._away = {reader: _away(sessions) for reader, sessions in _by_reader(history).items()}

    def after_faults(self, at: float) -> float:
        """Return from when on what happened then can be expected to have its effects."""
        return _put_off(at, self._faults, self._bound_s)

    def expected(self, reader: int, at: float) -> float:
        """Return from when on this reader can be expected to be told of it."""
        spans = sorted([*self._faults, *self._away.get(reader, ())])
        return _put_off(at, spans, self._bound_s)


def _put_off(at: float, spans: Sequence[Span], bound_s: float) -> float:
    for began_at, over_at in spans:
        if began_at <= at + bound_s:
            at = max(at, over_at)
    return at


def _by_reader(history: History) -> dict[int, list[Span]]:
    """Return reader → when its connections worked."""
    found: dict[int, list[Span]] = defaultdict(list)
    for session in history.sessions:
        ends = [end for end in (session.ended_at, session.silent_from) if end is not None]
        found[session.reader].append((session.began_at, min(ends, default=float("inf"))))
    return found


def _away(sessions: Sequence[Span]) -> list[Span]:
    return [(ended_at, began_at) for (_, ended_at), (began_at, _) in pairwise(sessions)]
