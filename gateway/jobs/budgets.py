"""How many more jobs of each queue a worker may claim now.

Worker ─▶ QueueSlots: as many as its share of the slots has free and its budget allows; none while
the queue is closed. So one provider that is slow or refuses holds up its own queue alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Budget(Protocol):
    """What a provider accepts, over all that share it."""

    def available(self) -> int:
        """Return how many may be sent now."""

    def spend(self, jobs: int) -> None:
        """Note that so many were claimed to be sent."""

    def wait_s(self) -> float:
        """Return the seconds until one more may be sent; 0 when one may be now."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A name, and the share of a worker's slots that its jobs may fill."""

    name: str
    share: float
    budget: Budget | None = None


class RateBudget:
    """So many a second on average, `burst` at once."""

    def __init__(
        self, per_s: float, burst: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s, self._burst, self._now = per_s, burst, now
        self._tokens, self._at = burst, now()

    def available(self) -> int:
        return max(0, int(self._refilled()))

    def spend(self, jobs: int) -> None:
        self._tokens = self._refilled() - jobs

    def wait_s(self) -> float:
        return max(0.0, 1 - self._refilled()) / self._per_s

    def _refilled(self) -> float:
        now = self._now()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        return self._tokens


UNSTORED = 4
"""Claims go on while the ends of jobs are stored, until so many times the slots are not."""


class QueueSlots:
    """One queue on one worker."""

    def __init__(self, queue: Queue, slots: int, now: Callable[[], float] = time.monotonic) -> None:
        self.name = queue.name
        self.most = max(1, round(slots * queue.share))
        self.running = 0
        self.ending = 0
        """Jobs that have run, and whose end is not stored."""
        self.filled = False
        """The last claim took all that it might: there may be more."""
        self._budget = queue.budget
        self._closed_until = 0.0
        self._now = now

    def room(self) -> int:
        """Return how many more jobs may be claimed now."""
        if self._now() < self._closed_until:
            return 0
        free = min(self.most, UNSTORED * self.most - self.ending) - self.running
        return max(0, free if self._budget is None else min(free, self._budget.available()))

    def claimed(self, jobs: int, room: int) -> None:
        """Count jobs that were claimed when there was this much room."""
        self.running += jobs
        if room:
            self.filled = jobs == room
        if jobs and self._budget is not None:
            self._budget.spend(jobs)

    def close(self, after_s: float) -> None:
        """Claim nothing for so long."""
        self._closed_until = max(self._closed_until, self._now() + after_s)

    def opens_in_s(self) -> float:
        """Return the seconds until there is room but for free slots."""
        closed_s = max(0.0, self._closed_until - self._now())
        return max(closed_s, self._budget.wait_s() if self._budget is not None else 0.0)
