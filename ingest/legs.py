"""From channels to telephones: which channels are somebody's leg, and what became of it.

channels ─▶ judge ─▶ fold. A Local pair with other channels on both sides is plumbing, and so is one
by which the PBX itself places a call; with others on one side only, its far half stands for a
telephone (a member `Local/101@agents`, a caller who came in through a Local channel) and the pair
is one leg.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingest.channels import Channel, Party
from ingest.company import Company
from ingest.intervals import Interval, paired, total_ms
from ingest.plumbing import facing, is_plumbing
from ingest.state import EndedReason, LegState, LegStatus

MUSIC_FOLLOWS = timedelta(milliseconds=200)  # after Hold, the other side's music: 0 to 2 ms later
ELSEWHERE_WITHIN = timedelta(milliseconds=500)  # the losers of a ring group stop 0 to 4 ms later

# Q.850 causes of a channel that was never answered, as Asterisk reports them.
BUSY, REJECTED, ELSEWHERE = 17, 21, 26
NO_ANSWER = frozenset((18, 19))
FAILED = frozenset((1, 2, 3, 20, 22, 27, 28, 34, 38, 41, 42, 44, 58, 88))
STATED: tuple[EndedReason, ...] = ("busy", "rejected", "failed", "no_answer")
"""Reasons an event may state outright, the strongest first."""

NONE = (None, None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One telephone: a channel, or the two halves of a Local pair."""

    key: str
    keys: frozenset[str]
    extension: str | None
    external: bool
    calling: bool
    """It called in by itself: nobody rang it."""
    local: bool
    """A Local channel that nobody dialled: only what it did tells whether it called in."""
    created_at: datetime
    ringing_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    talks: tuple[Interval, ...]
    joined: bool
    """It was in a bridge, whether or not anybody else was."""
    holds: tuple[Interval, ...]
    results: frozenset[str]
    cause: int
    dialled: str | None
    dialled_e164: str | None
    onward_at: datetime | None
    """When it first went into a queue or rang somebody."""
    parties: tuple[Party, ...]
    sip_call_id: str | None

    def said(self, *names: str) -> tuple[str | None, ...]:
        """Return what was said about it when it went onward: what the people rung then see.

        Before, the dialplan may still correct it; afterwards, transfers overwrite it.
        """
        told = [(at, party) for at, party in self.parties if party.get(names[0])]
        before = [party for at, party in told if self.onward_at is None or at <= self.onward_at]
        best = before[-1] if before else (told[0][1] if told else {})
        return tuple(best.get(name) for name in names)

    @property
    def heard(self) -> bool:
        """It was picked up, and somebody was there, as far as is known.

        Who has to accept by key, and does not, was in a bridge with the plumbing only.
        """
        lost = "lost" in self.results
        return self.answered_at is not None and (bool(self.talks) or not self.joined or lost)

    @property
    def talking(self) -> bool:
        """In a conversation, or answered and about to be."""
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


def judge(channels: dict[str, Channel], closed_at: datetime | None) -> list[Leg]:
    """Turn channels into legs, in the order they appeared; closed_at ends those still open."""
    pairs: dict[str, list[Channel]] = defaultdict(list)
    for key in sorted(channels):
        channel = channels[key]
        if channel.seen:
            pairs[channel.pair or channel.key].append(channel)
    plumbing = {name: halves for name, halves in pairs.items() if is_plumbing(halves, channels)}
    through = {half.key: halves for halves in plumbing.values() for half in halves}
    company = Company(channels, facing(plumbing.values()), closed_at)
    legs = [
        _leg(sorted(halves, key=lambda half: half.half), channels, through, company, closed_at)
        for name, halves in pairs.items()
        if name not in plumbing
    ]
    return sorted(legs, key=lambda leg: (leg.created_at, leg.key))


def _leg(
    halves: list[Channel],
    channels: dict[str, Channel],
    through: dict[str, list[Channel]],
    company: Company,
    closed_at: datetime | None,
) -> Leg:
    calling = _is_calling(halves)
    ended_at = min((at for half in halves for at in half.ended), default=closed_at)
    talks = _talks(halves, company, ended_at)
    parties = sorted((party for half in halves for party in half.parties), key=_told_at)
    extension = _least(half.extension for half in halves)
    if calling and halves[0].pair and extension:
        # `Local/102@internal` placed for 105: the name says whom it calls, not who it is.
        extension = next((str(p["number_raw"]) for _, p in parties if p.get("short")), None)
    return Leg(
        key=halves[0].key,
        keys=frozenset(half.key for half in halves),
        extension=extension,
        external=(_least(half.kind for half in halves) or _kind(extension)) == "external",
        calling=calling,
        local=halves[0].pair is not None and not any(half.dialled_by for half in halves),
        created_at=min(at for half in halves for at in half.seen),
        ringing_at=None if calling else _first(half.ringing for half in halves),
        answered_at=(
            min((start for start, _ in talks), default=None)
            if calling
            else _first(half.answered for half in halves)
        ),
        ended_at=ended_at,
        talks=talks,
        joined=any(half.joins for half in halves),
        holds=_holds(halves, channels, ended_at),
        results=_results(halves, through),
        cause=_cause(halves),
        dialled=_least(half.dialled for half in halves),
        dialled_e164=_least(half.dialled_e164 for half in halves),
        onward_at=_first(half.onward_at for half in halves),
        parties=tuple(parties),
        sip_call_id=min((told for half in halves for told in half.sip_call_ids), default=NONE)[2],
    )


