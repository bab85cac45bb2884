"""Connections that are gone, taken out of everything a few at a time.

end of stream ─▶ Departures ─▶ transport.close
socket lost   ─▶ Departures ─▶ session.shut

A load balancer that restarts cuts ten thousand at once; closing each, and taking it out of its
topics, where the loss shows would keep everyone else waiting.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

SLICE_S = 0.001
"""How long one turn of the event loop may spend on the gone …"""
SLICE = 16
"""… and how many of them it takes: closing a socket is quick here, and dear in the next turn."""


class DisconnectQueue:
    """Those whose connection is lost and who are still in topics."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, leave: Callable[[], None]) -> None:
        """Have `leave` called soon, in the order of coming."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._run_slice)
        self._waiting.append(leave)

    def _run_slice(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + SLICE_S
        for _ in range(min(SLICE, len(self._waiting))):
            try:
                self._waiting.popleft()()
            except Exception:
                log.exception("session.departure_failed")
            if loop.time() >= until:
                break
        if self._waiting:
            loop.call_soon(self._run_slice)
