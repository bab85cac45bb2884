"""Calls that somebody moved from outside: a supervisor, a program, by no telephone of the call.

legs ─▶ redirects ─▶ transfers. Asterisk does not tell of a redirect. It is seen by what it causes:
a conversation ends although nobody hung up, handed the call on or parked it; the PBX lets one side
go and at once sends the other to another telephone or into a queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from ingest.fold.legs import Leg
from ingest.fold.near_times import NEAR, not_after, not_before
from ingest.model.call_state import ParkingState, StintState, TransferState

AT_ONCE = timedelta(seconds=1)
"""Within this time the PBX lets the other side go, and a transfer explains what happened."""
LET_GO = frozenset((0, 16))
"""Q.850 causes of a leg that is let go: none, or normal clearing. Others: its line broke."""
SOON = timedelta(seconds=5)
"""Until then the new telephone rings: the dialplan may play a few words before."""


def redirects(
    legs: Sequence[Leg],
    stints: Sequence[StintState],
    transfers: Iterable[TransferState],
    parkings: Iterable[ParkingState],
) -> list[TransferState]:
    """Return the redirects that the PBX does not tell of."""
    ends = [end for leg in legs for _, end in leg.talks if end]
    if not ends:
        return []
    began = [leg.created_at for leg in legs] + [stint.entered_at for stint in stints]
    if not not_before(max(began), min(ends)):
        return []  # nothing began after a conversation, as in most calls
    explained = [*(one.at for one in transfers), *(one.at for one in parkings)]
    return [
        moved
        for leg in legs
        for at in _ends(leg)
        if not any(abs(one - at) <= AT_ONCE for one in explained)
        and _others_were_let_go(leg, at, legs)
        and (moved := _redirect(leg, at, legs, stints))
    ]


def _was_let_go(leg: Leg) -> bool:
    """Return whether the PBX ended a leg that was in a conversation, and its telephone did not."""
    gone = leg.talks and leg.ended_at and leg.hang_up_told and not leg.hung_up_at
    return bool(gone) and leg.cause in LET_GO


def _ends(leg: Leg) -> list[datetime]:
    """Return the ends of conversations after which a leg went on, in no other conversation."""
    return [
        end
        for _, end in leg.talks
        if end is not None
        and (leg.ended_at is None or leg.ended_at > end + NEAR)
        and not any(
            not_after(start, end) and (until is None or until > end + NEAR)
            for start, until in leg.talks
        )
    ]


def _others_were_let_go(leg: Leg, at: datetime, legs: Iterable[Leg]) -> bool:
    others = [
        one
        for one in legs
        if one is not leg and any(end and abs(end - at) <= NEAR for _, end in one.talks)
    ]
    return bool(others) and all(
        _was_let_go(one) and one.ended_at and abs(one.ended_at - at) <= AT_ONCE for one in others
    )


def _redirect(
    leg: Leg, at: datetime, legs: Iterable[Leg], stints: Iterable[StintState]
) -> TransferState | None:
    """Return where the call went; None when it rang nobody, and entered no queue."""
    rung = [
        one
        for one in legs
        if leg.keys & one.diallers and not_before(one.created_at, at) and one.created_at < at + SOON
    ]
    stint = next(
        (s for s in stints if not_before(s.entered_at, at) and s.entered_at < at + SOON), None
    )
    if not (rung or stint):
        return None
    taken = [one for one in rung if one.reached and one.answered_at]
    target = min(taken or rung, key=lambda one: (one.created_at, one.key), default=None)
    under = min((name for name, _, _ in target.rung_under), default=None) if target else None
    return TransferState(
        kind="redirect",
        at=at,
        by_leg_key=None,
        by_extension=None,
        to_number=under or (target.dialled if target else None),
        to_extension=target.extension if target else None,
        queue=stint.queue if stint else None,
        answered_at=target.answered_at if target and target.reached else None,
    )
