"""Agents' pauses, from queue_log alone.

records ─▶ here ─▶ figures. A pause is in one queue, or in all of them; two at once are two spans.
"""

from __future__ import annotations

from collections import defaultdict

from tests.support.independent_count.calls import Span
from tests.support.independent_count.records import Records

WRAP_UP = {"wrapup", "wrap-up", "wrap up", "acw", "after call work"}


def pauses(
    records: Records, period: Span, *, queue: str | None = None, wrap_up: bool
) -> dict[str, list[Span]]:
    """Return extension → when it was paused in this queue, or in any, within the period.

    PAUSE names the queue and the reason; PAUSEALL stands beside one PAUSE for each queue and adds
    nothing. UNPAUSE ends the pause in its queue; so does PAUSE with another reason, which begins
    another pause. A pause without an end goes on.
    """
    since, until = period
    running: dict[tuple[str, str], tuple[int, str]] = {}
    found: dict[str, list[Span]] = defaultdict(list)

    def end(who: tuple[str, str], at: int) -> None:
        began, reason = running.pop(who)
        span = (max(began, since), min(at, until))
        if (reason.lower() in WRAP_UP) == wrap_up and span[0] < span[1]:
            found[who[1]].append(span)

    for row in records.queue_log:
        who = (row.queue, row.member[-3:])
        if row.event not in {"PAUSE", "UNPAUSE"} or queue not in {None, row.queue}:
            continue
        reason = row.data[0] if row.event == "PAUSE" else None
        if who in running and running[who][1] != reason:
            end(who, row.at)
        if reason is not None:
            running.setdefault(who, (row.at, reason))
    for who in list(running):
        end(who, until)
    return found
