"""Who handed a call on: the telephone, its lines, and whom it consulted.

transfers, queue_stints ─▶ Handover. A telephone that consults has two lines, and the PBX may name
either first: the colleague is who was on the other line, whoever of the two had called.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ingest.fold.legs import Leg, leg_of
from ingest.fold.near_times import not_after, not_before
from ingest.model.events import CallEvent

SENT_ON = frozenset(("transfer.blind", "transfer.redirect"))
"""Types without a consultation before."""


@dataclass(frozen=True, slots=True)
class Handover:
    """One transfer as the PBX reported it, and the legs it is about."""

    event: CallEvent
    lines: tuple[Leg, ...]
    """Of the telephone that handed the call on, in the order in which they appeared."""
    by: Leg | None
    """The line whose party was handed on."""
    consulted: Leg | None
    """Whom the telephone consulted before, or rang for that."""

    @property
    def at(self) -> datetime:
        return self.event.occurred_at

    @property
    def blind(self) -> bool:
        return self.event.type in SENT_ON

    @property
    def since(self) -> datetime | None:
        """When the telephone took the call; nothing that it handed on to was rung before."""
        return min((line.answered_at for line in self.lines if line.answered_at), default=None)

    @property
    def gone_at(self) -> datetime | None:
        """When the last of its lines left its last conversation; None while one is in it."""
        ends = [line.talks[-1][1] if line.talks else line.ended_at for line in self.lines]
        return None if None in ends else max((end for end in ends if end), default=None)


def handovers(events: Iterable[CallEvent], legs: list[Leg]) -> list[Handover]:
    """Return the transfers in the order of time, each once.

    Both lines of a telephone may report one transfer: the report that says most counts.
    """
    found: list[tuple[object, CallEvent]] = []
    for event in events:
        leg = leg_of(event.leg_key, legs)
        who = (leg.extension or leg.key) if leg else event.leg_key
        last = next((n for n in range(len(found) - 1, -1, -1) if found[n][0] == who), None)
        if last is None or not not_after(event.occurred_at, found[last][1].occurred_at):
            found.append((who, event))
        elif _told(event) > _told(found[last][1]):
            found[last] = who, event
    return [_handover(event, legs) for _, event in found]


def _told(event: CallEvent) -> tuple[int, int]:
    facts = (event.attrs.get("target"), event.attrs.get("to"), event.peer_leg_key)
    return sum(fact is not None for fact in facts), event.event_id.int


def _handover(event: CallEvent, legs: list[Leg]) -> Handover:
    if event.type == "transfer.redirect":
        return Handover(event, (), None, None)
    named = leg_of(event.leg_key, legs) or leg_of(event.peer_leg_key, legs)
    if event.type == "transfer.blind" or named is None:
        return Handover(event, (named,) if named else (), named, None)
    lines = _lines(event, named, legs)
    by, consulted = _joined(event, lines, legs) if len(lines) > 1 else (named, None)
    return Handover(event, lines, by, consulted or _named(event, lines, legs))


def _lines(event: CallEvent, named: Leg, legs: list[Leg]) -> tuple[Leg, ...]:
    """Return the lines of a telephone that joined two conversations.

    Where a target is named, the peer is the other line; else it may be the target itself.
    """
    at, peer = event.occurred_at, leg_of(event.peer_leg_key, legs)
    return tuple(
        leg
        for leg in legs
        if leg is named
        or (leg is peer and (event.attrs.get("target") or is_same(leg, named)))
        or (is_same(leg, named) and _is_there(leg, at))
    )


def _joined(event: CallEvent, lines: tuple[Leg, ...], legs: list[Leg]) -> tuple[Leg, Leg | None]:
    """Return the line whose party was handed on, and the party of the other line, its target.

    The later line is the consultation, even if its party had called. But an outsider who had called
    is handed on to a colleague, and not the colleague to them.
    """
    first, *_, last = lines
    handed, target = (_party(line, lines, event.occurred_at, legs) for line in (first, last))
    came_in = target is not None and bool(target.keys & last.diallers)
    if came_in and handed and target and target.external and not handed.external:
        return last, handed
    return first, target


def _party(line: Leg, lines: tuple[Leg, ...], at: datetime, legs: list[Leg]) -> Leg | None:
    """Return who called this line, or was called by it."""
    parties = [
        leg
        for leg in legs
        if leg not in lines
        and (leg.keys & line.diallers or line.keys & leg.diallers)
        and not_after(leg.created_at, at)
        and (leg.ended_at is None or not_before(leg.ended_at, at))
    ]
    return max(parties, key=_most_likely, default=None)


def _named(event: CallEvent, lines: tuple[Leg, ...], legs: list[Leg]) -> Leg | None:
    """Return the leg that is named as consulted, else the most probable one."""
    at, since = (
        event.occurred_at,
        min((x.answered_at for x in lines if x.answered_at), default=None),
    )
    others = [leg for leg in legs if not any(is_same(leg, line) for line in lines)]
    for key in (event.attrs.get("target"), event.peer_leg_key):
        named = leg_of(key if isinstance(key, str) else None, others)
        if named and (not named.calling or (since and named.created_at > since)):
            return named
    there = [
        leg
        for leg in others
        if not leg.calling
        and leg.created_at > (since or lines[0].created_at)
        and not_after(leg.created_at, at)
        and (leg.ended_at is None or not_before(leg.ended_at, at))
    ]
    if since is None and lines[0].calling:
        there = there[1:]  # whom the telephone had called, as far as a PBX without bridges tells
    return max(there, key=_most_likely, default=None)


def is_same(leg: Leg, other: Leg) -> bool:
    """Return whether these are one telephone, or two lines of one."""
    return leg is other or (leg.extension is not None and leg.extension == other.extension)


def _is_there(leg: Leg, at: datetime) -> bool:
    """Return whether it is in the call at this time, and has been for more than a moment."""
    answered = leg.answered_at is not None and leg.answered_at <= at
    return answered and (leg.ended_at is None or not_before(leg.ended_at, at))


def _most_likely(leg: Leg) -> tuple[bool, datetime, str]:
    return leg.reached, leg.created_at, leg.key
