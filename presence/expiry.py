"""Ends choices ("busy until 15:00") at their time, and announces it.

RedisPresence, NodeLease ─▶ ChoiceExpiry ─▶ Redis, Announcer. The node that stored the choice wakes
up at that time, and so does every node whose lease was renewed shortly before; a lock in Redis lets
one of them do the work, in paced batches.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from presence.announcer import Announcer
from presence.link import RedisLink, milliseconds, text_of
from presence.settings import PresenceSettings
from presence.store import StoreUnavailable

LONGEST_WAIT_S = 3600.0
"""No timer is set further ahead than this: the reply to a later lease renewal names the time."""
CLOCK_MARGIN_S = 0.002
"""Redis' clock decides, and ours may be slightly ahead of it."""


class ChoiceExpiry:
    """Ends choices on behalf of all nodes."""

    def __init__(self, link: RedisLink, announcer: Announcer, settings: PresenceSettings) -> None:
        self._link = link
        self._announcer = announcer
        self._settings = settings
        self._timer: asyncio.TimerHandle | None = None
        self._work = asyncio.Event()

    def schedule(self, wait_s: float) -> None:
        """Check in this many seconds, or earlier if an earlier check is already scheduled."""
        if wait_s > LONGEST_WAIT_S:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + wait_s + CLOCK_MARGIN_S
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = loop.call_at(at, self._wake)

    def stop(self) -> None:
        """Cancel the scheduled check."""
        if self._timer is not None:
            self._timer.cancel()

    async def run(self) -> None:
        """End choices when due, until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            await self._link.ready.wait()
            with suppress(
                StoreUnavailable
            ):  # the next lease renewal that succeeds schedules it again
                await self._expire()

    def _wake(self) -> None:
        self._timer = None
        self._work.set()

    async def _expire(self) -> None:
        done: list[str] = []
        while True:
            state, next_ms, ids, rows = await self._link.run(
                "lapse",
                milliseconds(self._settings.lease_ttl_s),
                self._settings.reap_batch,
                *done,
            )
            if text_of(state) != "more":
                break
            await self._announcer.announce(self._link.parse_rows(rows))
            done = [text_of(one) for one in ids]
            await asyncio.sleep(self._settings.reap_pause_s)
        if int(next_ms) >= 0:
            self.schedule(int(next_ms) / 1000)
