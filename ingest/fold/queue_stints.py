"""Stints of callers in queues, and how each ended.

fold ─▶ build_stints. The outcome follows a precedence (connected, then what the queue reported,
then abandoned, then left by key), never the order of arrival: leaving the queue is reported before
the connection that explains it, and "abandoned" also when it was the queue that gave up. A caller
may leave one queue and enter another within one second: then the order of telling divides them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import cast
from uuid import UUID

from ingest.fold.channels import PbxChannel
from ingest.fold.event_log import EventLog
from ingest.fold.event_order import Moment, moment, order_key
from ingest.fold.handovers import Handover, handovers
from ingest.fold.legs import Leg, leg_of
from ingest.fold.mailboxes import in_place
from ingest.fold.near_times import is_near, may_precede, not_after, not_before
from ingest.model.call_state import StintOutcome, StintState, ms_between
from ingest.model.events import CallEvent

EXPLAINED_WITHIN = timedelta(seconds=2)
"""The reason follows a leaving within 4 ms; after 2 s, no reason will arrive."""

REPEATED_WITHIN = timedelta(seconds=1)
"""An entry so soon after another without leaving is the same, received on two connections."""

OrderKey = tuple[datetime, int, int, int]

LEAVING = frozenset(("queue.left", "queue.abandoned", "queue.connected"))
CONVERSATION = frozenset(("queue.connected", "queue.completed"))
REFUSED = frozenset(("full", "join_empty"))


@dataclass(slots=True, kw_only=True)
class QueueEntry:
    """One entry of one channel into one queue, with its facts until the next entry."""

    leg_key: str
    queue: str
    entered_at: datetime
    key: OrderKey
    """The order key of the event that told of it."""
    until: datetime | None = None
    """When the same channel entered a queue again."""
    connected: set[datetime] = field(default_factory=set)
    left: set[datetime] = field(default_factory=set)
    abandoned: set[datetime] = field(default_factory=set)
    outcomes: set[tuple[Moment, str]] = field(default_factory=set)
    by_caller: bool = False
    """The caller's channel left the queue: it hung up, or was transferred out of it."""
    refusal: UUID | None = None
    """The event that refused it: the queue was full or empty."""

    def precedes(self, event: CallEvent) -> bool:
        """Return whether the caller may have entered before this event."""
        if self.entered_at == event.occurred_at:
            return self.key <= order_key(event)
        return not_after(self.entered_at, event.occurred_at)

    def lacks(self, event: CallEvent) -> bool:
        """Return whether its end is still without this fact, so that the event may report it."""
        match event.type:
            case "queue.left":
                return not self.left
            case "queue.abandoned":
                return not (self.abandoned or self.connected)
            case "queue.outcome":
                return not (self.outcomes or self.connected)
            case _:
                return not (self.outcomes or self.connected or self.abandoned)


def build_stints(log: EventLog, legs: list[Leg]) -> tuple[StintState, ...]:
    """Return the stints in the order of their beginning."""
    by_leg: dict[str, list[CallEvent]] = defaultdict(list)
    nobody = in_place(log.channels)
    for event in log.queue_events:
        if event.leg_key and not (nobody and _is_to(event, nobody)):
            by_leg[event.leg_key].append(event)
    if not by_leg:
        return ()
    last = log.events[-1].occurred_at
    joined = [found for found in handovers(log.transfer_events, legs) if not found.blind]
    return tuple(
        _stint_state(
            entry,
            _gone_at(entry, legs, joined, log.channels),
            _moved_on(entry, legs, log.channels, last),
            legs,
            last,
        )
        for entry in sorted(_all_entries(by_leg), key=lambda entry: (entry.key[:2], entry.queue))
    )


def wait_ms(stints: tuple[StintState, ...]) -> int | None:
    """Return the time from entering the first queue to the first answer, or to leaving the last."""
    if not stints:
        return None
    until = connected_at(stints) or stints[-1].left_at
    return ms_between(stints[0].entered_at, until) if until else None


def connected_at(stints: tuple[StintState, ...]) -> datetime | None:
    """Return when a queue first connected its caller with somebody."""
    return min((stint.answered_at for stint in stints if stint.answered_at), default=None)


def _is_to(event: CallEvent, nobody: frozenset[str]) -> bool:
    """Return whether it reports a conversation with a mailbox in an agent's place."""
    return event.type in CONVERSATION and event.peer_leg_key in nobody


def _all_entries(by_leg: dict[str, list[CallEvent]]) -> list[QueueEntry]:
    """Return the entries of all channels, each with its facts."""
    entered = {leg_key: _entries(leg_key, events) for leg_key, events in by_leg.items()}
    for entries in entered.values():
        for entry, following in pairwise(entries):
            entry.until = following.entered_at
    everywhere = [entry for entries in entered.values() for entry in entries]
    refusals = {entry.refusal for entry in everywhere}
    for leg_key, events in by_leg.items():
        if not entered[leg_key] and not any(
            _entries_of_others(event, everywhere) for event in events
        ):
            entered[leg_key] = _entry_from_connect(leg_key, events)
        for event in events:
            if event.event_id in refusals:
                continue
            if latest := _entry_of(event, entered[leg_key], everywhere):
                _add_event(latest, event)
    return [entry for entries in entered.values() for entry in entries]


