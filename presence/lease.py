"""The node's lease: its connections count as online while it renews the lease.

NodeLease ─▶ RedisLink; it notifies writer, reaper, backlog and expiry. This is the only loop that
sends commands to Redis when nothing happens, and the only one that tries while Redis is away.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from presence.link import RedisLink, milliseconds, text_of
from presence.recovery import RecoveryWindow
from presence.settings import PresenceSettings
from presence.store import StoreUnavailable

log = logging.getLogger(__name__)

FIRST_RETRY_S = 0.1


class NodeLease:
    """Renews the lease, detects that it was lost, and detects nodes that died."""

    def __init__(
        self,
        link: RedisLink,
        settings: PresenceSettings,
        *,
        on_lease_lost: Callable[[], None],
        on_dead_nodes: Callable[[list[str]], None],
        on_reconnected: Callable[[], None],
        on_next_expiry: Callable[[float], None],
    ) -> None:
        self._link = link
        self._settings = settings
        self._on_lease_lost = on_lease_lost
        self._on_dead_nodes = on_dead_nodes
        self._on_reconnected = on_reconnected
        self._on_next_expiry = on_next_expiry
        self._failures = 0
        self._renewals = 0
        self._in_time = False
        """Whether the last reply came before a caller would have given up."""
        self._acquired = False
        self._granted_until_ms = 0
        """End of the lease that was granted last, in ms of Redis' clock."""
        self.recovery = RecoveryWindow()
        """As Redis last reported it: until when a missing record does not yet mean offline."""

    async def run(self, wait_s: float) -> None:
        """Renew until cancelled; the first time after wait_s."""
        while True:
            try:
                async with asyncio.timeout(wait_s):
                    await self._link.failed.wait()
            except TimeoutError:
                pass
            wait_s = await self.renew()

    async def renew(self) -> float:
        """Renew once; return the seconds until the next renewal."""
        self._link.failed.clear()
        try:
            next_due_s, dead = await self._renew_or_reacquire()
        except StoreUnavailable:
            self._failures += 1
            self._link.failed.clear()  # set by our own failure: now wait before the next attempt
            return self._back_off()
        self._failures = 0
        self._renewals += 1
        if dead:
            self._on_dead_nodes(dead)
        self._link.reachable.set()
        if not self._link.ready.is_set():
            if not self._in_time:  # look again soon: callers do without it as long as it is slow
                return min(self._settings.retry_max_s, next_due_s)
            log.info("presence: Redis available node=%s", self._link.incarnation)
            self._link.ready.set()
            self._on_reconnected()
        return min(self._settings.renew_s, next_due_s)

    async def _renew_or_reacquire(self) -> tuple[float, list[str]]:
        state, next_due_ms, lapses_ms, *rest = await self._send_renewal(take=not self._acquired)
        if text_of(state) == "lost":
            log.warning("presence: lease lost node=%s", self._link.incarnation)
            self._link.ready.clear()
            self._link.reachable.clear()
            self._link.begin_incarnation()
            self._granted_until_ms = 0
            self._on_lease_lost()
            state, next_due_ms, lapses_ms, *rest = await self._send_renewal(take=True)
        self._acquired = True
        certain, left_ms, given_ms, *dead = rest
        self._granted_until_ms = int(given_ms)
        left_s = (int(left_ms) + 1) / 1000  # rounded up: never earlier than Redis' own time
        self.recovery = RecoveryWindow.within(left_s, int(certain))
        if int(lapses_ms) >= 0:
            self._on_next_expiry(int(lapses_ms) / 1000)
        next_due_s = (int(next_due_ms) + 1) / 1000  # -1, nobody else, becomes 0
        return (
            next_due_s if next_due_s > 0 else self._settings.renew_s,
            [text_of(node) for node in dead],
        )

    async def _send_renewal(self, *, take: bool) -> list[bytes]:
        ttl_ms = milliseconds(self._settings.lease_ttl_s)
        was_blind = not (take or self._link.ready.is_set())
        last = (self._granted_until_ms, self.recovery.version) if self._granted_until_ms else (0, 0)
        answer: list[bytes]
        answer, self._in_time = await self._link.probe(
            "renew", ttl_ms, int(take), int(was_blind), *last
        )
        return answer

    def _back_off(self) -> float:
        """Return the wait before the next attempt, with jitter so that nodes spread out."""
        longest = min(self._settings.retry_max_s, FIRST_RETRY_S * 2 ** min(self._failures, 10))
        return random.uniform(longest / 4, longest)  # noqa: S311 - spreading, not guarding
