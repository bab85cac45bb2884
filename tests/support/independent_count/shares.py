"""What is asked for, and the arithmetic of its answer: means, shares, percentiles, hours.

figures ─▶ here. Milliseconds are cut off at the end; nothing divided by nothing is None.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.support.independent_count.calls import CountedCall, Span
from tests.support.independent_count.records import SECOND

MS = SECOND // 1_000
FORMULAS = {
    "sl1": "(answered_in_time + abandoned_in_time) / (answered + abandoned)",
    "sl2": "answered_in_time / answered",
    "sl3": "answered_in_time / (answered + abandoned)",
    "sl4": "answered_in_time / (answered + abandoned_late)",
    "sl5": "(answered_in_time + short_abandoned) / (answered + abandoned)",
    "sl6": "answered_in_time / (answered + abandoned - short_abandoned)",
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for; the defaults are those of the product's documentation."""

    since: datetime
    until: datetime
    tz: str = "UTC"
    direction: str | None = None
    queue: str | None = None
    agent_id: int | None = None
    threshold_s: float = 20
    short_s: float = 5
    sl_method: str = "sl6"

    @property
    def span(self) -> Span:
        return micros(self.since), micros(self.until)


def service(waits: list[tuple[str, int]], request: Request) -> dict[str, Any]:
    """Return the figures of waiting, of each outcome with its wait.

    Three callers reached a mailbox, and hung up before they had said anything.
    """
    offered = len(waits)
    answered = [wait for outcome, wait in waits if outcome == "answered"]
    abandoned = [wait for outcome, wait in waits if outcome == "abandoned"]
    timeout = sum(outcome == "timeout" for outcome, _ in waits)
    short = sum(wait < request.short_s * SECOND for wait in abandoned)
    quick, given_up = (
        sum(wait <= request.threshold_s * SECOND for wait in some) for some in (answered, abandoned)
    )
    part, whole = {
        "sl1": (quick + given_up, len(answered) + len(abandoned)),
        "sl2": (quick, len(answered)),
        "sl3": (quick, len(answered) + len(abandoned)),
        "sl4": (quick, len(answered) + len(abandoned) - given_up),
        "sl5": (quick + short, len(answered) + len(abandoned)),
        "sl6": (quick, len(answered) + len(abandoned) - short),
    }[request.sl_method]
    every = sorted(wait // MS for _, wait in waits)
    return {
        "offered": offered,
        "answered": len(answered),
        "abandoned": len(abandoned),
        "short_abandoned": short,
        "timeout": timeout,
        "left_queue": 0,
        "voicemail": 0,
        "failed": 0,
        "other": offered - len(answered) - len(abandoned) - timeout,
        "answer_rate": share(len(answered), offered),
        "abandonment_rate": share(len(abandoned) - short, offered - short),
        "abandonment_rate_raw": share(len(abandoned), offered),
        "service_level": {
            "method": request.sl_method,
            "formula": FORMULAS[request.sl_method],
            "threshold_s": request.threshold_s,
            "value": share(part, whole),
        },
        "asa_ms": share(sum(answered) / MS, len(answered)),
        "wait_avg_ms": share(sum(every), offered),
        **{f"wait_p{percent}_ms": percentile(every, percent) for percent in (50, 90, 95)},
        "wait_max_ms": max(every, default=None),
    }


def handling(
    *, handled: int, talk: int, wrap: int | None, transferred: int, answered: int
) -> dict[str, Any]:
    """Return the figures of talking; nobody holds a caller in these recordings."""
    return {
        "handled": handled,
        "talk_ms": talk // MS,
        "hold_ms": 0,
        "wrap_ms": None if wrap is None else wrap // MS,
        "aht_ms": share((talk + (wrap or 0)) / MS, handled),
        "talk_avg_ms": share(talk / MS, handled),
        "transferred": transferred,
        "transfer_rate": share(transferred, answered),
    }


def hours(picked: Iterable[CountedCall], request: Request) -> list[dict[str, Any]]:
    """Return the hours of the week, half a minute at a time."""
    zone = ZoneInfo(request.tz)
    halves: dict[tuple[int, int], int] = defaultdict(int)
    began: dict[tuple[int, int], int] = defaultdict(int)
    at = request.since
    while at < request.until:
        local = at.astimezone(zone)
        halves[local.isoweekday(), local.hour] += 1
        at += timedelta(seconds=30)
    for call in picked:
        local = moment(call.began).astimezone(zone)
        began[local.isoweekday(), local.hour] += 1
    return [
        {
            "weekday": cell[0],
            "hour": cell[1],
            "calls": began[cell],
            "hours": count / 120,
            "per_hour": share(began[cell], count / 120),
            "incomplete": False,
        }
        for cell, count in sorted(halves.items())
    ]


def share(part: float, whole: float) -> float | None:
    """Return the quotient with six decimals; None of nothing."""
    return round(part / whole, 6) if whole else None


def percentile(ordered: list[int], percent: int) -> float | None:
    """Return the value below which so many percent lie, interpolated."""
    if not ordered:
        return None
    place = (len(ordered) - 1) * percent
    low, above = divmod(place, 100)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * above / 100


def micros(at: datetime) -> int:
    """Return microseconds since 1970."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def moment(at: int) -> datetime:
    """Return the moment that is so many microseconds after 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
