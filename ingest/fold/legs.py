"""From PBX channels to legs: which channels are a telephone's leg, and what happened to it.

channels ─▶ build_legs ─▶ fold. A Local pair with other channels on both sides is internal, and so
is one by which the PBX itself places a call. With others on one side only, its far half stands for
a telephone (a queue member `Local/101@agents`, a caller who came in through a Local channel), and
the pair is one leg.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingest.fold.bridged_peers import BridgedPeers
from ingest.fold.channels import EMPTY, PbxChannel, merge_halves
from ingest.fold.event_order import order_key
from ingest.fold.follow_me import member_of
from ingest.fold.forwarding import Forwarding
from ingest.fold.intervals import Interval, pair
from ingest.fold.local_channels import (
    dials_inside,
    is_internal_pair,
    leads_nowhere,
    other_halves,
)
from ingest.fold.mailboxes import before_mailbox
from ingest.fold.near_times import NEAR, not_after
from ingest.fold.rooms import Rooms, Stay
from ingest.model.call_state import LegStatus
from ingest.model.events import CallEvent

MUSIC_FOLLOWS = timedelta(milliseconds=200)  # after Hold, the other side's music: 0 to 2 ms later

# What most calls have: no internal pair, no conference, no forwarding.
NO_PEERS, NO_ROOMS, NO_FORWARDING = BridgedPeers({}, {}, None), Rooms((), None), Forwarding(())

ELSEWHERE = 26
"""The Q.850 cause of a telephone that rang until somebody else answered."""


@dataclass(slots=True, init=False, eq=False)
class Leg:
    """One telephone: a channel, or both halves of a Local pair. `_leg` sets its fields."""

    key: str
    keys: frozenset[str]
    extension: str | None
    external: bool
    calling: bool
    """It placed the call: nobody rang it."""
    guest_ms: int | None
    """Of a guest from another caller's call in the conference: talk time that is counted there."""
    placed: bool
    """The PBX itself rang it, to place a call for it (click-to-call) or to it."""
    local: bool
    """A Local channel that nobody dialled: only its later events show whether it called in."""
    nowhere: bool
    """A Local channel that leads to no telephone: an attempt to reach somebody, and no leg."""
    created_at: datetime
    ringing_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    talks: tuple[Interval, ...]
    joined: bool
    """It was in a bridge, whether or not anybody else was."""
    holds: tuple[Interval, ...]
    results: AbstractSet[str]
    cause: int
    dialled: str | None
    dialled_e164: str | None
    did: str | None
    """The number of ours that it dialled to call in."""
    rung_under: AbstractSet[tuple[str, str, str]]
    """In which extensions of the dialplan it was rung, by whom, and the channel rung there."""
    forwarded_from: str | None
    """The extension that sent the call on to it, without taking it."""
    hung_up_at: datetime | None
    """When this telephone hung up; None when somebody else did, or the PBX."""
    hang_up_told: bool
    """The PBX tells who hangs up."""
    diallers: AbstractSet[str]
    """The channels that dialled it, directly or through internal pairs."""
    onward_at: datetime | None
    """When it first entered a queue or rang somebody."""
    parties: Sequence[CallEvent]
    """Events with its caller ids until it was connected or ended, in canonical order."""
    shown: Sequence[CallEvent]
    """Of a telephone that the PBX rang, also those of the pair by which it did."""
    sip_call_id: str | None

    def party_fields(self, *names: str, until: datetime | None = None) -> tuple[str | None, ...]:
        """Return fields of its caller id at `onward_at`: what the telephones rung then display.

        Before, the dialplan may still correct it. Later, the first one counts, until somebody is
        connected: after that a PBX may show the name of whoever parked or transferred the call.
        """
        named = [
            event
            for event in self.parties
            if event.attrs.get(names[0]) and (until is None or not_after(event.occurred_at, until))
        ]
        if not named:
            return (None,) * len(names)
        at = self.onward_at
        before = [event for event in named if at is None or not_after(event.occurred_at, at)]
        best = (before[-1] if before else named[0]).attrs
        return tuple(best.get(name) for name in names)

    @property
    def reached(self) -> bool:
        """Whether it answered and had a peer, as far as is known.

        A telephone that has to accept by key, and does not, shares a bridge only with internal
        channels.
        """
        if self.answered_at is None or "dumped" in self.results:
            return False
        return bool(self.talks) or not self.joined or "lost" in self.results

    @property
    def talking(self) -> bool:
        """Whether it is in a conversation, or answered and about to be."""
        if self.ended_at or not self.answered_at:
            return False
        return not self.talks or any(end is None for _, end in self.talks)

    @property
    def status(self) -> LegStatus:
        if self.ended_at:
            return "ended"
        if self.talking:
            return "held" if any(end is None for _, end in self.holds) else "talking"
        return "ringing" if self.ringing_at and not self.answered_at else "created"


