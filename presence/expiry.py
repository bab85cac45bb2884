"""Ends what was chosen until a certain time, when that has come, and tells of it.

Whoever stored such a choice wakes up then, and so does every node whose lease was renewed shortly
before; a lock in Redis makes one of them do the work, in paced batches.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from presence.announcer import Announcer
from presence.link import RedisLink, milliseconds, text_of
from presence.settings import PresenceSettings
from presence.store import StoreUnavailable

LONGEST_WAIT_S = 3600.0
"""What is due later, a renewal names in time."""
CLOCK_MARGIN_S = 0.002
"""Redis' clock is the one that counts; ours may be a moment ahead of it."""


class ChoiceExpiry:
    """One node's part in ending choices."""

    def __init__(self, link: RedisLink, announcer: Announcer, settings: PresenceSettings) -> None:
        self._link = link
        self._announcer = announcer
        self._settings = settings
        self._timer: asyncio.TimerHandle | None = None
        self._work = asyncio.Event()

    def schedule(self, wait_s: float) -> None:
        """Look after so many seconds, or before that if there was a reason already."""
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
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    async def run(self) -> None:
        """End choices for ever."""
        while True:
            await self._work.wait()
            self._work.clear()
            await self._link.ready.wait()
            with suppress(
                StoreUnavailable
            ):  # the next renewal that succeeds says again what is due
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
