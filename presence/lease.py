"""The node's lease: what it owns counts while the lease is renewed.

The only loop that speaks to Redis when nothing happens, and the only one that tries while Redis is
away; link, writer and reaper are told what it finds.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from presence.forgetting import Certainty
from presence.link import Link, milliseconds, text_of
from presence.settings import PresenceSettings
from presence.store import Unavailable

log = logging.getLogger(__name__)

FIRST_RETRY_S = 0.1


class Lease:
    """Renews, notices a lost lease, and finds the nodes that died."""

    def __init__(
        self,
        link: Link,
        settings: PresenceSettings,
        *,
        on_new_life: Callable[[], None],
        on_dead: Callable[[list[str]], None],
        on_return: Callable[[], None],
        on_lapses: Callable[[float], None],
    ) -> None:
        self._link = link
        self._settings = settings
        self._on_new_life = on_new_life
        self._on_dead = on_dead
        self._on_return = on_return
        self._on_lapses = on_lapses
        self._failures = 0
        self._taken = False
        self._given_ms = 0
        """When the lease ends that we were given last, by Redis' clock."""
        self.certainty = Certainty()
        """What Redis gives to whoever it does not know, as far as we know: see _people.lua."""

    async def run(self, wait_s: float) -> None:
        """Renew for ever, first after wait_s."""
        while True:
            try:
                async with asyncio.timeout(wait_s):
                    await self._link.trouble.wait()
            except TimeoutError:
                pass
            wait_s = await self.beat()

    async def beat(self) -> float:
        """Renew once; return when to renew next."""
        self._link.trouble.clear()
        try:
            next_due_s, dead = await self._renew()
        except Unavailable:
            self._failures += 1
            self._link.trouble.clear()  # our own: waiting is what helps now
            return self._back_off()
        self._failures = 0
        if dead:
            self._on_dead(dead)
        if not self._link.answers.is_set():
            log.info("presence: live node=%s", self._link.me)
            self._link.answers.set()
            self._on_return()
        return min(self._settings.renew_s, next_due_s)

    async def _renew(self) -> tuple[float, list[str]]:
        state, next_due_ms, lapses_ms, *rest = await self._ask(take=not self._taken)
        if text_of(state) == "lost":
            log.warning("presence: lease lost node=%s", self._link.me)
            self._link.answers.clear()
            self._link.begin_life()
            self._given_ms = 0
            self._on_new_life()
            state, next_due_ms, lapses_ms, *rest = await self._ask(take=True)
        self._taken = True
        certain, left_ms, given_ms, *dead = rest
        self._given_ms = int(given_ms)
        left_s = (int(left_ms) + 1) / 1000  # rounded up: not before Redis says so
        self.certainty = Certainty.within(left_s, int(certain))
        if int(lapses_ms) >= 0:
            self._on_lapses(int(lapses_ms) / 1000)
        next_due_s = (int(next_due_ms) + 1) / 1000  # -1, nobody else, becomes 0
        return (
            next_due_s if next_due_s > 0 else self._settings.renew_s,
            [text_of(node) for node in dead],
        )

    async def _ask(self, *, take: bool) -> list[bytes]:
        ttl_ms = milliseconds(self._settings.lease_ttl_s)
        was_blind = not (take or self._link.answers.is_set())
        told = (self._given_ms, self.certainty.version) if self._given_ms else (0, 0)
        answer: list[bytes] = await self._link.run(
            "renew", ttl_ms, int(take), int(was_blind), *told, probing=True
        )
        return answer

    def _back_off(self) -> float:
        """Full jitter, so that many nodes do not return as one."""
        longest = min(self._settings.retry_max_s, FIRST_RETRY_S * 2 ** min(self._failures, 10))
        return random.uniform(longest / 4, longest)  # noqa: S311 - spreading, not guarding
