"""What a run of Autobahn says: cases counted by behaviour, and those that nobody expected.

index.json of `wstest` ─▶ read ─▶ Summary ─▶ the command's output and exit code.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Expected:
    """Deviations that are known and explained in expected.json."""

    cases: dict[str, tuple[str, ...]]

    @classmethod
    def read(cls, path: Path) -> Expected:
        text = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            {
                case: tuple(known["behaviours"])
                for group in text.values()
                for case, known in group["cases"].items()
            }
        )

    def allows(self, case: str, behaviour: str) -> bool:
        """Say whether this behaviour of this case is no news."""
        if behaviour in ("OK", "INFORMATIONAL"):
            return True
        return behaviour in self.cases.get(case, ())


@dataclass(slots=True)
class Summary:
    """A run, counted and judged."""

    total: int = 0
    behaviours: Counter[str] = field(default_factory=Counter)
    closes: Counter[str] = field(default_factory=Counter)
    deviations: dict[str, str] = field(default_factory=dict)
    """Case → behaviour, of those that are neither OK nor informational but expected."""
    surprises: dict[str, str] = field(default_factory=dict)
    """Case → what is wrong with it."""

    @property
    def passed(self) -> bool:
        """Whether cases ran, and none of them surprised."""
        return self.total > 0 and not self.surprises

    def as_json(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "total": self.total,
            "behaviours": dict(self.behaviours),
            "closes": dict(self.closes),
            "deviations": self.deviations,
            "surprises": self.surprises,
        }


def read(report: Path, expected: Expected, *, wanted: int | None = None) -> Summary:
    """Judge the index.json of one run of one agent; `wanted` is how many cases should be there."""
    agents = json.loads(report.read_text(encoding="utf-8"))
    cases: dict[str, dict[str, Any]] = next(iter(agents.values()), {})
    summary = judge(cases, expected)
    if wanted is not None and summary.total != wanted:
        summary.surprises["the run"] = f"{summary.total} cases instead of {wanted}"
    return summary


def judge(cases: dict[str, dict[str, Any]], expected: Expected) -> Summary:
    """Count behaviours and closes; put aside what was not expected."""
    summary = Summary(total=len(cases))
    for case in sorted(cases, key=_in_order):
        behaviour, close = cases[case]["behavior"], cases[case]["behaviorClose"]
        summary.behaviours[behaviour] += 1
        summary.closes[close] += 1
        if not expected.allows(case, behaviour):
            summary.surprises[case] = behaviour
        elif not expected.allows(case, close):
            summary.surprises[case] = f"closing: {close}"
        elif behaviour not in ("OK", "INFORMATIONAL", "UNIMPLEMENTED"):
            summary.deviations[case] = behaviour
    return summary


def text_of(summary: Summary) -> str:
    """Print a summary for people."""
    lines = [f"{summary.total} cases: {_counts(summary.behaviours)}"]
    lines.append(f"closing handshakes: {_counts(summary.closes)}")
    if summary.deviations:
        lines.append("known deviations: " + ", ".join(summary.deviations))
    lines += [f"NOT EXPECTED {case}: {what}" for case, what in summary.surprises.items()]
    if not summary.total:
        lines.append("NOT EXPECTED: no case ran")
    return "\n".join(lines)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counter.items()))


def _in_order(case: str) -> tuple[int, ...]:
    return tuple(int(part) for part in case.split("."))
