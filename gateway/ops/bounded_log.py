"""Log lines that strangers cause: so many of a kind in an interval, then their number.

listener, rest ─▶ BoundedLog ─▶ structlog. Lines that an operator needs each of do not come here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

MOST = 10
EVERY_S = 10.0


class _Kind:
    """The lines of one kind in this interval."""

    __slots__ = ("left_out", "until", "written")

    def __init__(self, until: float) -> None:
        self.until = until
        self.written = 0
        self.left_out = 0


class BoundedLog:
    """Writes MOST lines of each event in EVERY_S; at the interval's end, how many were left out."""

    def __init__(self, log: Any, *, now: Callable[[], float] = time.monotonic) -> None:
        """Write to this structlog logger."""
        self._log = log
        self._now = now
        self._kinds: dict[tuple[str, str], _Kind] = {}

    def info(self, event: str, **fields: Any) -> None:
        """Write a line at level info, unless there are too many."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Write a line at level warning, unless there are too many."""
        self._write("warning", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        now = self._now()
        kind = self._kinds.get((level, event))
        if kind is not None and now >= kind.until:
            self._end(level, event)
            kind = None
        if kind is None:
            kind = self._kinds[level, event] = _Kind(now + EVERY_S)
        if kind.written < MOST:
            kind.written += 1
            getattr(self._log, level)(event, **fields)
            return
        kind.left_out += 1
        if kind.left_out == 1:
            loop = asyncio.get_running_loop()
            loop.call_later(kind.until - now, self._end_if_same, level, event, kind)

    def _end_if_same(self, level: str, event: str, kind: _Kind) -> None:
        if self._kinds.get((level, event)) is kind:
            self._end(level, event)

    def _end(self, level: str, event: str) -> None:
        left_out = self._kinds.pop((level, event)).left_out
        if left_out:
            getattr(self._log, level)(event, left_out=left_out, within_s=EVERY_S)
