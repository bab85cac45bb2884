"""Leaving without a stampede: goodbyes in paced batches, commands that have begun are answered.

SIGTERM ─▶ Drain ─▶ sessions. Each client is told within which time to come back, at random; the
goodbyes themselves are spread too, so that the nodes which stay take them in one by one.
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
"""Few enough to leave at once; more are spread over half of the drain time."""

PAUSE_S = 0.1
LAST_S = 1.0


class Drain:
    """How this node says goodbye to everyone it holds."""

    def __init__(self, sessions: Collection[Session], *, within_s: float) -> None:
        self._sessions = sessions
        self._within_s = within_s
        self._gone = asyncio.Event()
        self.begun = False

    def begin(self, spawn: Callable[..., None]) -> None:
        """Start; calling it again changes nothing."""
        if not self.begun:
            self.begun = True
            spawn(self._say_goodbye(), name="drain")

    def ended(self) -> None:
        """Take note that the last session has gone."""
        self._gone.set()

    async def finish(self) -> None:
        """Say goodbye to those who are left, answered or not, and give them a moment."""
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

    async def _say_goodbye(self) -> None:
        waiting = list(self._sessions)
        log.info("drain.began", sessions=len(waiting))
        rounds = max(1, int(self._within_s / 2 / PAUSE_S))
        size = max(BATCH, math.ceil(len(waiting) / rounds))
        for start in range(0, len(waiting), size):
            if start:
                await asyncio.sleep(PAUSE_S)
            for session in waiting[start : start + size]:
                session.drain()
