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

from ingest.connectors.link import Received
from ingest.model.events import CallEvent
from ingest.model.snapshot import PbxSnapshot

MAX_EVENTS, MAX_BYTES = 10_000, 32 * 1024 * 1024
"""10,000 are about 10 MB, and more than a minute of a busy PBX; one may have 1 MiB, though."""
SUBMISSION_EVENTS = 500
"""Handed on in one submission: the pipeline takes at most 1,000, and makes its own batches."""
EMPTY_BYTES = 200
"""What a read without events holds."""


@dataclass(frozen=True, slots=True)
class BufferedRead:
    """What one read, or a part of it, was about."""

    at: datetime
    received: Received
    events: int
    size: int


class EventBuffer:
    def __init__(self, most_events: int = MAX_EVENTS, most_bytes: int = MAX_BYTES) -> None:
        self._most_events, self._most_bytes = most_events, most_bytes
        self._reads: deque[BufferedRead] = deque()
        self._events = self._bytes = 0
        self._changed = asyncio.Condition()
        self._error: Exception | None = None

    async def put(self, at: datetime, heard: Sequence[Received]) -> None:
        """Add what was read at this time; waits while too much is here."""
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            for item in map(partial(_measure, at), heard):
                self._reads.append(item)
                self._events += item.events
                self._bytes += item.size
            self._changed.notify_all()

    async def close(self, error: Exception) -> None:
        """Let take() raise this once everything is taken."""
        async with self._changed:
            self._error = error
            self._changed.notify_all()

    async def get(self) -> tuple[datetime, Received]:
        """Return a snapshot, or the next events together, and when they were read."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._reads or self._error)
            if not self._reads:
                assert self._error is not None
                raise self._error
            at, heard = self._pop()
            if not isinstance(heard, PbxSnapshot):
                at, heard = self._with_following(at, list(heard))
            self._changed.notify_all()
            return at, heard

    def _has_room(self) -> bool:
        return self._events < self._most_events and self._bytes < self._most_bytes

    def _pop(self) -> tuple[datetime, Received]:
        item = self._reads.popleft()
        self._events -= item.events
        self._bytes -= item.size
        return item.at, item.received

    def _with_following(
        self, at: datetime, events: list[CallEvent]
    ) -> tuple[datetime, list[CallEvent]]:
        """Take along what was read behind these, up to a batch or the next snapshot."""
        while self._reads and len(events) < SUBMISSION_EVENTS:
            following = self._reads[0].received
            if isinstance(following, PbxSnapshot):
                break
            at, _ = self._pop()
            events += following
        return at, events


def _measure(at: datetime, heard: Received) -> BufferedRead:
    """Weigh what was read; a read without events counts, too."""
    events = heard.facts if isinstance(heard, PbxSnapshot) else heard
    size = sum(event.size for event in events)
    return BufferedRead(at, heard, max(1, len(events)), EMPTY_BYTES + size)