def _entry_of(
    event: CallEvent, own: list[QueueEntry], everywhere: list[QueueEntry]
) -> QueueEntry | None:
    """Return the channel's latest entry into the queue that the event names, or into any.

    After a transfer into a queue, it is the transferrer's. An end that is reported in the moment of
    the next entry is the end of the one before.
    """
    if own and len(everywhere) == 1:  # as in most calls: then it is that one
        return own[0] if own[0].precedes(event) else None
    before = [entry for entry in own if entry.precedes(event)]
    if event.queue:
        named = [entry for entry in before if entry.queue == event.queue]
        before = named or _entries_of_others(event, everywhere) or before
    if len(before) > 1 and is_near(before[-1].entered_at, event.occurred_at):
        return before[-2] if before[-2].lacks(event) else before[-1]
    return before[-1] if before else None


def _entries_of_others(event: CallEvent, everywhere: list[QueueEntry]) -> list[QueueEntry]:
    found = [entry for entry in everywhere if entry.queue == event.queue and entry.precedes(event)]
    return sorted(found, key=lambda entry: (entry.key[:2], entry.leg_key))


def _gone_at(
    entry: QueueEntry,
    legs: list[Leg],
    joined: list[Handover],
    channels: Mapping[str, PbxChannel],
) -> datetime | None:
    """Return when the waiting party was gone: the leg that entered, or whom it was replaced by.

    An internal channel that entered for a caller (`Local/8002@queues`) ends with that caller.
    """
    leg = leg_of(entry.leg_key, legs)
    if leg is None:
        channel = channels.get(entry.leg_key)
        return channel.ended_at(None) if channel else None
    handed = next((found for found in joined if leg in found.lines), None)
    if handed is None:
        return leg.ended_at
    others = [
        other.ended_at
        for other in legs
        if other not in handed.lines
        and (other.calling or (other.answered_at and not_after(other.answered_at, handed.at)))
    ]
    return None if None in others else max((at for at in others if at), default=leg.ended_at)


def _moved_on(
    entry: QueueEntry, legs: list[Leg], channels: Mapping[str, PbxChannel], last: datetime
) -> datetime | None:
    """Return when the caller was certainly in the queue no more, whatever the queue has told.

    In another queue, in a mailbox, parked, or in a conversation with an outsider: one whom the
    caller's channel rang may be the queue's member, of whom it tells after the bridge.
    """
    channel = channels.get(entry.leg_key)
    elsewhere: list[datetime] = []
    if channel:
        elsewhere = [fact[0][0] for fact in channel.mailboxes]
        elsewhere += [fact[0][0] for fact in channel.parked]
    outside = [leg for leg in legs if leg.external and leg.talks and not leg.calling]
    elsewhere += [
        at
        for leg in outside
        if entry.leg_key not in leg.keys
        for at, end in leg.talks
        if end or entry.leg_key not in leg.diallers or last - at > EXPLAINED_WITHIN
    ]
    later = [at for at in elsewhere if at > entry.entered_at]
    if entry.until:
        later.append(entry.until)
    return min(later) if later else None


def _entries(leg_key: str, events: list[CallEvent]) -> list[QueueEntry]:
    """Return entries, also refused ones: those have a request to enter and an outcome."""
    entered = [event for event in events if event.type == "queue.entered" and event.queue]
    refused = _refused(events, entered)
    entries: list[QueueEntry] = []
    for event, outcome in sorted(
        [*((one, None) for one in entered), *refused], key=lambda found: order_key(found[0])
    ):
        last = entries[-1] if entries else None
        if last and last.queue == event.queue and _is_repeated(last, event, outcome, events):
            continue
        queue = event.queue or (outcome.queue if outcome else None) or ""
        at = event.occurred_at
        entry = QueueEntry(leg_key=leg_key, queue=queue, entered_at=at, key=order_key(event))
        if outcome:
            entry.refusal = outcome.event_id
            _add_event(entry, outcome)
        entries.append(entry)
    return entries


def _is_repeated(
    last: QueueEntry, event: CallEvent, outcome: CallEvent | None, events: list[CallEvent]
) -> bool:
    """Return whether this entry is the last one again, received on a second connection."""
    at = event.occurred_at
    if at - last.entered_at > REPEATED_WITHIN or (outcome is None) != (last.refusal is None):
        return False
    return not any(
        one.type in LEAVING and one.queue == last.queue
        and last.key < order_key(one) and may_precede(one, event)
        for one in events
    )  # fmt: skip


