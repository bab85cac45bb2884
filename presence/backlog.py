"""What was said while Redis did not answer, for when it does again.

Call reports are kept and told late, each under its own time, so that an older one cannot overwrite
what another node reported since. Choices are not kept (the caller was told so), but one whose
answer got lost may have been stored, and then somebody has to announce it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from presence.announcer import Announcer
from presence.link import Link
from presence.model import Presence
from presence.settings import PresenceSettings
from presence.store import Unavailable


@dataclass(frozen=True, slots=True)
class CallReport:
    user_id: int
    call_id: str
    talking: bool
    at_ms: int
    nonce: str


class Backlog:
    """Tells Redis of calls, late if need be, and announces choices whose fate is unknown."""

    def __init__(self, link: Link, announcer: Announcer, settings: PresenceSettings) -> None:
        self._link = link
        self._announcer = announcer
        self._limit = settings.pending_limit
        self._look_batch = settings.reap_batch
        self._calls: dict[tuple[int, str], CallReport] = {}
        self._unsure: dict[int, None] = {}
        self._work = asyncio.Event()

    async def report(self, call: CallReport) -> Presence | None:
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
        except Unavailable:
            self._keep(call)
            return None
        if not row:
            return None
        presence = self._link.presence(row)
        await self._announcer.announce([presence])
        return presence

    def unsure(self, user_id: int) -> None:
        """Remember to find out how this person is."""
        self._unsure[user_id] = None
        if len(self._unsure) > self._limit:
            del self._unsure[next(iter(self._unsure))]

    def begin(self) -> None:
        """Redis answers again."""
        if self._calls or self._unsure:
            self._work.set()

    async def run(self) -> None:
        """Work off for ever what gathers."""
        while True:
            await self._work.wait()
            await self._link.answers.wait()
            self._work.clear()
            try:
                await self._tell_calls()
                await self._find_out()
            except Unavailable:
                self._work.set()

    async def _tell_calls(self) -> None:
        while self._calls and self._link.answers.is_set():
            key = next(iter(self._calls))
            await self.report(self._calls.pop(key))  # a failure puts it back

    async def _find_out(self) -> None:
        while self._unsure:
            some = list(self._unsure)[: self._look_batch]
            [rows] = await self._link.run_many("look", [some])
            for user_id in some:
                del self._unsure[user_id]
            await self._announcer.announce(self._link.presences(rows))

    def _keep(self, call: CallReport) -> None:
        """Keep the newest report of each call."""
        key = (call.user_id, call.call_id)
        known = self._calls.get(key)
        if known is None or known.at_ms <= call.at_ms:
            self._calls[key] = call
        if len(self._calls) > self._limit:
            del self._calls[next(iter(self._calls))]
        self._work.set()
