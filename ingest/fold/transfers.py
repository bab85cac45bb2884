"""Transfers of a call: by whom, to whom, and whether anybody took the call.

fold ─▶ build_transfers. A PBX reports that a call was transferred, and at best to which channel;
who took it follows from the legs. "Success" of a blind transfer only means that it was sent on. A
transfer may be reported after what it causes: that is what began since the telephone that
transferred took the call, and still went on when the transfer was reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise

from ingest.fold.event_log import EventLog
from ingest.fold.handovers import Handover, handovers
from ingest.fold.legs import Leg, leg_of
from ingest.fold.near_times import NEAR, not_after, not_before
from ingest.fold.redirects import redirects
from ingest.model.call_state import (
    ParkingState,
    StintState,
    TransferKind,
    TransferState,
    ms_between,
)
from ingest.model.events import CallEvent

CONNECTED_WITHIN = timedelta(milliseconds=500)
"""A queue reports the connection 0 to 4 ms after the answer."""


def build_transfers(
    log: EventLog,
    legs: list[Leg],
    stints: tuple[StintState, ...],
    parkings: tuple[ParkingState, ...],
) -> tuple[TransferState, ...]:
    """Return the transfers of a call in the order of time."""
    told = _told(log, legs, stints) if log.transfer_events else ()
    seen = redirects(legs, stints, told, parkings)
    return tuple(sorted((*told, *seen), key=lambda one: one.at)) if seen else told


def _told(
    log: EventLog, legs: list[Leg], stints: Iterable[StintState]
) -> tuple[TransferState, ...]:
    """Return the transfers of which the PBX tells."""
    events = [event for event in log.transfer_events if not _by_itself(event, log, legs)]
    found = handovers(events, legs)
    return tuple(
        _transfer(handed, _until(handed, following), legs, stints)
        for handed, following in pairwise((*found, None))
        if handed
    )


def _until(handed: Handover, following: Handover | None) -> datetime | None:
    """Return from when on all belongs to the following transfer: its telephone had the call."""
    if following is None:
        return None
    since = following.since
    return since if since and since > handed.at else following.at - NEAR


def _by_itself(event: CallEvent, log: EventLog, legs: list[Leg]) -> bool:
    """Return whether the PBX took out one of its internal connections: nobody transferred."""
    by = log.channels.get(event.leg_key or "")
    attended = event.type == "transfer.attended"
    return attended and by is not None and by.pair is not None and not leg_of(by.key, legs)


def _transfer(
    handed: Handover, until: datetime | None, legs: list[Leg], stints: Iterable[StintState]
) -> TransferState:
    event, by, at = handed.event, handed.by, handed.at
    target = _rung(handed, until, legs) if handed.blind else handed.consulted
    answered_at = _answered_at(target, handed) if target and target.reached else None
    kind: TransferKind = "blind" if handed.blind else _kind(handed, answered_at)
    if _from_outside(handed):
        kind, by = "redirect", None
    consulted = kind in {"attended", "threeway"} and answered_at is not None
    stint = next((s for s in stints if _led_into(s, handed, until, answered_at)), None)
    return TransferState(
        kind=kind,
        at=at,
        by_leg_key=by.key if by else None if kind == "redirect" else event.leg_key,
        by_extension=by.extension if by else None,
        to_number=_text(event.attrs.get("to")) or (target.dialled if target else None),
        to_extension=target.extension if target else None,
        queue=stint.queue if stint else None,
        answered_at=answered_at,
        consult_ms=ms_between(answered_at, at) if consulted and answered_at else None,
    )


def _from_outside(handed: Handover) -> bool:
    """Return whether no telephone of the call made this transfer.

    FreeSWITCH tells of it by the side that was moved. Whoever transfers by SIP, or by keys, leaves
    with that as the reason; whoever is only let go by the PBX did not.
    """
    by = handed.by
    if handed.event.type == "transfer.redirect":
        return True
    if by is None or not handed.event.attrs.get("by_peer") or "transferred" in by.results:
        return False
    return by.ended_at is not None and by.hang_up_told and by.hung_up_at is None


def _answered_at(target: Leg, handed: Handover) -> datetime | None:
    """Return when the target answered, or when the line was answered that the target had called."""
    called = [line.answered_at for line in handed.lines if target.keys & line.diallers]
    answers = [at for at in called if at] if target.calling else []
    return min(answers, default=target.answered_at)


def _kind(handed: Handover, answered_at: datetime | None) -> TransferKind:
    """Distinguish a transfer after a consultation from one to a telephone that still rang."""
    if handed.event.attrs.get("mode") == "threeway":
        return "threeway"
    if answered_at is None or answered_at > handed.at:
        return "blonde"
    return "attended" if handed.gone_at is None or answered_at < handed.gone_at else "blonde"


def _began(began_at: datetime, ended_at: datetime | None, handed: Handover) -> bool:
    """Return whether it began with this transfer, whichever of the two was reported first."""
    if not_before(began_at, handed.at):
        return True
    since, ongoing = handed.since, ended_at is None or not_before(ended_at, handed.at)
    return since is not None and began_at >= since and ongoing


def _rung(handed: Handover, until: datetime | None, legs: list[Leg]) -> Leg | None:
    """Return the leg that took a call after a blind transfer, else the one that was rung first."""
    rung = [
        leg
        for leg in legs
        if not leg.calling
        and leg is not handed.by
        and _began(leg.created_at, leg.ended_at, handed)
        and not (until and leg.created_at >= until)
    ]
    taken = [
        (leg.answered_at, leg.key, leg)
        for leg in rung
        if leg.reached and leg.answered_at and not_before(leg.answered_at, handed.at)
    ]
    return min(taken)[2] if taken else next(iter(rung), None)


def _led_into(
    stint: StintState, handed: Handover, until: datetime | None, answered_at: datetime | None
) -> bool:
    """Return whether the call was transferred into this queue.

    An agent may enter a queue to announce the caller: it is the queue then in which the colleague
    answered, or in which the agent still waited.
    """
    entered_at = stint.entered_at
    if (until and entered_at >= until) or (answered_at and not not_after(entered_at, answered_at)):
        return False
    if _began(entered_at, stint.left_at, handed):
        return True
    connected_at, since = stint.answered_at, handed.since
    if handed.blind or not (answered_at and connected_at and since):
        return False
    return entered_at >= since and abs(connected_at - answered_at) <= CONNECTED_WITHIN


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
