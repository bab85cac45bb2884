"""Load shedding: how long commands wait for the database, and which are refused because of it.

context, sends ─▶ LoadShedder ─▶ session, REST. While PostgreSQL keeps up nothing is refused. When a
command has waited too long, passing commands are refused first (typing, presence), then reads,
which can be repeated, then writes; they are admitted again in the reverse order.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

LEVEL_WAIT_S = (0.25, 0.5, 1.0)
"""The longest wait that brings about level 1, 2 and 3. A command fails after 2 s, so commands that
are admitted at the last level are still served."""
CONNECT_S = 1.0
"""While the pool may still grow, a waiting command is having a connection opened for it. On a busy
machine that may take this long, and refusing others would not make it faster."""
HOLD_SHARE = 0.5
"""A level is held while a command waits for this share of the wait that brought it about …"""
CALM_S = 1.0
"""… and this long afterwards; then the next lower level applies."""

SHED_AT: Mapping[str, int] = {"passing": 1, "read": 2, "write": 3}
"""Cost of a command → the level from which it is refused."""

RETRY_S = (1.0, 3.0)


class LoadShedder:
    """Watches what waits for a node's pool of `size` connections; `full`: all are open.

    `now` should not advance while the event loop is stalled (ops/loop_lag.py): a stall is no sign
    of a slow database, and refusing commands would not end it.
    """

    def __init__(
        self,
        size: int,
        *,
        full: Callable[[], bool] = lambda: True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._size = size
        self._full = full
        self._now = now
        self._waiting: dict[object, float] = {}
        """Waiting commands → since when; the first has waited longest."""
        self._in_use = 0
        self._changed_at = now()
        self._sources: list[Callable[[], float]] = []
        self._level = 0
        self._held_at = 0.0
        self.shed: Counter[str] = Counter()

    # --- what waits ------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """Return how many commands wait for a connection."""
        return len(self._waiting)

    @contextmanager
    def wait(self) -> Iterator[None]:
        """Count the block as waiting for a connection."""
        ticket = object()
        self._waiting[ticket] = self._now()
        try:
            yield
        finally:
            del self._waiting[ticket]

    @contextmanager
    def use(self) -> Iterator[None]:
        """Count the block as using a connection."""
        self._in_use += 1
        self._changed_at = self._now()
        try:
            yield
        finally:
            self._in_use -= 1
            self._changed_at = self._now()

    def add_sources(self, *late_s: Callable[[], float]) -> None:
        """Add other queues for the database: functions that return their longest waits."""
        self._sources += late_s

    def longest_wait_s(self) -> float:
        """Return the longest wait; with all connections in use also how long none came back."""
        now = self._now()
        late = [late_s() for late_s in self._sources]
        if self._waiting:
            longest = now - next(iter(self._waiting.values()))
            late.append(longest if self._full() else longest - CONNECT_S)
        if self._in_use >= self._size:
            late.append(now - self._changed_at)
        return max(late, default=0.0)

    # --- what is refused -------------------------------------------------------------------

    @property
    def level(self) -> int:
        """Return the level: 0 refuses nothing, 3 every command that needs the database."""
        now, late_s = self._now(), self.longest_wait_s()
        reached = sum(late_s >= limit for limit in LEVEL_WAIT_S)
        if reached >= self._level:
            self._level, self._held_at = reached, now
        elif late_s >= LEVEL_WAIT_S[self._level - 1] * HOLD_SHARE:
            self._held_at = now
        while self._level and now - self._held_at >= CALM_S:
            self._level -= 1
            self._held_at += CALM_S
        return self._level

    def retry_after_s(self, cost: str) -> float:
        """Return 0.0 when a command of this cost is admitted, else in how many seconds to retry."""
        if cost not in SHED_AT or self.level < SHED_AT[cost]:
            return 0.0
        self.shed[cost] += 1
        return random.uniform(*RETRY_S)  # noqa: S311 - jitter
