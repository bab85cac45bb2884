"""Lost connections, removed a few at a time.

end of stream ─▶ DisconnectQueue ─▶ transport.close
socket lost   ─▶ DisconnectQueue ─▶ session.finalize

A load balancer that restarts cuts ten thousand connections at once; closing each, and taking it out
of its topics, as soon as the loss shows would delay everyone else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

SLICE_S = 0.001
"""How long one turn of the event loop may spend on lost connections …"""
SLICE = 16
"""… and how many it removes: closing a socket is cheap here, and expensive in the next turn."""


class DisconnectQueue:
    """Sessions whose connection is lost and that are still in topics."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, leave: Callable[[], None]) -> None:
        """Call `leave` soon, in the order of these calls."""
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
                log.exception("session.removal_failed")
            if loop.time() >= until:
                break
        if self._waiting:
            loop.call_soon(self._run_slice)
