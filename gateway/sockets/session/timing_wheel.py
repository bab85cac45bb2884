"""One timing wheel per process: deadlines of every connection, without a timer for each.

An entry is in the slot of its next deadline; when the hand gets there, the wheel calls
`due(now)`, which returns the next deadline, or None to leave. Never early, late by at most one
tick.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)


class WheelEntry(Protocol):
    """Something with deadlines."""

    def due(self, now: float) -> float | None:
        """Do what is due at now (loop time); return the next deadline, None for none."""


class TimingWheel:
    """Slots of deadlines, and a hand that moves one slot a tick."""

    def __init__(self, *, tick_s: float = 0.25, slots: int = 256) -> None:
        self._tick_s = tick_s
        self._slots: list[list[tuple[float, WheelEntry]]] = [[] for _ in range(slots)]
        self._hand = 0
        self._started_at = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many entries there are; counted on each call."""
        return sum(map(len, self._slots))

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._started_at = loop.time()
        self._hand = 0
        self._handle = loop.call_later(self._tick_s, self._tick)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def add(self, when: float, entry: WheelEntry) -> None:
        """Call entry.due() at `when` (loop time), or at the next tick if that has passed."""
        position = max(int((when - self._started_at) / self._tick_s) + 1, self._hand + 1)
        self._slots[position % len(self._slots)].append((when, entry))

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        target = int((now - self._started_at) / self._tick_s)
        while self._hand < target:
            self._hand += 1
            index = self._hand % len(self._slots)
            entries, self._slots[index] = self._slots[index], []
            for when, entry in entries:
                if when > now:  # a later round of the wheel
                    self._slots[index].append((when, entry))
                    continue
                self._ask(entry, now)
        following = self._started_at + (self._hand + 1) * self._tick_s
        self._handle = loop.call_at(following, self._tick)

    def _ask(self, entry: WheelEntry, now: float) -> None:
        try:
            following = entry.due(now)
        except Exception:
            log.exception("wheel.entry_failed")
            return
        if following is not None:
            self.add(following, entry)
