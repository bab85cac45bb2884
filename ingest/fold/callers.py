"""Several outside callers in one conference: each has a call of their own.

event_log ─▶ divide ─▶ fold. A conference joins all who are in it, so their events are stored as one
call. What each caller is a part of without it is divided again here. A telephone of ours that was
rung for the conference belongs to the caller whom it met first, and is a guest in the others'
calls; one that dialled into it has a call of its own, and is a guest in all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from ingest.fold.channels import PbxChannel
from ingest.fold.event_log import EventLog
from ingest.fold.intervals import Interval, intersection, pair, total_ms, union
from ingest.fold.legs import Leg, build_legs
from ingest.fold.near_times import NEAR, not_after
from ingest.fold.union_find import UnionFind
from ingest.model.events import CallEvent, EventType, derive_id

GUEST_MS = "guest_ms"
"""The attribute of a guest's leg: how long it talks with the caller in time counted elsewhere."""

Stays = dict[str, list[Interval]]
"""Room → when somebody was in it."""


@dataclass(slots=True)
class CallerLog:
    """The events of one caller's call."""

    leg_key: str
    """The caller's first channel, which tells one caller from the other."""
    outside: bool
    log: EventLog
    rooms: Stays


def is_conference(log: EventLog) -> bool:
    """Return whether somebody was in a conference, so that others may have been there, too."""
    return any(channel.rooms for channel in log.channels.values())


def divide(log: EventLog, later: Collection[str] = ()) -> list[CallerLog]:
    """Return the calls of several callers, that of the first outsider first; else nothing.

    One outsider's call is divided from that of whoever had called before, so that it is inbound.
    `later` are callers who have a call already, so that none of them is the first.
    """
    parts = [EventLog(events) for events in _without_rooms(log)]
    callers = [found for part in parts if (found := _caller_log(part))]
    if not _are_several(callers):
        return []
    callers.sort(
        key=lambda one: (one.leg_key in later, not one.outside, one.log.first_at, one.leg_key)
    )
    known = {id(one.log) for one in callers}
    outside = [caller for caller in callers if caller.outside]
    for part in parts:
        if id(part) not in known:
            _owner(part, outside).log.add((*part.events, *part.recording_events))
    _add_guests(callers)
    return callers


def _without_rooms(log: EventLog) -> list[list[CallEvent]]:
    """Divide the events by all ids that they share but those of conferences."""
    rooms = {f"bridge:{room}" for channel in log.channels.values() for room in channel.rooms}
    joined: UnionFind[str] = UnionFind()
    keyed = [
        ([key for key in event.keys if key not in rooms] or event.keys, event)
        for event in (*log.events, *log.recording_events)
    ]
    for keys, _ in keyed:
        joined.union(keys)
    found: dict[str, list[CallEvent]] = defaultdict(list)
    for keys, event in keyed:
        found[joined.root(keys[0])].append(event)
    return list(found.values())


def _are_several(callers: list[CallerLog]) -> bool:
    """Return whether there are several outsiders, or one who found one of ours there."""
    outside = [caller for caller in callers if caller.outside]
    if len(outside) != 1:
        return len(outside) > 1
    since = outside[0].log.first_at - NEAR
    return any(caller.log.first_at < since for caller in callers)


def _caller_log(part: EventLog) -> CallerLog | None:
    """Return the part with its caller, if somebody called and went into a conference."""
    first = next(iter(build_legs(part.channels, part.closed_at)), None)
    if first is None or not first.calling:
        return None
    rooms = _rooms(first.keys, part)
    return CallerLog(first.key, first.external, part, rooms) if rooms else None


def _rooms(keys: Iterable[str], part: EventLog) -> Stays:
    """Return when one of these channels was in which conference."""
    closed_at = part.closed_at
    found: Stays = defaultdict(list)
    for channel in (part.channels[key] for key in sorted(keys) if key in part.channels):
        for room in channel.rooms:
            found[room] += _stays(channel, room, closed_at)
    return dict(found)


def _stays(channel: PbxChannel, room: str, closed_at: datetime | None) -> list[Interval]:
    return pair(channel.joins[room], channel.leaves.get(room, ()), channel.ended_at(closed_at))


def _owner(part: EventLog, callers: list[CallerLog]) -> CallerLog:
    """Return the caller whom somebody of this part met first in a conference, else the first."""
    rooms = _rooms(part.channels, part)
    met = [
        (common[0][0], place)
        for place, caller in enumerate(callers)
        if (common := _common(rooms, caller.rooms))
    ]
    if not met:
        return callers[0]
    first = min(at for at, _ in met)
    return callers[min(place for at, place in met if not_after(at, first))]


def _common(ours: Stays, theirs: Stays) -> list[Interval]:
    """Return when both were in one conference, in the order of time."""
    return union(
        both
        for room, stays in ours.items()
        for other in theirs.get(room, ())
        for stay in stays
        if (both := intersection(stay, other))
    )


def _add_guests(callers: list[CallerLog]) -> None:
    """Add to each call the telephones of ours that the caller met and that another call has."""
    guests: list[tuple[CallerLog, list[CallEvent]]] = []
    for owner in callers:
        for leg in build_legs(owner.log.channels, owner.log.closed_at):
            if leg.external or not (rooms := _rooms(leg.keys, owner.log)):
                continue
            counted = list(leg.talks)
            for caller in callers:
                if (
                    caller is owner
                    or not caller.outside
                    or not (met := _common(rooms, caller.rooms))
                ):
                    continue
                twice = (both for one in met for o in counted if (both := intersection(one, o)))
                events = list(_guest(leg, caller, rooms, met, twice_ms=total_ms(twice)))
                guests.append((caller, events))
                counted = union([*counted, *met])
    for caller, events in guests:
        caller.log.add(events)


def _guest(
    leg: Leg, caller: CallerLog, rooms: Stays, met: list[Interval], *, twice_ms: int
) -> Iterator[CallEvent]:
    """Return the events of a telephone in the call of a caller whom it met in a conference."""
    source = caller.log.events[0].source

    def event(fact: EventType, at: datetime, **attrs: object) -> CallEvent:
        name = f"guest|{leg.key}|{caller.leg_key}|{fact}|{attrs.get('bridge')}|{at.isoformat()}"
        return CallEvent(
            event_id=derive_id(source, name), source=source, type=fact, occurred_at=at,
            time_quality="derived", leg_key=leg.key, extension=leg.extension, attrs=attrs,
        )  # fmt: skip

    yield event("leg.created", met[0][0], kind="agent", **{GUEST_MS: twice_ms})
    for room in rooms:
        for at, until in _common({room: rooms[room]}, caller.rooms):
            yield event("bridge.joined", at, bridge=room, room=True)
            if until:
                yield event("bridge.left", until, bridge=room, room=True)
    until = met[-1][1]
    if until:
        over = leg.ended_at is not None and abs(leg.ended_at - until) <= NEAR
        told = {"hung_up": leg.hung_up_at is not None} if over and leg.hang_up_told else {}
        yield event("leg.ended", until, cause=16, **told)
