"""RedisPresence: one hash per person, one lease per node.

arrive, leave ─▶ owned ─▶ writer ─▶ link ─▶ Redis; lease and reaper look after the nodes, backlog
after what could not be told. Whatever changed leaves through the announcer.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from datetime import datetime

from redis.asyncio import Redis

from presence.announcer import Announcer
from presence.backlog import Backlog, CallReport
from presence.expiry import Lapser
from presence.lease import Lease
from presence.link import Link, epoch_ms, text_of
from presence.model import CHOICES, Choice, OnChange, Presence
from presence.owned_connections import Owned
from presence.reaper import Reaper
from presence.settings import PresenceSettings
from presence.store import Unavailable
from presence.writer import Writer

log = logging.getLogger(__name__)

LOOK_CHUNK = 100  # people per script: just under 1 ms during which Redis serves nobody else


class RedisPresence:
    """PresenceStore for all nodes that share a Redis; see presence.store for what it promises."""

    def __init__(
        self,
        redis: Redis,
        *,
        node: str,
        on_change: OnChange,
        settings: PresenceSettings | None = None,
    ) -> None:
        own = settings or PresenceSettings()
        self._owned = Owned(own.grace_s)
        self._announcer = Announcer(on_change, own)
        self._link = Link(redis, node, own)
        self._writer = Writer(self._link, self._owned, self._announcer, own)
        self._reaper = Reaper(self._link, self._announcer, own)
        self._backlog = Backlog(self._link, self._announcer, own)
        self._lapser = Lapser(self._link, self._announcer, own)
        self._lease = Lease(
            self._link,
            own,
            on_new_life=self._writer.begin_anew,
            on_dead=self._reaper.bury,
            on_return=self._backlog.begin,
            on_lapses=self._lapser.due,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._grace: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Take the lease; without Redis begin degraded, and take it when it comes."""
        first_wait_s = await self._lease.beat()
        loops = {
            "lease": lambda: self._lease.run(first_wait_s),
            "writer": self._writer.run,
            "reaper": self._reaper.run,
            "backlog": self._backlog.run,
            "lapser": self._lapser.run,
        }
        for name, run in loops.items():
            task = asyncio.create_task(_for_ever(name, run), name=f"presence-{name}")
            self._tasks.append(task)

    async def close(self) -> None:
        """Stop, and end the lease: our people stay for the grace, then a survivor reaps them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._grace:
            self._grace.cancel()
        self._lapser.stop()
        self._writer.let_go()
        try:
            await self._link.run("goodbye")
        except Unavailable:
            log.warning("presence: no goodbye, the lease runs out by itself")

    @property
    def degraded(self) -> bool:
        """Tell whether what `look` returns may be out of date."""
        return not self._link.answers.is_set() or self._writer.restoring

    @property
    def version_of_unknown(self) -> int:
        """Return the version of whoever nothing is known of; 0 until that is certain."""
        return self._lease.certainty.version_of_unknown

    @property
    def certain_in_s(self) -> float:
        """Return how long it is until `version_of_unknown` changes; 0 when it is certain."""
        return self._lease.certainty.certain_in_s

    async def arrive(self, user_id: int, device: str, *, away: bool = False) -> Presence | None:
        """Count one more connection; return what changed by it."""
        self._owned.arrive(user_id, device, away=away)
        return await self._writer.settle(user_id)

    async def leave(self, user_id: int, device: str) -> None:
        """Count one connection less; the rest happens when the grace is over."""
        self._owned.leave(user_id, device, asyncio.get_running_loop().time())
        self._writer.mark([user_id])  # the device that was more present may be the one that left
        self._arm()

    async def set_away(self, user_id: int, device: str, away: bool) -> Presence | None:
        """Note whether a device is being looked at; return what changed by it."""
        self._owned.set_away(user_id, device, away=away)
        return await self._writer.settle(user_id)

    async def choose(
        self,
        user_id: int,
        status: Choice | None,
        text: str | None,
        until: datetime | None = None,
    ) -> Presence:
        """Store a person's choice; raises Unavailable when that cannot be done now."""
        if status is not None and status not in CHOICES:
            raise ValueError(f"{status} is not a status one can choose")
        try:
            changed, row, lapses_ms = await self._link.run(
                "choose",
                user_id,
                status or "",
                text or "",
                epoch_ms(until) if until else "",
                nonce=self._link.nonce(),
            )
        except Unavailable:
            self._backlog.unsure(user_id)
            raise
        if int(lapses_ms) >= 0:
            self._lapser.due(int(lapses_ms) / 1000)
        presence = self._link.presence(row)
        if int(changed):
            await self._announcer.announce([presence])
        return presence

    async def set_on_call(self, user_id: int, call_id: str, talking: bool) -> Presence | None:
        """Report that a call of this person began or ended; return what changed by it."""
        at_ms = time.time_ns() // 1_000_000
        return await self._backlog.report(
            CallReport(user_id, call_id, talking, at_ms, self._link.nonce())
        )

    async def correct_calls(self, talking: Collection[tuple[int, str]], as_of: datetime) -> int:
        """Make (user, call) all that go on, as of a moment; return how many were wrong."""
        [told] = await self._link.run_many("talking", [()])
        known = {text_of(name): float(at) for name, at in zip(told[::2], told[1::2], strict=True)}
        true = {f"{user_id}:{call_id}": (user_id, call_id) for user_id, call_id in talking}
        at_ms, corrected = epoch_ms(as_of), 0
        for name in known.keys() ^ true.keys():
            if known.get(name, 0.0) < at_ms:  # else it was reported since
                user_id, _, call_id = name.partition(":")
                report = (int(user_id), call_id, name in true, at_ms, self._link.nonce())
                await self._backlog.report(CallReport(*report))
                corrected += 1
        return corrected

    async def look(self, user_ids: Collection[int]) -> dict[int, Presence]:
        """Return how these people are: one round trip, or the last known state while degraded."""
        ids = list(dict.fromkeys(user_ids))
        if ids and not self.degraded:
            try:
                answers = await self._link.run_many("look", _chunks(ids, LOOK_CHUNK))
            except Unavailable:
                pass  # and degraded from now on
            else:
                people = self._link.presences(list(itertools.chain.from_iterable(answers)))
                self._announcer.read(people)
                return {one.user_id: one for one in people}
        return self._announcer.last_known(ids)

    def heard(self, presences: Iterable[Presence]) -> None:
        """Take note of what other nodes announced, as the last known state."""
        self._announcer.heard(presences)

    def _arm(self) -> None:
        """Have one timer for the whole node, at the end of the first grace."""
        deadline = self._owned.next_gone()
        if deadline is not None and self._grace is None:
            self._grace = asyncio.get_running_loop().call_at(deadline, self._grace_over)

    def _grace_over(self) -> None:
        self._grace = None
        self._writer.mark(self._owned.gone(asyncio.get_running_loop().time()))
        self._arm()


def _chunks(ids: list[int], size: int) -> Iterable[list[int]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


async def _for_ever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Keep a loop going: a mistake in one turn must not end presence on this node."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("presence: loop failed name=%s", name)
            await asyncio.sleep(1.0)  # a mistake that repeats must not spin
