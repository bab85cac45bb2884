"""EventBuffer: what was received from a PBX and is not stored yet; ordered, bounded.

PbxLink ─▶ EventBuffer ─▶ pipeline. Putting into a full buffer waits, so the socket is not read, and
TCP flow control stops the PBX. The bounds are in events and bytes; the connection's error is last.
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
"""10,000 events are about 10 MB, more than a minute of a busy PBX; but one may have 1 MiB."""
SUBMISSION_EVENTS = 500
"""Events of one submission: the pipeline accepts at most 1,000, and forms its own batches."""
EMPTY_BYTES = 200
"""The size of a read without events."""


@dataclass(frozen=True, slots=True)
class BufferedRead:
    """What one read of the socket, or a part of it, contained."""

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

    async def put(self, at: datetime, received: Sequence[Received]) -> None:
        """Add what was read at this time; wait while the buffer is full."""
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            for item in map(partial(_measure, at), received):
                self._reads.append(item)
                self._events += item.events
                self._bytes += item.size
            self._changed.notify_all()

    async def close(self, error: Exception) -> None:
        """Let get() raise this error once the buffer is empty."""
        async with self._changed:
            self._error = error
            self._changed.notify_all()

    async def get(self) -> tuple[datetime, Received]:
        """Remove and return a snapshot, or the next events together, with the time of reading."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._reads or self._error)
            if not self._reads:
                assert self._error is not None
                raise self._error
            at, received = self._pop()
            if not isinstance(received, PbxSnapshot):
                at, received = self._with_following(at, list(received))
            self._changed.notify_all()
            return at, received

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
        """Add what was read after these, up to SUBMISSION_EVENTS or the next snapshot."""
        while self._reads and len(events) < SUBMISSION_EVENTS:
            following = self._reads[0].received
            if isinstance(following, PbxSnapshot):
                break
            at, _ = self._pop()
            events += following
        return at, events


def _measure(at: datetime, received: Received) -> BufferedRead:
    """Return the item with its size; a read without events counts, too."""
    events = received.facts if isinstance(received, PbxSnapshot) else received
    size = sum(event.size for event in events)
    return BufferedRead(at, received, max(1, len(events)), EMPTY_BYTES + size)
