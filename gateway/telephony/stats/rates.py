"""From counts to rates: plain arithmetic on one row of the statistics, None for no denominator.

counts ─▶ here ─▶ stats. The six methods of a service level are those of ICMI's QueueTips
(March 2005; callcentrehelper.com/206890): sl1 is also Asterisk's ServiceLevelPerf2 and Cisco's
"positive", sl2 Asterisk's ServiceLevelPerf and Wazo's quality of service, sl3 Cisco's "negative",
sl4 Bright Pattern's, sl6 Genesys' without short abandons, and the most common one.
"""

from __future__ import annotations

from gateway.protocol.stats import Handling, Method, Service, ServiceLevel
from gateway.telephony.stats.counts import TalkCounts, WaitCounts

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
"""Default: a call that is answered within 20 s is answered in time."""
SHORT_MS = 5_000
"""Default: a caller who hangs up within 5 s has changed their mind (a short abandon)."""


def rate(part: float | None, whole: float | None) -> float | None:
    """Return part / whole, rounded to 6 decimals; None when whole is 0 or None."""
    return round(float(part or 0) / float(whole), DECIMALS) if whole else None


def service_level(waits: WaitCounts, method: Method, threshold_ms: int) -> ServiceLevel:
    """Return the service level; a wait of exactly the threshold is in time."""
    answered, abandoned, short = waits.answered, waits.abandoned, waits.short_abandoned
    in_time, given_up = waits.answered_in_time, waits.abandoned_in_time
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


def service(waits: WaitCounts, method: Method, threshold_ms: int) -> Service:
    """Return the figures of waiting."""
    offered, abandoned, short = waits.offered, waits.abandoned, waits.short_abandoned
    ended = sum((waits.answered, abandoned, waits.timeout, waits.left_queue, waits.voicemail,
                 waits.failed))  # fmt: skip
    p50, p90, p95 = waits.wait or (None, None, None)
    return Service(
        offered=offered,
        answered=waits.answered,
        abandoned=abandoned,
        short_abandoned=short,
        timeout=waits.timeout,
        left_queue=waits.left_queue,
        voicemail=waits.voicemail,
        failed=waits.failed,
        other=offered - ended,
        answer_rate=rate(waits.answered, offered),
        abandonment_rate=rate(abandoned - short, offered - short),
        abandonment_rate_raw=rate(abandoned, offered),
        service_level=service_level(waits, method, threshold_ms),
        asa_ms=rate(waits.answered_wait_ms, waits.answered_waits),
        wait_avg_ms=rate(waits.total_wait_ms, waits.waits),
        wait_p50_ms=p50,
        wait_p90_ms=p90,
        wait_p95_ms=p95,
        wait_max_ms=waits.wait_max_ms,
    )


def handling(talks: TalkCounts, *, wrap_ms: int | None, answered: int | None = None) -> Handling:
    """Return the figures of talking; transfer_rate is by what was answered, or else handled."""
    handled, talk_ms = talks.talked, int(talks.talk_ms)
    return Handling(
        handled=handled,
        talk_ms=talk_ms,
        hold_ms=int(talks.hold_ms),
        wrap_ms=wrap_ms,
        aht_ms=rate(talk_ms + (wrap_ms or 0), handled),
        talk_avg_ms=rate(talk_ms, handled),
        transferred=talks.transferred,
        transfer_rate=rate(talks.transferred, handled if answered is None else answered),
    )
