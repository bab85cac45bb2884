"""Exact times of one Locust process, left in a file: Locust's own statistics are rounded.

locustfile ─▶ Figures ─▶ figures-PID.json ─▶ scenarios, which join the files of all processes.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

import orjson

VOID_ABOVE = 90.0
"""Percent of a core: a generator that is busier measures itself."""


@dataclass(slots=True)
class Figures:
    """Of one process, or of all together."""

    latencies_ms: dict[str, list[float]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    """Name → how many succeeded, with those that have no time."""
    sizes: Counter[str] = field(default_factory=Counter)
    """Name → bytes."""
    errors: Counter[str] = field(default_factory=Counter)
    """`name: code` → how many."""
    cpu_percent: float = 0.0
    """Of one core, since the test began; of the busiest process, if of all together."""
    always: AbstractSet[str] = frozenset()
    """Names whose times are kept during the warm-up, too."""
    _since: float = 0.0

    def warm_up(self, seconds: float) -> None:
        """Count, but keep no times, for so long from now on."""
        self._since = time.perf_counter() + seconds

    def note(self, name: str, took_ms: float | None, size: int, error: Exception | None) -> None:
        if error is not None:
            self.errors[f"{name}: {error}"] += 1
            return
        self.counts[name] += 1
        self.sizes[name] += size
        settled = name in self.always or time.perf_counter() >= self._since
        if took_ms is not None and settled:
            self.latencies_ms.setdefault(name, []).append(took_ms)

    def write(self, directory: Path) -> None:
        found = {
            "latencies_ms": self.latencies_ms,
            "counts": self.counts,
            "sizes": self.sizes,
            "errors": self.errors,
            "cpu_percent": self.cpu_percent,
        }
        file = directory / f"figures-{os.getpid()}.json"
        unfinished = file.with_suffix(".part")
        unfinished.write_bytes(orjson.dumps(found))
        unfinished.rename(file)


@dataclass(slots=True)
class CpuShare:
    """This process' CPU beside the clock, from begin() to percent()."""

    _cpu_s: float = 0.0
    _at: float = 0.0

    def begin(self) -> None:
        self._cpu_s, self._at = time.process_time(), time.perf_counter()

    def percent(self) -> float:
        passed = time.perf_counter() - self._at
        return 100 * (time.process_time() - self._cpu_s) / passed if self._at else 0.0


def joined(files: Iterable[Path]) -> Figures:
    """Return the figures of all processes together."""
    whole = Figures()
    for file in files:
        found = orjson.loads(file.read_bytes())
        for name, samples in found["latencies_ms"].items():
            whole.latencies_ms.setdefault(name, []).extend(samples)
        whole.counts.update(found["counts"])
        whole.sizes.update(found["sizes"])
        whole.errors.update(found["errors"])
        whole.cpu_percent = max(whole.cpu_percent, found["cpu_percent"])
    return whole
