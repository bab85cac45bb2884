"""What could not be written while Redis did not answer; written when it answers again.

RedisPresence ─▶ PresenceBacklog ─▶ RedisLink. Call reports are held and sent late, each with its
own time, so that an older report cannot overwrite what another node reported since. Choices are
not held (the caller got an error), but a choice whose reply was lost may have been stored, and then
it still has to be announced.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from presence.announcer import Announcer
from presence.link import RedisLink
from presence.model import PresenceState
from presence.settings import PresenceSettings
from presence.store import StoreUnavailable


@dataclass(frozen=True, slots=True)
class CallReport:
    user_id: int
    call_id: str
    talking: bool
    at_ms: int
    nonce: str


class PresenceBacklog:
    """Reports calls to Redis, late if needed, and announces choices whose result is unknown."""

    def __init__(self, link: RedisLink, announcer: Announcer, settings: PresenceSettings) -> None:
        self._link = link
        self._announcer = announcer
        self._limit = settings.pending_limit
        self._recheck_batch = settings.reap_batch
        self._calls: dict[tuple[int, str], CallReport] = {}
        self._recheck: dict[int, None] = {}
        self._work = asyncio.Event()

    async def report_call(self, call: CallReport) -> PresenceState | None:
        """Write a call to Redis and announce what it changed; hold the report when that fails."""
        try:
            row = await self._link.run(
                "call",
                call.user_id,
                call.call_id,
                int(call.talking),
                call.at_ms,
                nonce=call.nonce,
            )
        except StoreUnavailable:
            self._hold(call)
            return None
        if not row:
            return None
        presence = self._link.parse_row(row)
        await self._announcer.announce([presence])
        return presence

    def recheck(self, user_id: int) -> None:
        """Read and announce this person's state when Redis answers again."""
        self._recheck[user_id] = None
        if len(self._recheck) > self._limit:
            del self._recheck[next(iter(self._recheck))]

    def resume(self) -> None:
        """Start to work: Redis answers again."""
        if self._calls or self._recheck:
            self._work.set()

    async def run(self) -> None:
        """Write what is held, until cancelled."""
        while True:
            await self._work.wait()
            await self._link.ready.wait()
            self._work.clear()
            try:
                await self._send_calls()
                await self._recheck_people()
            except StoreUnavailable:
                self._work.set()

    async def _send_calls(self) -> None:
        while self._calls and self._link.ready.is_set():
            key = next(iter(self._calls))
            await self.report_call(self._calls.pop(key))  # a failure puts it back

    async def _recheck_people(self) -> None:
        while self._recheck:
            some = list(self._recheck)[: self._recheck_batch]
            [rows] = await self._link.run_many("look", [some])
            for user_id in some:
                del self._recheck[user_id]
            await self._announcer.announce(self._link.parse_rows(rows))

    def _hold(self, call: CallReport) -> None:
        """Hold the newest report of each call."""
        key = (call.user_id, call.call_id)
        known = self._calls.get(key)
        if known is None or known.at_ms <= call.at_ms:
            self._calls[key] = call
        if len(self._calls) > self._limit:
            del self._calls[next(iter(self._calls))]
        self._work.set()
