"""Several devices of one telephone that ring together: one offer, not several.

legs ─▶ other_devices ─▶ fold. A desk telephone and an app may be registered with one extension. The
PBX rings both and reports a channel for each; the employee was asked once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from ingest.fold.end_reasons import ended_reason
from ingest.fold.legs import Leg

NONE: frozenset[str] = frozenset()

STRONGEST = ("completed", "rejected", "no_answer", "busy", "answered_elsewhere", "failed",
             "canceled", "lost")  # fmt: skip
"""Which device stands for the telephone: the one that answered or refused, else one that rang."""


def other_devices(legs: list[Leg]) -> frozenset[str]:
    """Return the keys of legs that are part of the offer of another leg of their telephone.

    A device that was in a conversation is never one of them.
    """
    rung = [leg for leg in legs if leg.extension and leg.ringing_at]
    if len(rung) == len({leg.extension for leg in rung}):
        return NONE
    by_extension: dict[str | None, list[Leg]] = defaultdict(list)
    for leg in rung:
        by_extension[leg.extension].append(leg)
    others = set()
    for devices in by_extension.values():
        for together in _rung_together(devices):
            first = min(together, key=lambda leg: _strength(leg, legs))
            others |= {leg.key for leg in together if leg is not first and not leg.talks}
    return frozenset(others)


def _rung_together(devices: list[Leg]) -> Iterator[list[Leg]]:
    """Divide legs of one telephone into those that rang at the same time, directly or in a chain.

    A telephone that is rung again after it stopped is offered the call again.
    """
    together: list[Leg] = []
    until: datetime | None = None
    for leg in sorted(devices, key=_rang_from):
        at, end = _rang_from(leg), leg.answered_at or leg.ended_at
        if together and (until is None or at < until or at == _rang_from(together[-1])):
            together.append(leg)
            until = None if until is None or end is None else max(until, end)
            continue
        if together:
            yield together
        together, until = [leg], end
    yield together


def _rang_from(leg: Leg) -> datetime:
    assert leg.ringing_at is not None
    return leg.ringing_at


def _strength(leg: Leg, legs: list[Leg]) -> tuple[int, bool, datetime, str]:
    """Return the sort key by which the leg that stands for its telephone is the first."""
    reason = ended_reason(leg, legs)
    place = STRONGEST.index(reason) if reason and not leg.answered_at else 0
    return place, not leg.talks, leg.answered_at or _rang_from(leg), leg.key
