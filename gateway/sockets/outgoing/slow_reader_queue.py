"""What waits for one slow reader: lanes, and of passing frames the newest of each subject.

Sender ─▶ SlowReaderQueue ─▶ Sender.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from gateway.delivery import lanes

MAX_SUBJECTS = 256
"""Passing frames that wait; beyond it the oldest subject is dropped."""


class SlowReaderQueue:
    """The frames that wait for one slow reader; most clients never need one."""

    __slots__ = ("_lanes", "_passing", "waiting_bytes")

    def __init__(self) -> None:
        self._lanes: tuple[deque[bytes], ...] = tuple(deque() for _ in range(lanes.PASSING))
        self._passing: dict[Hashable, bytes] = {}
        self.waiting_bytes = 0

    def add(self, frame: bytes, lane: int, subject: Hashable) -> int:
        """Queue a frame; return how many passing ones it replaced or pushed out."""
        if lane != lanes.PASSING:
            self._lanes[lane].append(frame)
            self.waiting_bytes += len(frame)
            return 0
        lost = self._passing.pop(subject, None) is not None
        self._passing[subject] = frame
        if len(self._passing) > MAX_SUBJECTS:
            del self._passing[next(iter(self._passing))]
            lost = True
        return int(lost)

    def pop_batch(self, limit: int) -> list[bytes]:
        """Remove and return about `limit` bytes of frames, the most urgent lane first."""
        taken: list[bytes] = []
        size = 0
        for lane in self._lanes:
            while lane and size < limit:
                frame = lane.popleft()
                size += len(frame)
                taken.append(frame)
        self.waiting_bytes -= size
        while self._passing and size < limit:
            frame = self._passing.pop(next(iter(self._passing)))
            size += len(frame)
            taken.append(frame)
        return taken