def _refused(
    events: list[CallEvent], entered: list[CallEvent]
) -> list[tuple[CallEvent, CallEvent]]:
    """Return the requests that no entry followed, each with the outcome that refused it."""
    requests = [event for event in events if event.type == "queue.requested"]
    if not requests:
        return []
    for entry in entered:
        own = [r for r in requests if r.queue in {None, entry.queue}]
        if own := [r for r in own if may_precede(r, entry)]:
            requests.remove(own[-1])
    found = []
    for outcome in events:
        if outcome.type != "queue.outcome" or outcome.attrs.get("outcome") not in REFUSED:
            continue
        asked = [r for r in requests if may_precede(r, outcome)]
        at_once = [r for r in asked if is_near(r.occurred_at, outcome.occurred_at)]
        if asked:
            request = at_once[0] if at_once else asked[-1]
            requests.remove(request)
            found.append((request, outcome))
    return found


def _entry_from_connect(leg_key: str, events: list[CallEvent]) -> list[QueueEntry]:
    """Return an entry before our connection to the PBX: queue.connected has the time waited."""
    for event in events:
        if event.type == "queue.connected" and event.queue:
            waited = timedelta(seconds=int(event.attrs.get("waited_s") or 0))
            entered_at = event.occurred_at - waited
            key = (entered_at, 0, 0, 0)
            return [QueueEntry(leg_key=leg_key, queue=event.queue, entered_at=entered_at, key=key)]
    return []


def _add_event(entry: QueueEntry, event: CallEvent) -> None:
    at = event.occurred_at
    match event.type:
        case "queue.connected":
            entry.connected.add(at)
        case "queue.left":
            entry.left.add(at)
            entry.by_caller |= event.attrs.get("by") == "caller"
        case "queue.abandoned":
            entry.abandoned.add(at)
        case "queue.outcome" if event.attrs.get("outcome"):
            entry.outcomes.add((moment(event), str(event.attrs["outcome"])))
        case _:
            pass


def _stint_state(
    entry: QueueEntry,
    gone_at: datetime | None,
    moved_on: datetime | None,
    legs: list[Leg],
    last: datetime,
) -> StintState:
    outcome, at = _outcome(entry, gone_at, moved_on, legs, last)
    left_at = min(entry.left | ({at} if at else set()), default=None)
    until = at or left_at
    return StintState(  # by place: model/frozen.py
        entry.queue,
        entry.entered_at,
        at if outcome == "connected" else None,
        left_at,
        outcome,
        ms_between(entry.entered_at, until) if until else None,
    )


def _outcome(
    entry: QueueEntry,
    gone_at: datetime | None,
    moved_on: datetime | None,
    legs: list[Leg],
    last: datetime,
) -> tuple[StintOutcome | None, datetime | None]:
    """Return how the stint ended and when; None while that is not known."""
    if connected := min(entry.connected, default=None):
        return "connected", connected
    if entry.outcomes:
        (at, _), outcome = min(entry.outcomes)
        return cast("StintOutcome", outcome), min(entry.left | entry.abandoned | {at})
    if abandoned := min(entry.abandoned, default=None):
        return _abandoned(abandoned, gone_at, last)
    if answered := _answered(entry, legs):
        return "connected", answered
    if left := min(entry.left, default=None):
        return _unexplained(entry, left, gone_at, last)
    if moved_on is None:
        return ("abandoned", gone_at) if gone_at else (None, None)
    return "key", moved_on  # somewhere else, and the queue has told nothing of it


def _abandoned(
    at: datetime, gone_at: datetime | None, last: datetime
) -> tuple[StintOutcome | None, datetime | None]:
    """Distinguish a caller who hung up (the channel ends now) from one the queue removed."""
    if gone_at and gone_at - at <= EXPLAINED_WITHIN:
        return "abandoned", at
    if gone_at or last - at > EXPLAINED_WITHIN:
        return "timeout", at
    return None, None


def _unexplained(
    entry: QueueEntry, left: datetime, gone_at: datetime | None, last: datetime
) -> tuple[StintOutcome | None, datetime | None]:
    """Return the outcome of leaving without connection or abandonment: by pressing a key.

    Of a caller's channel that left, how it went on decides: one that ends then has hung up.
    """
    hung_up = gone_at is not None and gone_at - left <= EXPLAINED_WITHIN
    if entry.by_caller and hung_up and not entry.until:
        return "abandoned", left
    if gone_at or entry.until or last - left > EXPLAINED_WITHIN:
        return "key", left
    return None, None


def _answered(entry: QueueEntry, legs: list[Leg]) -> datetime | None:
    """Find an answer while the caller was in the queue, in case queue.connected is missing.

    Who answers at the time of the next entry answers that one.
    """
    left = min(entry.left, default=None)
    answers = (
        leg.answered_at
        for leg in legs
        if leg.reached and not leg.external and not leg.calling and entry.leg_key not in leg.keys
    )
    slack = timedelta(milliseconds=500)
    return min(
        (
            at
            for at in answers
            if at
            and not_before(at, entry.entered_at)
            and (not left or at <= left + slack)
            and not (entry.until and not_before(at, entry.until))
        ),
        default=None,
    )
