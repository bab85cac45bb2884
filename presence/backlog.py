"""What was said while Redis did not answer, for when it does again.

Call reports are kept and told late, each under its own time, so that an older one cannot overwrite
what another node reported since. Choices are not kept (the caller was told so), but one whose
answer got lost may have been stored, and then somebody has to announce it.
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
    """Tells Redis of calls, late if need be, and announces choices whose fate is unknown."""

    def __init__(self, link: RedisLink, announcer: Announcer, settings: PresenceSettings) -> None:
        self._link = link
        self._announcer = announcer
        self._limit = settings.pending_limit
        self._recheck_batch = settings.reap_batch
        self._calls: dict[tuple[int, str], CallReport] = {}
        self._recheck: dict[int, None] = {}
        self._work = asyncio.Event()

    async def report_call(self, call: CallReport) -> PresenceState | None:
        """Tell Redis of a call, and everybody of what changed by it; keep it when that fails."""
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
        """Remember to find out how this person is."""
        self._recheck[user_id] = None
        if len(self._recheck) > self._limit:
            del self._recheck[next(iter(self._recheck))]

    def resume(self) -> None:
        """Redis answers again."""
        if self._calls or self._recheck:
            self._work.set()

    async def run(self) -> None:
        """Work off for ever what gathers."""
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
        """Keep the newest report of each call."""
        key = (call.user_id, call.call_id)
        known = self._calls.get(key)
        if known is None or known.at_ms <= call.at_ms:
            self._calls[key] = call
        if len(self._calls) > self._limit:
            del self._calls[next(iter(self._calls))]
        self._work.set()
