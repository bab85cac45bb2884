"""Parking: a call is put where anybody can pick it up, and comes back when nobody does.

channels ─▶ build_parkings ─▶ fold. A parked caller talks with nobody. Parking ends when the PBX
says so, at the latest when the channel enters a bridge or ends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from ingest.fold.channels import ParkingFact, PbxChannel
from ingest.fold.event_order import Moment
from ingest.fold.intervals import Interval, pair, total_ms
from ingest.fold.legs import Leg, leg_of
from ingest.fold.near_times import not_after, not_before
from ingest.model.call_state import ParkingResult, ParkingState

TOLD_WITHIN = timedelta(seconds=2)
"""Who parked hears the slot before leaving, and a pick-up is told beside its bridge."""
SAID: tuple[ParkingResult, ...] = ("timeout", "given_up")


def build_parkings(
    channels: Iterable[PbxChannel], legs: list[Leg], initiator: Leg, closed_at: datetime | None
) -> tuple[ParkingState, ...]:
    """Return the times of parking in their order.

    Who posts parking without a leg means the caller, whose leg may have another key: then it ends
    with the caller's leg.
    """
    found = []
    for channel in channels:
        if channel.parked:
            ended_at = channel.ended_at(closed_at)
            if ended_at is None and not channel.seen:
                ended_at = initiator.ended_at
            found += [
                _parking(channel, interval, legs, ended_at)
                for interval in _intervals(channel, ended_at)
            ]
    found.sort(key=lambda one: (one.at, one.slot or ""))
    joined: list[ParkingState] = []
    for one in found:
        if joined and _goes_on(joined[-1], one):
            known = joined.pop()
            joined.append(replace(one, at=known.at, by_extension=known.by_extension))
        else:
            joined.append(one)
    return tuple(joined)


def parked_ms(parkings: tuple[ParkingState, ...]) -> int | None:
    """Return how long the call was parked, without a time that goes on; None: never."""
    return total_ms((one.at, one.until) for one in parkings) if parkings else None


def _goes_on(one: ParkingState, following: ParkingState) -> bool:
    """Return whether another channel has taken the place of the first in its slot."""
    ends_then = one.until is not None and not_before(one.until, following.at)
    return ends_then and one.slot == following.slot and one.result in {None, "given_up"}


def _intervals(channel: PbxChannel, ended_at: datetime | None) -> list[Interval]:
    starts, ends = ({fact[0] for fact in facts} for facts in (channel.parked, channel.unparked))
    # An end before it is of a parking that nobody told, unless it is the only one.
    ends = {one for one in ends if one >= min(starts)} or ends
    joins = {at for moments in channel.joins.values() for at in moments}
    return [
        (
            at,
            min([*(one[0] for one in joins if one[0] > at), *([end] if end else [])], default=None),
        )
        for at, end in pair(starts, ends, ended_at)
    ]


def _parking(
    channel: PbxChannel, interval: Interval, legs: list[Leg], ended_at: datetime | None
) -> ParkingState:
    at, until = interval
    begun = min(fact for fact in channel.parked if fact[0][0] >= at)
    by = _who(begun, legs) or _last_talked(at, legs)
    if until is None:
        return ParkingState(at=at, slot=begun[1] or None, by_extension=by)
    over = _told_until(channel, at, until)
    ends = sorted(fact for fact in channel.unparked if at <= fact[0][0] and fact[0] <= over)
    result = _result(channel, until, over, ends, ended_at)
    to = None
    if result == "picked_up":
        told = (who for fact in ends if (who := _who(fact, legs)))
        to = next(told, None) or _first_talks(until, legs)
    return ParkingState(
        at=at, until=until, slot=begun[1] or None, by_extension=by, result=result, to_extension=to
    )


def _told_until(channel: PbxChannel, at: datetime, until: datetime) -> Moment:
    """Return up to when it is told how parking ended: not after the channel is parked again."""
    again = (one for one, *_ in channel.parked if one[0] > at and one[0] >= until)
    return min([*again, (until + TOLD_WITHIN, sys.maxsize)])


def _result(
    channel: PbxChannel,
    until: datetime,
    over: Moment,
    ends: list[ParkingFact],
    ended_at: datetime | None,
) -> ParkingResult | None:
    """Return how it ended: as the PBX says, else as the channel went on."""
    reasons = {fact[1] for fact in ends}
    if "picked_up" in reasons or any(fact[2] or fact[3] for fact in ends):
        return "picked_up"
    for said in SAID:
        if said in reasons:
            return said
    joins = (one for moments in channel.joins.values() for one in moments)
    if any(until <= one[0] and one <= over for one in joins):
        return "picked_up"
    return "given_up" if ended_at and not_after(ended_at, until) else None


def _who(fact: ParkingFact, legs: list[Leg]) -> str | None:
    """Return the extension of who parked the call or picked it up, as far as it is told."""
    leg = leg_of(fact[3], legs) if fact[3] else None
    return (leg.extension if leg else None) or fact[2] or None


def _last_talked(at: datetime, legs: list[Leg]) -> str | None:
    """Return whose conversation with the caller ended as the call was parked."""
    talks = [
        (until or at, leg.key, leg.extension)
        for leg in legs
        if leg.extension
        for since, until in leg.talks
        if since < at and (until is None or abs(until - at) <= TOLD_WITHIN)
    ]
    return max(talks)[2] if talks else None


def _first_talks(at: datetime, legs: list[Leg]) -> str | None:
    """Return who began to talk as the call was no longer parked."""
    talks = [
        (since, leg.key, leg.extension)
        for leg in legs
        if leg.extension
        for since, _ in leg.talks
        if abs(since - at) <= TOLD_WITHIN
    ]
    return min(talks)[2] if talks else None
