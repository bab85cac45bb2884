"""What a PBX said and nobody has stored yet: bounded, in order, its end last.

Link ─▶ Inbox ─▶ pipeline. Whoever puts into a full one waits, so the socket is not read any more
and TCP holds the PBX back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime

from ingest.connectors.link import Heard
from ingest.connectors.snapshot import Snapshot
from ingest.events import CallEvent

MOST_EVENTS = 10_000
"""About 10 MB, and more than a minute of a busy PBX."""
TOGETHER = 500
"""Handed on at once: a batch of the pipeline."""


class Inbox:
    def __init__(self, most_events: int = MOST_EVENTS) -> None:
        self._most = most_events
        self._held: deque[tuple[datetime, Heard]] = deque()
        self._events = 0
        self._changed = asyncio.Condition()
        self._end: Exception | None = None

    async def put(self, at: datetime, heard: Sequence[Heard]) -> None:
        """Add what was read at this time; waits while too much is here."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._events < self._most)
            self._held += [(at, item) for item in heard]
            self._events += sum(_weight(item) for item in heard)
            self._changed.notify_all()

    async def end(self, error: Exception) -> None:
        """Let take() raise this once everything is taken."""
        async with self._changed:
            self._end = error
            self._changed.notify_all()

    async def take(self) -> tuple[datetime, Heard]:
        """Return a snapshot, or the next events together, and when they were read."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._held or self._end)
            if not self._held:
                assert self._end is not None
                raise self._end
            at, heard = self._pop()
            if not isinstance(heard, Snapshot):
                at, heard = self._company(at, list(heard))
            self._changed.notify_all()
            return at, heard

    def _pop(self) -> tuple[datetime, Heard]:
        at, heard = self._held.popleft()
        self._events -= _weight(heard)
        return at, heard

    def _company(self, at: datetime, events: list[CallEvent]) -> tuple[datetime, list[CallEvent]]:
        """Take along what was read behind these, up to a batch or the next snapshot."""
        while self._held and len(events) < TOGETHER:
            following = self._held[0][1]
            if isinstance(following, Snapshot):
                break
            at, _ = self._pop()
            events += following
        return at, events


def _weight(heard: Heard) -> int:
    """Count what is held; a read without events counts, too."""
    return max(1, len(heard.facts) if isinstance(heard, Snapshot) else len(heard))
