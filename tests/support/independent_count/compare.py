"""The comparison of two answers, figure by figure.

figures, the product's answer ─▶ here ─▶ the test. Counts and their quotients are to be equal. Times
may differ by as much as the two sources do: without `timestampevents`, times are those of receipt
(docs/telephony.md, Asterisk); CEL has those at which the PBX wrote, queue_log whole seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.independent_count.records import Records

SPAN_MS = 10.0
"""A time between two moments differs by at most that: 9.5 ms have been seen."""
PAUSE_MS = 1_000.0
"""Of a pause, both moments are known to the second: its length is off by less than one."""

SPANS = {
    "asa_ms", "wait_avg_ms", "wait_p50_ms", "wait_p90_ms", "wait_p95_ms", "wait_max_ms", "aht_ms",
    "talk_avg_ms", "ring_avg_ms", "staffed_ms",
}  # fmt: skip
"""One span of time, or a mean of many."""


@dataclass(frozen=True)
class Slack:
    """By how much figures may differ that depend on queue_log's times."""

    records: Records
    employees: Mapping[str, int]

    def pauses_ms(self, employee: int | None) -> float:
        """Return the slack of all pauses of this agent together."""
        return PAUSE_MS * sum(
            row.event == "PAUSE" and self.employees.get(row.member[-3:]) == employee
            for row in self.records.queue_log
        )


def differences(path: str, ours: Any, theirs: Any, slack: Slack) -> list[str]:
    """Return each figure that differs: where, what was counted, what the product says."""
    return list(_walk(path, ours, theirs, slack, {}))


def _walk(
    path: str, ours: Any, theirs: Any, slack: Slack, around: Mapping[str, Any]
) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted({*ours, *theirs}, key=str):
            if key in ours and key in theirs:
                yield from _walk(f"{path} {key}", ours[key], theirs[key], slack, ours)
            else:
                yield f"{path} {key}: only {'counted' if key in ours else 'said'}"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _walk(f"{path} {number}", one, other, slack, {})
    elif ours != theirs and not _near(path.rpartition(" ")[2], ours, theirs, slack, around):
        yield f"{path}: counted {ours}, said {theirs}"


def _near(figure: str, ours: Any, theirs: Any, slack: Slack, around: Mapping[str, Any]) -> bool:
    if not (isinstance(ours, int | float) and isinstance(theirs, int | float)):
        return False
    off = abs(ours - theirs)
    if figure in SPANS:
        return bool(off <= SPAN_MS)
    if figure == "talk_ms":
        return bool(off <= SPAN_MS * around["handled"])
    if figure == "pause_ms":
        return bool(off <= slack.pauses_ms(around["employee_id"]))
    if figure == "occupancy":
        pauses_ms = slack.pauses_ms(around["employee_id"]) + SPAN_MS * around["offered"]
        return bool(off <= ours * pauses_ms / (around["staffed_ms"] - around["pause_ms"]))
    return False
