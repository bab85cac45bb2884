"""How much waits for the database, and who is turned away before everybody waits.

context, sends ─▶ Pressure ─▶ session, REST. While PostgreSQL keeps up nothing is refused. When
somebody has waited too long, what passes anyway goes first (typing, presence), then what can be
asked again (reads), then writes; in the other order they come back.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

LEVEL_WAIT_S = (0.25, 0.5, 1.0)
"""Somebody has waited so long: the first, the second, the third level. A command gives up after
2 s, so that those who are let in at the last level are still served."""
CONNECT_S = 1.0
"""While the pool may still grow, whoever waits is having a connection opened for them: that may
take so long on a busy machine, and refusing others would not make it faster."""
HOLD_SHARE = 0.5
"""A level is kept while somebody waits for this share of what brought it about …"""
CALM_S = 1.0
"""… and for so long afterwards; then the next lower one is tried."""

SHED_AT: Mapping[str, int] = {"passing": 1, "read": 2, "write": 3}
"""What a command costs → the level from which on it is refused."""

RETRY_S = (1.0, 3.0)


class LoadShedder:
    """One node's, over all that waits for its pool of `size` connections; `full`: all are open.

    `now` should stand still while the event loop does (ops/loop_lag.py): that is no sign of a slow
    database, and refusing others makes it no faster.
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
        """Who waits for a connection, and since when: the first has waited longest."""
        self._lent = 0
        self._moved_at = now()
        self._sources: list[Callable[[], float]] = []
        self._level = 0
        self._kept_at = 0.0
        self.shed: Counter[str] = Counter()

    # --- what waits ------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many wait for a connection."""
        return len(self._waiting)

    @contextmanager
    def wait(self) -> Iterator[None]:
        """Wait for a connection in here."""
        me = object()
        self._waiting[me] = self._now()
        try:
            yield
        finally:
            del self._waiting[me]

    @contextmanager
    def use(self) -> Iterator[None]:
        """Have a connection in here."""
        self._lent += 1
        self._moved_at = self._now()
        try:
            yield
        finally:
            self._lent -= 1
            self._moved_at = self._now()

    def add_source(self, late_s: Callable[[], float]) -> None:
        """Heed what waits elsewhere: how long the first there has waited."""
        self._sources.append(late_s)

    def longest_wait_s(self) -> float:
        """Return how long somebody has waited; or would, as no connection comes back at all."""
        now = self._now()
        late = [late_s() for late_s in self._sources]
        if self._waiting:
            longest = now - next(iter(self._waiting.values()))
            late.append(longest if self._full() else longest - CONNECT_S)
        if self._lent >= self._size:
            late.append(now - self._moved_at)
        return max(late, default=0.0)

    # --- who is turned away ----------------------------------------------------------------

    @property
    def level(self) -> int:
        """From 0, nobody, to 3: everything that needs the database."""
        now, late_s = self._now(), self.longest_wait_s()
        reached = sum(late_s >= limit for limit in LEVEL_WAIT_S)
        if reached >= self._level:
            self._level, self._kept_at = reached, now
        elif late_s >= LEVEL_WAIT_S[self._level - 1] * HOLD_SHARE:
            self._kept_at = now
        while self._level and now - self._kept_at >= CALM_S:
            self._level -= 1
            self._kept_at += CALM_S
        return self._level

    def retry_after_s(self, cost: str) -> float:
        """Return 0.0 when a command of this cost may come in, else when to try again."""
        if cost not in SHED_AT or self.level < SHED_AT[cost]:
            return 0.0
        self.shed[cost] += 1
        return random.uniform(*RETRY_S)  # noqa: S311 - jitter
