"""Tells workers that jobs are due: this one at once, those of other nodes over the bus.

Transaction, after its COMMIT ─▶ ring ─▶ Worker here; topic `jobs` ─▶ heard ─▶ Worker there. It says
how soon the earliest is due. A ring may be lost: workers look every two seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress

import orjson

from gateway import topics
from gateway.bus import Announcement

CONFLATE_S = 0.05
"""Other nodes are told at most once in this time."""
EVENT = "jobs.ordered"


class Doorbell:
    """One node's bell."""

    def __init__(self, publish: Callable[[Collection[Announcement]], None] | None = None) -> None:
        self._publish = publish or (lambda _: None)
        self._due_at: float | None = None
        self._changed = asyncio.Event()
        self._told_at = 0.0
        self._to_tell: float | None = None

    def ring(self, due_s: float | None) -> None:
        """Tell all nodes that a job is due in so many seconds; None: nothing was ordered."""
        if due_s is None:
            return
        self.ring_here(due_s)
        now = time.monotonic()
        if self._to_tell is not None:
            self._to_tell = min(self._to_tell, now + due_s)
            return
        self._to_tell = now + due_s
        wait_s = self._told_at + CONFLATE_S - now
        if wait_s > 0:
            asyncio.get_running_loop().call_later(wait_s, self._tell)
        else:
            self._tell()

    def ring_here(self, due_s: float) -> None:
        """Wake this node's worker in so many seconds, if nothing wakes it sooner."""
        due_at = time.monotonic() + max(0.0, due_s)
        if self._due_at is None or due_at < self._due_at:
            self._due_at = due_at
            self._changed.set()

    def heard(self, announcement: Announcement) -> None:
        """Take another node's ring; what cannot be read means now."""
        due_s = 0.0
        with suppress(ValueError, TypeError, KeyError):
            due_s = float(orjson.loads(announcement.payload)["due_s"])
        self.ring_here(due_s)

    async def wait(self, most_s: float) -> None:
        """Wait until a job is due, at most so long; what was rung before is forgotten then."""
        deadline = time.monotonic() + most_s
        while True:
            self._changed.clear()
            until = deadline if self._due_at is None else min(deadline, self._due_at)
            left_s = until - time.monotonic()
            if left_s <= 0:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._changed.wait()
        self._due_at = None

    def _tell(self) -> None:
        assert self._to_tell is not None
        now = time.monotonic()
        due_s, self._to_tell, self._told_at = max(0.0, self._to_tell - now), None, now
        payload = orjson.dumps({"type": EVENT, "due_s": round(due_s, 3)})
        self._publish([Announcement(topics.JOBS, EVENT, payload)])