def build_legs(channels: dict[str, PbxChannel], closed_at: datetime | None) -> list[Leg]:
    """Return the legs in the order they appeared; closed_at ends those still open."""
    pairs: dict[str, list[PbxChannel]] = defaultdict(list)
    for key in sorted(channels):
        channel = channels[key]
        if channel.seen:
            pairs[channel.pair or channel.key].append(channel)
    local = {name: halves for name, halves in pairs.items() if halves[0].pair}
    internal = {
        name: halves for name, halves in local.items() if is_internal_pair(halves, channels)
    }
    nowhere = {
        name: halves
        for name, halves in local.items()
        if name not in internal and leads_nowhere(halves)
    }
    context = _Context(channels, internal, nowhere, closed_at)
    legs = [
        _leg(halves, context, nowhere=name in nowhere)
        for name, halves in pairs.items()
        if name not in internal
    ]
    return sorted(legs, key=lambda leg: (leg.created_at, leg.key))


class _Context:
    """What a leg needs to know of the other channels of its call."""

    def __init__(
        self,
        channels: dict[str, PbxChannel],
        internal: dict[str, list[PbxChannel]],
        nowhere: dict[str, list[PbxChannel]],
        closed_at: datetime | None,
    ) -> None:
        self.channels = channels
        self.closed_at = closed_at
        self.internal_halves = {half.key: halves for halves in internal.values() for half in halves}
        far = other_halves([*internal.values(), *nowhere.values()]) if internal or nowhere else {}
        facts = set[str]().union(*[channel.filled for channel in channels.values()])
        self.peers = BridgedPeers(channels, far, closed_at) if far else NO_PEERS
        self.rooms = Rooms(channels.values(), closed_at) if "rooms" in facts else NO_ROOMS
        self.forwarding = Forwarding(channels.values()) if "forwards" in facts else NO_FORWARDING

    def forwarded_from(self, merged: PbxChannel, own: Collection[PbxChannel]) -> str | None:
        if merged.forwarded_from or self.forwarding is NO_FORWARDING:
            return merged.forwarded_from
        return self.forwarding.source_of(own, lambda one: self.pairs_to(one)[1])

    def pairs_to(self, merged: PbxChannel) -> tuple[AbstractSet[str], list[PbxChannel]]:
        """Return who dialled it, through internal pairs, too, and the halves of these pairs."""
        if not self.internal_halves:
            return merged.dialled_by, []
        diallers, halves, waiting = set[str](), list[PbxChannel](), set(merged.dialled_by)
        while waiting:
            key = waiting.pop()
            diallers.add(key)
            for half in self.internal_halves.get(key, ()):
                halves.append(half)
                waiting |= half.dialled_by - diallers
        return diallers, halves