def _is_calling(halves: list[Channel]) -> bool:
    """Of a pair, the far half is the telephone: `;1` calls in, `;2` is called."""
    if halves[0].pair:
        return any(half.half == 2 and half.onward for half in halves)
    return not halves[0].offered


def _talks(
    halves: list[Channel], company: Company, ended_at: datetime | None
) -> tuple[Interval, ...]:
    """Return its time in bridges, once somebody was there; waiting for a consultation counts."""
    own = frozenset(half.key for half in halves)
    stays = [
        (bridge, stay)
        for half in halves
        for bridge, joins in half.joins.items()
        for stay in paired(joins, half.leaves.get(bridge, ()), ended_at)
    ]
    first = min(filter(None, (company.since(own, *stay) for stay in stays)), default=None)
    if first is None:
        return ()
    found = [(max(start, first), end) for _, (start, end) in stays if end is None or end >= first]
    return tuple(sorted(found, key=lambda interval: (interval[0], interval[1] or interval[0])))


def _holds(
    halves: list[Channel], channels: dict[str, Channel], ended_at: datetime | None
) -> tuple[Interval, ...]:
    """Hold until Unhold, or until the other side's music stops: key codes never send Unhold."""
    starts = {at for half in halves for at in half.holds}
    if not starts:
        return ()
    ends = {at for half in halves for at in half.unholds}
    own = {half.key for half in halves}
    for other in channels.values():
        if other.key in own:
            continue
        for music_on in other.music_on:
            if any(abs(music_on - start) <= MUSIC_FOLLOWS for start in starts):
                ends |= {min((at for at in other.music_off if at > music_on), default=music_on)}
    ends -= {at for other in channels.values() for at in other.music_on}
    return tuple(paired(starts, ends, ended_at))


def _results(halves: list[Channel], through: dict[str, list[Channel]]) -> frozenset[str]:
    """How attempts to reach it ended, also those at the far end of the plumbing in between."""
    results = {result for half in halves for result in half.results}
    waiting, visited = {key for half in halves for key in half.dialled_by}, set[str]()
    while waiting:
        key = waiting.pop()
        visited.add(key)
        for half in through.get(key, ()):
            results |= half.results
            waiting |= half.dialled_by - visited
    return frozenset(results)


def _cause(halves: list[Channel]) -> int:
    """Return the earliest cause that says something."""
    causes = [cause for half in halves for cause in half.causes if cause[1]]
    return min(causes)[1] if causes else 0


def ended_reason(leg: Leg, legs: list[Leg]) -> EndedReason | None:
    """Say why it ended. Somebody else having answered is never this one's miss."""
    if leg.ended_at is None:
        return None
    if "lost" in leg.results:
        return "lost"
    if leg.answered_at:
        return "completed"
    if leg.calling:
        return "canceled"
    if leg.cause == ELSEWHERE or "answered_elsewhere" in leg.results:
        return "answered_elsewhere"
    if leg.cause == BUSY:
        return "busy"
    if leg.cause == REJECTED:
        return "rejected"
    stated = next((reason for reason in STATED if reason in leg.results), None)
    if stated:
        return stated
    if leg.cause in FAILED:
        return "failed"
    if _answered_elsewhere(leg, legs):
        return "answered_elsewhere"
    return "no_answer" if leg.cause in NO_ANSWER else "canceled"


def _answered_elsewhere(leg: Leg, legs: list[Leg]) -> bool:
    return any(
        other.answered_at is not None
        and leg.ended_at is not None
        and other.key != leg.key
        and not other.external
        and leg.created_at <= other.answered_at <= leg.ended_at + ELSEWHERE_WITHIN
        for other in legs
    )


def leg_state(leg: Leg, legs: list[Leg]) -> LegState:
    """Give the leg the form that is stored and shown."""
    return LegState(
        leg_key=leg.key,
        extension=leg.extension,
        kind="external" if leg.external else "agent",
        status=leg.status,
        ringing_at=leg.ringing_at,
        answered_at=leg.answered_at,
        ended_at=leg.ended_at,
        ended_reason=ended_reason(leg, legs),
        talk_ms=total_ms(leg.talks) if leg.talks else None,
        hold_ms=total_ms(leg.holds) if leg.holds else None,
        sip_call_id=leg.sip_call_id,
    )


def leg_of(leg_key: str | None, legs: Iterable[Leg]) -> Leg | None:
    """Return the leg that this channel is, or is one half of."""
    return next((leg for leg in legs if leg_key in leg.keys), None)


def _told_at(party: Party) -> datetime:
    return party[0]


def _kind(extension: str | None) -> str:
    return "agent" if extension else "external"


def _first(times: Iterable[set[datetime]]) -> datetime | None:
    return min((at for found in times for at in found), default=None)


def _least(values: Iterable[str | None]) -> str | None:
    return min((value for value in values if value), default=None)
