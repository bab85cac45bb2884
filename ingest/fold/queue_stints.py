"""Stays in queues, and how each ended.

fold ─▶ stints. An outcome goes by precedence (connected, then what the queue said, then giving
up, then leaving by key), never by which event came last: leaving the queue is told before the
connection that explains it, and "abandoned" is also told when it was the queue that gave up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import cast

from ingest.fold.channels import PbxChannel
from ingest.fold.event_log import EventLog
from ingest.fold.legs import Leg, leg_of
from ingest.model.call_state import StintOutcome, StintState, ms_between
from ingest.model.events import CallEvent

EXPLAINED_WITHIN = timedelta(seconds=2)
"""Leaving is followed by its reason within 4 ms; after 2 s no reason will come any more."""

REPEATED_WITHIN = timedelta(seconds=1)
"""Nobody enters twice so soon without leaving: the same entry was heard on two connections."""

LEAVING = frozenset(("queue.left", "queue.abandoned", "queue.connected"))
REFUSED = frozenset(("full", "join_empty"))


@dataclass(slots=True, kw_only=True)
class Entry:
    """One entry of one channel into one queue, with what was said about it until the next entry."""

    leg_key: str
    queue: str
    entered_at: datetime
    until: datetime | None = None
    """When the same channel entered a queue again."""
    connected: set[datetime] = field(default_factory=set)
    left: set[datetime] = field(default_factory=set)
    abandoned: set[datetime] = field(default_factory=set)
    outcomes: set[tuple[datetime, str]] = field(default_factory=set)


def build_stints(told: EventLog, legs: list[Leg]) -> tuple[StintState, ...]:
    """Return the stays in the order of their beginning."""
    by_leg: dict[str, list[CallEvent]] = defaultdict(list)
    for event in told.queue_events:
        if event.leg_key:
            by_leg[event.leg_key].append(event)
    if not by_leg:
        return ()
    last = told.events[-1].occurred_at
    handed = {
        key for e in told.transfer_events if e.type == "transfer.attended" for key in _leg_keys(e)
    }
    stints = [
        _stint_state(stay, _gone_at(stay, legs, handed, told.channels), legs, last)
        for stay in _all_entries(by_leg)
    ]
    return tuple(sorted(stints, key=lambda stint: (stint.entered_at, stint.queue)))


def _leg_keys(event: CallEvent) -> list[str]:
    return [key for key in (event.leg_key, event.peer_leg_key) if key]


def _all_entries(by_leg: dict[str, list[CallEvent]]) -> list[Entry]:
    """Return the stays of all channels, with what was said about each."""
    entered = {leg_key: _entries(leg_key, told) for leg_key, told in by_leg.items()}
    for stays in entered.values():
        for stay, following in pairwise(stays):
            stay.until = following.entered_at
    everywhere = [stay for stays in entered.values() for stay in stays]
    for leg_key, told in by_leg.items():
        if not entered[leg_key] and not any(
            _entries_of_others(event, everywhere) for event in told
        ):
            entered[leg_key] = _entry_from_connect(leg_key, told)
        for event in told:
            if told_of := _entry_of(event, entered[leg_key], everywhere):
                _add_event(told_of, event)
    return [stay for stays in entered.values() for stay in stays]


def _entry_of(event: CallEvent, own: list[Entry], everywhere: list[Entry]) -> Entry | None:
    """Return the channel's latest stay; when it was handed on into a queue, that of who did."""
    before = [stay for stay in own if stay.entered_at <= event.occurred_at]
    if event.queue and all(stay.queue != event.queue for stay in before):
        before = _entries_of_others(event, everywhere) or before
    return before[-1] if before else None


def _entries_of_others(event: CallEvent, everywhere: list[Entry]) -> list[Entry]:
    found = [
        stay
        for stay in everywhere
        if stay.queue == event.queue and stay.entered_at <= event.occurred_at
    ]
    return sorted(found, key=lambda stay: (stay.entered_at, stay.leg_key))


def _gone_at(
    stay: Entry, legs: list[Leg], handed: set[str], channels: Mapping[str, PbxChannel]
) -> datetime | None:
    """When whoever waits was gone: the telephone that entered, or whom it put in its place.

    Plumbing that entered for somebody (`Local/8002@queues`) goes with him.
    """
    leg = leg_of(stay.leg_key, legs)
    if leg is None:
        channel = channels.get(stay.leg_key)
        return channel.ended_at(None) if channel else None
    if stay.leg_key not in handed:
        return leg.ended_at
    others = [other.ended_at for other in legs if other.calling and other.key != leg.key]
    return None if None in others else max((at for at in others if at), default=leg.ended_at)


