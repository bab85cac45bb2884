"""Stopping a node without a stampede: closes in paced batches, running commands are answered.

SIGTERM ─▶ Drain ─▶ sessions. Each `bye` gives the client a random time within which to reconnect;
the closes themselves are spread, too, so that the remaining nodes admit the clients one by one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection

import structlog

from gateway.protocol import close_codes
from gateway.sockets.session.session import Session

log = structlog.get_logger(__name__)

BATCH = 100
"""Sessions closed at once; more are spread over half of the drain time."""

PAUSE_S = 0.1
LAST_S = 1.0


class Drain:
    """Closes all sessions of this node."""

    def __init__(self, sessions: Collection[Session], *, within_s: float) -> None:
        self._sessions = sessions
        self._within_s = within_s
        self._gone = asyncio.Event()
        self.begun = False

    def begin(self, spawn: Callable[..., None]) -> None:
        """Start; calling it again changes nothing."""
        if not self.begun:
            self.begun = True
            spawn(self._close_in_batches(), name="drain")

    def ended(self) -> None:
        """End the wait of finish(): the last session has ended."""
        self._gone.set()

    async def finish(self) -> None:
        """Close the sessions that are left, answered or not, and wait LAST_S for them."""
        self.begun = True
        self._gone.clear()
        for session in list(self._sessions):
            session.close(close_codes.DRAIN)
        if not self._sessions:
            return
        try:
            await asyncio.wait_for(self._gone.wait(), LAST_S)
        except TimeoutError:
            log.warning("drain.incomplete", sessions=len(self._sessions))

    async def _close_in_batches(self) -> None:
        waiting = list(self._sessions)
        log.info("drain.began", sessions=len(waiting))
        rounds = max(1, int(self._within_s / 2 / PAUSE_S))
        size = max(BATCH, math.ceil(len(waiting) / rounds))
        for start in range(0, len(waiting), size):
            if start:
                await asyncio.sleep(PAUSE_S)
            for session in waiting[start : start + size]:
                session.drain()
