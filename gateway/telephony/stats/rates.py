"""From counts to rates: plain arithmetic on one row of the statistics, null for no denominator.

queries ─▶ stats ─▶ rates. The six ways of reckoning a service level are those of ICMI's QueueTips
(March 2005; callcentrehelper.com/206890): sl1 is also Asterisk's ServiceLevelPerf2 and Cisco's
"positive", sl2 Asterisk's ServiceLevelPerf and Wazo's quality of service, sl3 Cisco's "negative",
sl4 Bright Pattern's, sl6 Genesys' with short abandons off, and the usual one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.protocol.stats import Handling, Method, Service, ServiceLevel

FORMULAS: dict[Method, str] = {
    "sl1": "(answered_in_time + abandoned_in_time) / (answered + abandoned)",
    "sl2": "answered_in_time / answered",
    "sl3": "answered_in_time / (answered + abandoned)",
    "sl4": "answered_in_time / (answered + abandoned_late)",
    "sl5": "(answered_in_time + short_abandoned) / (answered + abandoned)",
    "sl6": "answered_in_time / (answered + abandoned - short_abandoned)",
}

DECIMALS = 6

THRESHOLD_MS = 20_000
"""What is answered by then is answered in time, unless asked otherwise."""
SHORT_MS = 5_000
"""Who gives up sooner has changed their mind, unless asked otherwise."""


def rate(part: float | None, whole: float | None) -> float | None:
    """Divide; None when there is nothing to divide by."""
    return round(float(part or 0) / float(whole), DECIMALS) if whole else None


def service_level(row: Mapping[str, Any], method: Method, threshold_ms: int) -> ServiceLevel:
    """Reckon the service level; at the threshold is in time."""
    answered, abandoned, short = row["answered"], row["abandoned"], row["short_abandoned"]
    in_time, given_up = row["answered_in_time"], row["abandoned_in_time"]
    part, whole = {
        "sl1": (in_time + given_up, answered + abandoned),
        "sl2": (in_time, answered),
        "sl3": (in_time, answered + abandoned),
        "sl4": (in_time, answered + abandoned - given_up),
        "sl5": (in_time + short, answered + abandoned),
        "sl6": (in_time, answered + abandoned - short),
    }[method]
    return ServiceLevel(
        method=method,
        formula=FORMULAS[method],
        threshold_s=threshold_ms / 1_000,
        value=rate(part, whole),
    )


def service(row: Mapping[str, Any], method: Method, threshold_ms: int) -> Service:
    """Say how waiting went."""
    offered, abandoned, short = row["offered"], row["abandoned"], row["short_abandoned"]
    parts = ("answered", "abandoned", "timeout", "left_queue", "failed")
    p50, p90, p95 = row["wait"] or (None, None, None)
    return Service(
        offered=offered,
        short_abandoned=short,
        other=offered - sum(row[part] for part in parts),
        **{part: row[part] for part in parts},
        answer_rate=rate(row["answered"], offered),
        abandonment_rate=rate(abandoned - short, offered - short),
        abandonment_rate_raw=rate(abandoned, offered),
        service_level=service_level(row, method, threshold_ms),
        asa_ms=rate(row["answered_wait_ms"], row["answered_waits"]),
        wait_avg_ms=rate(row["total_wait_ms"], row["waits"]),
        wait_p50_ms=p50,
        wait_p90_ms=p90,
        wait_p95_ms=p95,
        wait_max_ms=row["wait_max_ms"],
    )


def handling(
    row: Mapping[str, Any], *, wrap_ms: int | None, answered: int | None = None
) -> Handling:
    """Say how talking went; transfers are counted against what was answered, or else handled."""
    handled, talk_ms = row["talked"] or 0, int(row["talk_ms"] or 0)
    moved = row["transferred"] or 0
    return Handling(
        handled=handled,
        talk_ms=talk_ms,
        hold_ms=int(row["hold_ms"] or 0),
        wrap_ms=wrap_ms,
        aht_ms=rate(talk_ms + (wrap_ms or 0), handled),
        talk_avg_ms=rate(talk_ms, handled),
        transferred=moved,
        transfer_rate=rate(moved, handled if answered is None else answered),
    )
