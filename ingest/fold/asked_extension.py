"""Whom the caller asked for: the extension dialled inside, or the telephone that was rung first.

legs ─▶ asked_extension ─▶ fold. Who takes the call may be somebody else: it was forwarded, picked
up, transferred, or went on to the next telephone. A queue and a group are nobody in particular.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from ingest.fold.legs import Leg
from ingest.fold.near_times import NEAR, not_after
from ingest.model.call_state import Direction, StintState

SHORT = re.compile(r"\d{2,6}", re.ASCII)
TOGETHER_WITHIN = timedelta(milliseconds=500)  # the members of a group are rung within 0 to 4 ms


def asked_extension(
    initiator: Leg, others: Iterable[Leg], stints: Iterable[StintState], direction: Direction
) -> str | None:
    """Return the extension; None when no single telephone of ours was asked for."""
    rung = sorted((leg for leg in others if not (leg.calling or leg.placed)), key=_appeared)
    dialled = initiator.did or ""
    ours = direction != "outbound" or any(leg.extension == dialled for leg in rung)
    if not (initiator.external or initiator.placed) and SHORT.fullmatch(dialled):
        return dialled if ours else None
    if direction == "outbound":
        return None
    if not rung or any(not_after(stint.entered_at, rung[0].created_at) for stint in stints):
        return None
    itself = [leg for leg in rung if leg.forwarded_from is None]
    source = rung[0].forwarded_from
    if source and source not in {leg.extension for leg in itself}:
        return source
    first = itself[0]
    end = first.answered_at or first.ended_at
    until = max(first.created_at, end - NEAR) if end else first.created_at + TOGETHER_WITHIN
    until = max(first.created_at + NEAR, min(until, first.created_at + TOGETHER_WITHIN))
    together = {leg.extension for leg in itself if leg.created_at <= until}
    return first.extension if len(together) == 1 else None


def _appeared(leg: Leg) -> tuple[datetime, str]:
    return leg.created_at, leg.key