def _leg(  # noqa: PLR0915 - thirty of them set a field
    halves: list[PbxChannel], context: _Context, *, nowhere: bool
) -> Leg:
    if len(halves) > 1:
        halves = sorted(halves, key=lambda half: half.half)
    merged = merge_halves(halves)
    calling = _is_calling(halves)
    ended_at = merged.ended_at(context.closed_at)
    diallers, between = context.pairs_to(merged)
    results = merged.results
    for half in between:
        results = results | half.results
    if merged.lost and not (merged.ended or context.closed_at):
        results = {*results, "lost"}
    stays = _stays(halves, context.rooms, ended_at)
    talks = _talks(halves, stays, context.peers)
    if not calling:  # behind a pair that nobody answered is a program
        talks = before_mailbox(talks, merged) if merged.answered or not merged.pair else ()
    talks_at = talks[0][0] if talks else None  # in order
    answered_at = talks_at if calling else _first(merged.answered)
    if merged.mailboxes and not (calling or talks):
        answered_at = None
    causes = merged.causes and [cause for cause in merged.causes if cause[1]]
    cause = min(causes)[1] if causes else 0
    joined = bool(merged.joins) if len(halves) == 1 else any(half.joins for half in halves)
    if not (calling or joined) and (cause == ELSEWHERE or "answered_elsewhere" in results):
        answered_at = None  # picked up in the moment in which a colleague had got the call
    ringing_at = None if calling else _first(merged.ringing)
    placed = not calling and _is_placed(merged, diallers, between)
    until = ended_at
    for at in (talks_at, None if placed else answered_at):
        if at and (until is None or at < until):
            until = at
    parties = _shown(halves, until)
    extension = None if merged.kind == "external" else merged.extension
    if calling and merged.pair and (extension or dials_inside(halves, context.channels)):
        # `Local/102@internal` placed for 105: the name is the number called, not the caller's.
        ids = (e.attrs for e in parties)
        extension = next((str(one["number_raw"]) for one in ids if one.get("short")), None)
    external = merged.kind == "external" if merged.kind else not extension
    source = None if calling else context.forwarded_from(merged, (*halves, *between))
    if external and between and not (calling or source):
        member = member_of(merged, between, context.channels, lambda one: context.pairs_to(one)[0])
        extension, external = member, member is None
    near = _near_half(halves, calls_in=calling or (external and not merged.dialled_by))
    leg = Leg()  # its 30 fields as arguments by name: 8 µs instead of 0.4
    leg.key = merged.key
    leg.keys = frozenset(half.key for half in halves)
    leg.extension = extension
    leg.external = external
    leg.calling = calling
    leg.guest_ms = merged.guest_ms
    leg.placed = placed
    leg.local = merged.pair is not None and not merged.dialled_by
    leg.nowhere = nowhere
    leg.created_at = min(merged.seen)
    leg.ringing_at = ringing_at
    leg.answered_at = answered_at
    leg.ended_at = ended_at
    leg.talks = talks
    leg.joined = joined
    leg.holds = (
        _holds(merged, halves, context.channels, ended_at)
        if merged.holds
        else context.rooms.holds(merged.key, stays)
    )
    leg.results = results
    leg.cause = cause
    leg.dialled = merged.dialled
    leg.dialled_e164 = merged.dialled_e164
    leg.did = merged.did
    leg.rung_under = _rung_under((*halves, *between))
    leg.forwarded_from = source
    leg.hung_up_at = _first(near.hung_up)
    leg.hang_up_told = near.hang_up_told and "lost" not in results
    leg.diallers = diallers
    leg.onward_at = _first(merged.onward_at)
    leg.parties = parties
    leg.shown = [*merged.parties, *(e for half in between for e in half.parties)] if placed else ()
    leg.sip_call_id = min(merged.sip_call_ids)[2] if merged.sip_call_ids else None
    return leg


def _first(times: AbstractSet[datetime]) -> datetime | None:
    """Return the least of these times; None when there is none, as for most sets of a channel."""
    return min(times) if times else None


def _shown(halves: list[PbxChannel], until: datetime | None) -> list[CallEvent]:
    """Return the events with the caller ids that others see, in canonical order.

    Of a pair they are those of the half that entered a queue or rang somebody.
    """
    if len(halves) > 1:
        onward = [
            half
            for half in halves
            if half.onward_at and any(event.attrs.get("number_raw") for event in half.parties)
        ]
        halves = onward or halves
    events = [event for half in halves for event in half.parties]
    if until is not None and events:
        last = until + NEAR
        events = [event for event in events if event.occurred_at <= last]
    if len(events) > 1:
        events.sort(key=order_key)
    return events