def _entries(leg_key: str, told: list[CallEvent]) -> list[Entry]:
    """Entering, or being refused at the door: then there is a wish to enter and an outcome."""
    stays: list[Entry] = []
    wish: CallEvent | None = None
    inside = False

    def enter(queue: str, at: datetime, *, again: bool) -> None:
        last = stays[-1] if again and stays and stays[-1].queue == queue else None
        if last is None or at - last.entered_at > REPEATED_WITHIN:
            stays.append(Entry(leg_key=leg_key, queue=queue, entered_at=at))

    for event in told:
        if event.type == "queue.requested":
            wish = event
        elif event.type == "queue.entered" and event.queue:
            enter(event.queue, event.occurred_at, again=inside)
            wish, inside = None, True
        elif event.type == "queue.outcome" and wish and event.attrs.get("outcome") in REFUSED:
            enter(wish.queue or event.queue or "", wish.occurred_at, again=not inside)
            wish = None
        elif event.type in LEAVING and stays and event.queue == stays[-1].queue:
            inside = False
    return stays


def _entry_from_connect(leg_key: str, told: list[CallEvent]) -> list[Entry]:
    """We began to listen after the caller had entered: the connection says how long he waited."""
    for event in told:
        if event.type == "queue.connected" and event.queue:
            waited = timedelta(seconds=int(event.attrs.get("waited_s") or 0))
            entered_at = event.occurred_at - waited
            return [Entry(leg_key=leg_key, queue=event.queue, entered_at=entered_at)]
    return []


def _add_event(stay: Entry, event: CallEvent) -> None:
    at = event.occurred_at
    match event.type:
        case "queue.connected":
            stay.connected.add(at)
        case "queue.left":
            stay.left.add(at)
        case "queue.abandoned":
            stay.abandoned.add(at)
        case "queue.outcome" if event.attrs.get("outcome"):
            stay.outcomes.add((at, str(event.attrs["outcome"])))
        case _:
            pass


def _stint_state(
    stay: Entry, gone_at: datetime | None, legs: list[Leg], last: datetime
) -> StintState:
    outcome, at = _outcome(stay, gone_at, legs, last)
    left_at = min(stay.left | ({at} if at else set()), default=None)
    until = at or left_at
    return StintState(
        queue=stay.queue,
        entered_at=stay.entered_at,
        answered_at=at if outcome == "connected" else None,
        left_at=left_at,
        outcome=outcome,
        wait_ms=ms_between(stay.entered_at, until) if until else None,
    )


def _outcome(
    stay: Entry, gone_at: datetime | None, legs: list[Leg], last: datetime
) -> tuple[StintOutcome | None, datetime | None]:
    """Return how the stay ended and when; None while that is not known."""
    if connected := min(stay.connected, default=None):
        return "connected", connected
    if stay.outcomes:
        at, said = min(stay.outcomes)
        return cast("StintOutcome", said), min(stay.left | stay.abandoned | {at})
    if abandoned := min(stay.abandoned, default=None):
        return _abandoned(abandoned, gone_at, last)
    if answered := _answered(stay, legs):
        return "connected", answered
    if left := min(stay.left, default=None):
        return _unexplained(stay, left, gone_at, last)
    return ("abandoned", gone_at) if gone_at else (None, None)


def _abandoned(
    at: datetime, gone_at: datetime | None, last: datetime
) -> tuple[StintOutcome | None, datetime | None]:
    """Tell a caller who hung up (his channel ends now) from one the queue sent away."""
    if gone_at and gone_at - at <= EXPLAINED_WITHIN:
        return "abandoned", at
    if gone_at or last - at > EXPLAINED_WITHIN:
        return "timeout", at
    return None, None


def _unexplained(
    stay: Entry, left: datetime, gone_at: datetime | None, last: datetime
) -> tuple[StintOutcome | None, datetime | None]:
    """Left, and neither connected nor abandoned: the way out is a key."""
    if gone_at or stay.until or last - left > EXPLAINED_WITHIN:
        return "key", left
    return None, None


def _answered(stay: Entry, legs: list[Leg]) -> datetime | None:
    """Find an answer given while the caller was in the queue, should the connection be untold."""
    until = min((at for at in (*stay.left, stay.until) if at), default=None)
    answers = (
        leg.answered_at
        for leg in legs
        if leg.reached and not leg.external and not leg.calling and stay.leg_key not in leg.keys
    )
    slack = timedelta(milliseconds=500)
    return min(
        (
            at
            for at in answers
            if at and stay.entered_at <= at and (not until or at <= until + slack)
        ),
        default=None,
    )
