"""The result of a scenario: a table for people, one line of JSON for programs."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

Figure = int | float


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one scenario, and what went wrong."""

    scenario: str
    setting: str
    """What was done, in words."""
    figures: Mapping[str, Figure | Mapping[str, Figure]]
    """A figure may be a group of them: one for each server that was compared."""
    failures: list[str] = field(default_factory=list)
    text: str = ""
    """What people get in addition, such as a table to be copied into a document."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """What could not be compared here → why."""

    @property
    def ok(self) -> bool:
        return not self.failures


def machine() -> str:
    """Say where the figures come from."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores, {platform.system()}, Python {platform.python_version()}"


def table(result: Result) -> str:
    """Print the figures, one a line."""
    shown = _flat(result.figures)
    width = max(len(name) for name in shown)
    lines = [f"{result.scenario}: {result.setting}", f"  {machine()}"]
    lines += [f"  {name:<{width}}  {_shown(value):>10}" for name, value in shown.items()]
    lines += [f"  not compared: {name}, {why}" for name, why in result.skipped.items()]
    lines += [f"  FAILED: {failure}" for failure in result.failures]
    return "\n".join(lines) + "\n" + (f"\n{result.text}" if result.text else "")


def to_json(result: Result) -> str:
    """Print the figures as one object; a figure that does not exist is null."""
    return orjson.dumps(
        {
            "scenario": result.scenario,
            "setting": result.setting,
            **result.figures,
            **({"skipped": result.skipped} if result.skipped else {}),
            "failures": result.failures,
            "machine": machine(),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    ).decode()


def _flat(figures: Mapping[str, Figure | Mapping[str, Figure]]) -> dict[str, Figure]:
    flat: dict[str, Figure] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": figure for inner, figure in value.items()}
        else:
            flat[name] = value
    return flat


def _shown(value: Figure) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if math.isnan(value) else f"{value:.2f}"
