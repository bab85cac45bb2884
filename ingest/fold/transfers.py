"""Transfers of a call: by whom, to whom, and whether anybody took the call.

fold ─▶ build_transfers. A PBX reports that a call was transferred, and at best to which channel;
who took it follows from the legs. "Success" of a blind transfer only means that it was sent on.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise

from ingest.fold.event_log import EventLog
from ingest.fold.legs import Leg, leg_of
from ingest.model.call_state import StintState, TransferKind, TransferState, ms_between
from ingest.model.events import CallEvent


def build_transfers(
    log: EventLog, legs: list[Leg], stints: Iterable[StintState]
) -> tuple[TransferState, ...]:
    """Return the transfers of a call in the order of time."""
    events = _unique(log.transfer_events)
    return tuple(
        _transfer(event, following.occurred_at if following else None, legs, stints)
        for event, following in pairwise((*events, None))
        if event
    )


def _unique(events: Iterable[CallEvent]) -> list[CallEvent]:
    """Return a transfer by one telephone at one instant once, though several channels report it."""
    once: dict[tuple[datetime, str | None], CallEvent] = {}
    for event in events:
        once.setdefault((event.occurred_at, event.leg_key), event)
    return list(once.values())


def _transfer(
    event: CallEvent, until: datetime | None, legs: list[Leg], stints: Iterable[StintState]
) -> TransferState:
    at = event.occurred_at
    by = leg_of(event.leg_key, legs) or leg_of(event.peer_leg_key, legs)
    blind = event.type == "transfer.blind"
    target = _rung_after(at, until, legs) if blind else _consulted(event, by, legs)
    answered_at = target.answered_at if target and target.reached else None
    kind: TransferKind = "blind" if blind else _kind(event, answered_at)
    consulted = kind in {"attended", "threeway"} and answered_at is not None
    stint = next(
        (s for s in stints if s.entered_at >= at and not (until and s.entered_at >= until)), None
    )
    return TransferState(
        kind=kind,
        at=at,
        by_leg_key=by.key if by else event.leg_key,
        by_extension=by.extension if by else None,
        to_number=_text(event.attrs.get("to")) or (target.dialled if target else None),
        to_extension=target.extension if target else None,
        queue=stint.queue if stint else None,
        answered_at=answered_at,
        consult_ms=ms_between(answered_at, at) if consulted and answered_at else None,
    )


def _kind(event: CallEvent, answered_at: datetime | None) -> TransferKind:
    """Distinguish a transfer after a consultation from one to a telephone that still rang."""
    if event.attrs.get("mode") == "threeway":
        return "threeway"
    return "attended" if answered_at and answered_at <= event.occurred_at else "blonde"


def _rung_after(at: datetime, until: datetime | None, legs: list[Leg]) -> Leg | None:
    """Return the leg that took a call after a blind transfer, else the one that was rung first."""
    rung = [
        leg
        for leg in legs
        if not leg.calling and leg.created_at >= at and not (until and leg.created_at >= until)
    ]
    taken = [leg for leg in rung if leg.reached]
    return min(taken, key=_answered_at) if taken else next(iter(rung), None)


def _consulted(event: CallEvent, by: Leg | None, legs: list[Leg]) -> Leg | None:
    """Return the leg that was consulted: the one that is named, else the most probable one."""
    for key in (_text(event.attrs.get("target")), event.peer_leg_key):
        named = leg_of(key, legs)
        if named and not named.calling and not (by and _is_same(named, by)):
            return named
    at = event.occurred_at
    there = [
        leg
        for leg in legs
        if leg is not by
        and not leg.calling
        and leg.created_at <= at
        and not (leg.ended_at and leg.ended_at < at)
    ]
    later = [leg for leg in there if by is None or leg.created_at > by.created_at]
    return max(later, key=lambda leg: (leg.reached, leg.created_at, leg.key), default=None)


def _is_same(leg: Leg, other: Leg) -> bool:
    """Return whether these are one telephone, or two lines of one."""
    return leg is other or (leg.extension is not None and leg.extension == other.extension)


def _answered_at(leg: Leg) -> tuple[datetime, str]:
    assert leg.answered_at is not None
    return leg.answered_at, leg.key


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
