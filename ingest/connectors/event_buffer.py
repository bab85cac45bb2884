"""What a PBX said and nobody has stored yet: bounded in events and bytes, in order, its end last.

Link ─▶ Inbox ─▶ pipeline. Whoever puts into a full one waits, so the socket is not read any more
and TCP holds the PBX back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from ingest.connectors.link import Heard
from ingest.model.events import CallEvent
from ingest.model.snapshot import Snapshot

MOST_EVENTS, MOST_BYTES = 10_000, 32 * 1024 * 1024
"""10,000 are about 10 MB, and more than a minute of a busy PBX; one may have 1 MiB, though."""
TOGETHER = 500
"""Handed on in one submission: the pipeline takes at most 1,000, and makes its own batches."""
EMPTY_BYTES = 200
"""What a read without events holds."""


@dataclass(frozen=True, slots=True)
class Item:
    """What one read, or a part of it, was about."""

    at: datetime
    heard: Heard
    events: int
    size: int


class Inbox:
    def __init__(self, most_events: int = MOST_EVENTS, most_bytes: int = MOST_BYTES) -> None:
        self._most_events, self._most_bytes = most_events, most_bytes
        self._held: deque[Item] = deque()
        self._events = self._bytes = 0
        self._changed = asyncio.Condition()
        self._end: Exception | None = None

    async def put(self, at: datetime, heard: Sequence[Heard]) -> None:
        """Add what was read at this time; waits while too much is here."""
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            for item in map(partial(_weighed, at), heard):
                self._held.append(item)
                self._events += item.events
                self._bytes += item.size
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

    def _has_room(self) -> bool:
        return self._events < self._most_events and self._bytes < self._most_bytes

    def _pop(self) -> tuple[datetime, Heard]:
        item = self._held.popleft()
        self._events -= item.events
        self._bytes -= item.size
        return item.at, item.heard

    def _company(self, at: datetime, events: list[CallEvent]) -> tuple[datetime, list[CallEvent]]:
        """Take along what was read behind these, up to a batch or the next snapshot."""
        while self._held and len(events) < TOGETHER:
            following = self._held[0].heard
            if isinstance(following, Snapshot):
                break
            at, _ = self._pop()
            events += following
        return at, events


def _weighed(at: datetime, heard: Heard) -> Item:
    """Weigh what was read; a read without events counts, too."""
    events = heard.facts if isinstance(heard, Snapshot) else heard
    size = sum(event.size for event in events)
    return Item(at, heard, max(1, len(events)), EMPTY_BYTES + size)
