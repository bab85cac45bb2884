"""Removes the connections of nodes that died, and announces who is offline because of it.

NodeLease ─▶ Reaper ─▶ Redis, Announcer. The lease loop names the dead nodes; a lock in Redis lets
one surviving node work at a time, in paced batches.
"""

from __future__ import annotations

import asyncio
import logging

from presence.announcer import Announcer
from presence.link import RedisLink, milliseconds, text_of
from presence.settings import PresenceSettings
from presence.store import StoreUnavailable

log = logging.getLogger(__name__)


class Reaper:
    """Cleans up after dead nodes."""

    def __init__(self, link: RedisLink, announcer: Announcer, settings: PresenceSettings) -> None:
        self._link = link
        self._announcer = announcer
        self._settings = settings
        self._dead: list[str] = []
        self._work = asyncio.Event()

    def reap(self, nodes: list[str]) -> None:
        """Start with these nodes soon; the lease loop names them again until all are done."""
        self._dead = nodes
        self._work.set()

    async def run(self) -> None:
        """Clean up until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            for node in self._dead:
                try:
                    await self._reap(node)
                except StoreUnavailable:
                    break  # the next lease renewal that succeeds names them again

    async def _reap(self, node: str) -> None:
        done: list[str] = []
        taken = 0
        while True:
            state, ids, rows = await self._link.run(
                "reap",
                node,
                milliseconds(self._settings.lease_ttl_s),
                self._settings.reap_batch,
                *done,
                nonce=f"reap/{node}",  # a repeated batch is recognised by its nonce
            )
            if text_of(state) != "more":
                break
            await self._announcer.announce(self._link.parse_rows(rows))
            done = [text_of(one) for one in ids]
            taken += len(done)
            await asyncio.sleep(self._settings.reap_pause_s)
        if taken:
            log.info("presence: reaped node=%s people=%d", node, taken)