def _is_placed(merged: PbxChannel, diallers: AbstractSet[str], between: list[PbxChannel]) -> bool:
    """Return whether the PBX rang it: itself, or by the far half of a pair that nobody dialled.

    The near half of such a pair dials whom the telephone then calls.
    """
    if not diallers:
        return merged.placed or (merged.started and bool(merged.offered))
    pairs = {half.pair for half in between if half.placed and half.half == 1}
    far = {half.key for half in between if half.half == 2 and half.pair in pairs}
    return bool(far & diallers) and diallers <= {half.key for half in between if half.half == 2}


def _is_calling(halves: list[PbxChannel]) -> bool:
    """Return whether it placed the call. Of a pair, `;1` calls in and `;2` is called."""
    if halves[0].pair:
        return any(half.half == 2 and half.onward for half in halves)
    return not halves[0].offered


def _rung_under(channels: Collection[PbxChannel]) -> AbstractSet[tuple[str, str, str]]:
    """Return nothing for a telephone that rang as a queue's member."""
    found = [one for one in channels if one.rung_under]
    if not found or any(one.member for one in channels):
        return EMPTY
    return {
        (name, by, one.key) for one in found for name in one.rung_under for by in one.dialled_by
    }


def _near_half(halves: list[PbxChannel], *, calls_in: bool) -> PbxChannel:
    """Return the half of a pair that the PBX sees: what it hears there, the far end did.

    When the PBX ends this half, it tells the far one the same way.
    """
    if len(halves) == 1:
        return halves[0]
    return halves[-1] if calls_in else halves[0]


def _stays(halves: list[PbxChannel], rooms: Rooms, ended_at: datetime | None) -> list[Stay]:
    """Return its time in bridges; of a conference, only while it was not alone there."""
    stays = [
        (half.key, (bridge, stay))
        for half in halves
        for bridge, joins in half.joins.items()
        for stay in pair(joins, half.leaves.get(bridge, ()), ended_at)
    ]
    if not rooms:
        return [stay for _, stay in stays]
    return [part for key, stay in stays for part in rooms.in_company(key, stay)]


def _talks(
    halves: list[PbxChannel], stays: list[Stay], peers: BridgedPeers
) -> tuple[Interval, ...]:
    """Return its time in bridges since a peer was there; waiting for a consultation counts."""
    if not stays:
        return ()
    own = frozenset(half.key for half in halves)
    first = min(filter(None, (peers.first_at(own, *stay) for stay in stays)), default=None)
    if first is None:
        return ()
    found = [(max(start, first), end) for _, (start, end) in stays if end is None or end >= first]
    if len(found) > 1:
        found.sort(key=lambda interval: (interval[0], interval[1] or interval[0]))
    return tuple(found)


def _holds(
    merged: PbxChannel,
    halves: list[PbxChannel],
    channels: dict[str, PbxChannel],
    ended_at: datetime | None,
) -> tuple[Interval, ...]:
    """Return Hold until Unhold, or until the peer's music stops: key codes never send Unhold."""
    starts, ends = merged.holds, set(merged.unholds)
    own = {half.key for half in halves}
    for other in channels.values():
        if other.key in own:
            continue
        for music_on in other.music_on:
            if any(abs(music_on[0] - start[0]) <= MUSIC_FOLLOWS for start in starts):
                ends |= {min((off for off in other.music_off if off > music_on), default=music_on)}
    ends -= {music_on for other in channels.values() for music_on in other.music_on}
    return tuple(pair(starts, ends, ended_at))


def leg_of(leg_key: str | None, legs: Iterable[Leg]) -> Leg | None:
    """Return the leg of which this channel is a part; None when it is of none."""
    return next((leg for leg in legs if leg_key in leg.keys), None)
