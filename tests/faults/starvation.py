"""How long each process wanted a processor and got none, so that a late delivery can be judged.

laboratory ─▶ StarvationWatch ─▶ History.starved ─▶ DeliveryDeadlines, checker. The kernel counts
how long a runnable process waits (/proc/PID/schedstat): that is the machine's fault, and a
callback that holds an event loop is not. The laboratory itself only observes: of it all lateness of
its event loop counts, whatever the cause.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

EVERY_S = 0.1
LEAST_S = 0.005
"""Waits of a sample below this are not recorded: every process has some."""
OBSERVER = "laboratory"

Pids = Callable[[], Mapping[str, Iterable[int]]]
"""Returns the processes to look at, by name; of several of one name the longest wait counts."""


@dataclass(slots=True)
class StarvedTimes:
    """When one process waited for a processor: (until, seconds in all up to then), in order."""

    until: list[float] = field(default_factory=list)
    total: list[float] = field(default_factory=list)
    began: list[float] = field(default_factory=list)

    def add(self, began: float, until: float, waited_s: float) -> None:
        if waited_s >= LEAST_S:
            self.began.append(began)
            self.until.append(until)
            self.total.append(self.in_all + min(waited_s, until - began))

    @property
    def in_all(self) -> float:
        return self.total[-1] if self.total else 0.0

    @property
    def longest(self) -> float:
        """The longest wait in one sample."""
        starts = (0.0, *self.total)
        return max((end - start for start, end in zip(starts, self.total, strict=False)), default=0)

    def between(self, since: float, until: float) -> float:
        """Return how long it waited in this time; of a sample that only overlaps, the whole."""
        first = bisect_right(self.until, since)
        last = bisect_right(self.began, until)
        if last <= first:
            return 0.0
        return self.total[last - 1] - (self.total[first - 1] if first else 0.0)


@dataclass(slots=True)
class Starvation:
    """When processes were starved."""

    times: dict[str, StarvedTimes] = field(default_factory=dict)
    """By the name of the process."""
    anybody: StarvedTimes = field(default_factory=StarvedTimes)
    """The longest wait of each moment."""

    def of(self, name: str) -> StarvedTimes:
        return self.times.setdefault(name, StarvedTimes())

    def add(self, began: float, until: float, waits: Mapping[str, float]) -> None:
        """Note how long each process waited in one moment."""
        for name, waited_s in waits.items():
            self.of(name).add(began, until, waited_s)
        self.anybody.add(began, until, max(waits.values(), default=0.0))

    def held_up(self, since: float, until: float) -> float:
        """Return how long something that was under way may have been held up.

        It passes one process after another, and in each moment only that one's wait matters: of
        those who waited at the same time the longest counts, and one moment is added to the next.
        """
        return self.anybody.between(since, until)


class StarvationWatch:
    """Looks at all processes of a run, until cancelled."""

    def __init__(self, found: Starvation, pids: Pids) -> None:
        self._found = found
        self._pids = pids
        self._waited: dict[int, float] = {}

    async def run(self) -> None:
        """Sample; the laboratory's own lateness is how late the sample itself is."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(EVERY_S)
            now = time.monotonic()
            waits = {name: self._look(pids) for name, pids in self._pids().items()}
            self._found.add(looked, now, {OBSERVER: now - looked - EVERY_S, **waits})
            looked = now

    def _look(self, pids: Iterable[int]) -> float:
        longest = 0.0
        for pid in pids:
            waited_s = run_delay_s(pid)
            if waited_s is not None:
                longest = max(longest, waited_s - self._waited.get(pid, waited_s))
                self._waited[pid] = waited_s
        return longest


def run_delay_s(pid: int) -> float | None:
    """Return how long this process has waited in its life; None where that is not known."""
    with suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[1]) / 1e9
    return None


def children(pid: int) -> list[int]:
    """Return the processes that this one started and that live: PostgreSQL's backends."""
    with suppress(OSError, ValueError):
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
        return [int(child) for child in found.split()]
    return []
