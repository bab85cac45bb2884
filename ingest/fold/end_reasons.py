"""Why a leg ended, and the form in which it is stored and shown.

legs ─▶ ended_reason, leg_state ─▶ fold. A leg is not missed when somebody else answered the call.
"""

from __future__ import annotations

from datetime import timedelta

from ingest.fold.intervals import intersection, total_ms
from ingest.fold.legs import ELSEWHERE, Leg
from ingest.fold.near_times import not_after
from ingest.model.call_state import EndedReason, LegState

ELSEWHERE_WITHIN = timedelta(milliseconds=500)  # the losers of a ring group stop 0 to 4 ms later

# Q.850 causes of a channel that was never answered, as Asterisk reports them.
BUSY, REJECTED = 17, 21
NO_ANSWER = frozenset((18, 19))
FAILED = frozenset((1, 2, 3, 20, 22, 27, 28, 34, 38, 41, 42, 44, 58, 88))
STATED: tuple[EndedReason, ...] = ("busy", "rejected", "failed", "no_answer")
"""Reasons that an event may state, the strongest first."""


def ended_reason(leg: Leg, legs: list[Leg]) -> EndedReason | None:
    """Return why it ended; None while it has not. Answered by another leg is never missed."""
    if leg.ended_at is None:
        return None
    if "lost" in leg.results:
        return "lost"
    if "dumped" in leg.results:
        return "rejected"
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
        and not_after(leg.created_at, other.answered_at)
        and other.answered_at <= leg.ended_at + ELSEWHERE_WITHIN
        for other in legs
    )


def _overlap_ms(leg: Leg, legs: list[Leg]) -> int | None:
    """Return the part of its talk time that earlier lines of its telephone already have."""
    if not (leg.extension and leg.talks):
        return None
    earlier = [
        other
        for other in legs
        if other.extension == leg.extension and other is not leg and other.talks
        and (other.created_at, other.key) < (leg.created_at, leg.key)
    ]  # fmt: skip
    if not earlier:
        return None
    both = (intersection(talk, one) for talk in leg.talks for o in earlier for one in o.talks)
    return total_ms(part for part in both if part)


def leg_state(leg: Leg, legs: list[Leg], *, placed: bool, other_device: bool) -> LegState:
    """Return the leg in the form in which it is stored and shown.

    other_device: another device of the same telephone stands for its offer.
    """
    reason = ended_reason(leg, legs)
    return LegState(  # by place: model/frozen.py
        leg.key,
        leg.extension,
        "external" if leg.external else "agent",
        leg.status,
        leg.ringing_at,
        leg.answered_at,
        leg.ended_at,
        "other_device" if reason and other_device else reason,
        total_ms(leg.talks) if leg.talks else None,
        _overlap_ms(leg, legs) if leg.guest_ms is None else leg.guest_ms,
        total_ms(leg.holds) if leg.holds else None,
        leg.forwarded_from,
        leg.sip_call_id,
        leg.guest_ms is not None,
        placed,
    )
