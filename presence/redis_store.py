"""RedisPresence: one hash per person, one lease per node.

arrive, leave ─▶ OwnedConnections ─▶ PresenceWriter ─▶ RedisLink ─▶ Redis. NodeLease and Reaper
handle nodes that come and go, PresenceBacklog what could not be written, ChoiceExpiry choices with
an end. The announcer publishes every change.
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
from presence.backlog import CallReport, PresenceBacklog
from presence.expiry import ChoiceExpiry
from presence.lease import NodeLease
from presence.link import RedisLink, epoch_ms, text_of
from presence.model import CHOICES, Choice, OnChange, PresenceState
from presence.owned_connections import OwnedConnections
from presence.reaper import Reaper
from presence.settings import PresenceSettings
from presence.store import StoreUnavailable
from presence.writer import PresenceWriter

log = logging.getLogger(__name__)

FETCH_CHUNK = 100  # people per script: just under 1 ms during which Redis serves nobody else


class RedisPresence:
    """PresenceStore for all nodes that share a Redis; presence.store states its promises."""

    def __init__(
        self,
        redis: Redis,
        *,
        node: str,
        on_change: OnChange,
        settings: PresenceSettings | None = None,
    ) -> None:
        own = settings or PresenceSettings()
        self.owned = OwnedConnections(own.grace_s)
        self._announcer = Announcer(on_change, own)
        self.link = RedisLink(redis, node, own)
        self._writer = PresenceWriter(self.link, self.owned, self._announcer, own)
        self._reaper = Reaper(self.link, self._announcer, own)
        self._backlog = PresenceBacklog(self.link, self._announcer, own)
        self._expiry = ChoiceExpiry(self.link, self._announcer, own)
        self._lease = NodeLease(
            self.link,
            own,
            on_lease_lost=self._writer.rewrite_all,
            on_dead_nodes=self._reaper.reap,
            on_reconnected=self._backlog.resume,
            on_next_expiry=self._expiry.schedule,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._grace: asyncio.TimerHandle | None = None
        self.outdated_fetches = 0

    async def open(self) -> None:
        """Acquire the lease; without Redis start degraded and acquire it when Redis is back."""
        first_wait_s = await self._lease.renew()
        loops = {
            "lease": lambda: self._lease.run(first_wait_s),
            "writer": self._writer.run,
            "reaper": self._reaper.run,
            "backlog": self._backlog.run,
            "expiry": self._expiry.run,
        }
        for name, run in loops.items():
            task = asyncio.create_task(_run_forever(name, run), name=f"presence-{name}")
            self._tasks.append(task)

    async def close(self) -> None:
        """Stop and end the lease: another node removes our people after the grace period."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._grace:
            self._grace.cancel()
        self._expiry.stop()
        self._writer.release_waiters()
        try:
            await self.link.run("goodbye")
        except StoreUnavailable:
            log.warning("presence: lease not released, it expires by itself")

    @property
    def degraded(self) -> bool:
        """Return whether what `fetch` returns may be out of date."""
        return not self.link.ready.is_set() or self._writer.restoring

    @property
    def default_version(self) -> int:
        """Return the version of people without a record; 0 during the recovery window."""
        return self._lease.recovery.default_version

    @property
    def recovery_remaining_s(self) -> float:
        """Return the seconds until `default_version` changes; 0 outside a recovery window."""
        return self._lease.recovery.remaining_s

    async def arrive(
        self, user_id: int, device: str, *, away: bool = False
    ) -> PresenceState | None:
        """Count one more connection; return what changed."""
        self.owned.arrive(user_id, device, away=away)
        return await self._writer.write_now(user_id)

    async def leave(self, user_id: int, device: str) -> None:
        """Count one connection less; a person is offline when the grace period has passed."""
        self.owned.leave(user_id, device, asyncio.get_running_loop().time())
        self._writer.enqueue([user_id])  # the most present device may be the one that left
        self._schedule_grace()

    async def set_away(self, user_id: int, device: str, away: bool) -> PresenceState | None:
        """Set whether a device is unattended; return what changed."""
        self.owned.set_away(user_id, device, away=away)
        return await self._writer.write_now(user_id)

    async def choose(
        self,
        user_id: int,
        status: Choice | None,
        text: str | None,
        until: datetime | None = None,
    ) -> PresenceState:
        """Store a person's choice; raises StoreUnavailable when Redis does not confirm it."""
        if status is not None and status not in CHOICES:
            raise ValueError(f"{status} is not a status one can choose")
        try:
            changed, row, lapses_ms = await self.link.run(
                "choose",
                user_id,
                status or "",
                text or "",
                epoch_ms(until) if until else "",
                nonce=self.link.nonce(),
            )
        except StoreUnavailable:
            self._backlog.recheck(user_id)
            raise
        if int(lapses_ms) >= 0:
            self._expiry.schedule(int(lapses_ms) / 1000)
        presence = self.link.parse_row(row)
        if int(changed):
            await self._announcer.announce([presence])
        return presence

    async def set_on_call(self, user_id: int, call_id: str, talking: bool) -> PresenceState | None:
        """Report that a call of this person began or ended; return what changed."""
        at_ms = time.time_ns() // 1_000_000
        return await self._backlog.report_call(
            CallReport(user_id, call_id, talking, at_ms, self.link.nonce())
        )

    async def correct_calls(self, talking: Collection[tuple[int, str]], as_of: datetime) -> int:
        """Replace the calls in progress by (user, call), as of a moment; return the corrections."""
        [pairs] = await self.link.run_many("talking", [()])
        known = {text_of(name): float(at) for name, at in zip(pairs[::2], pairs[1::2], strict=True)}
        true = {f"{user_id}:{call_id}": (user_id, call_id) for user_id, call_id in talking}
        at_ms, corrected = epoch_ms(as_of), 0
        for name in known.keys() ^ true.keys():
            if known.get(name, 0.0) < at_ms:  # a later report stands
                user_id, _, call_id = name.partition(":")
                report = (int(user_id), call_id, name in true, at_ms, self.link.nonce())
                await self._backlog.report_call(CallReport(*report))
                corrected += 1
        return corrected

    async def fetch(self, user_ids: Collection[int]) -> dict[int, PresenceState]:
        """Return these people's state: one round trip, or the last known state while degraded."""
        ids = list(dict.fromkeys(user_ids))
        if ids and not self.degraded:
            try:
                answers = await self.link.run_many("look", _chunks(ids, FETCH_CHUNK))
            except StoreUnavailable:
                pass  # and degraded from now on
            else:
                people = self.link.parse_rows(list(itertools.chain.from_iterable(answers)))
                self._announcer.replace(people)
                return {one.user_id: one for one in people}
        self.outdated_fetches += bool(ids)
        return self._announcer.last_known(ids)

    async def nodes_of(self, user_id: int) -> set[str]:
        """Return the names of the nodes to which this person is connected, or was a moment ago."""
        if self.degraded:
            raise StoreUnavailable
        found = await self.link.run("nodes", user_id)
        return {text_of(incarnation).rpartition(":")[0] for incarnation in found}

    def merge_remote(self, presences: Iterable[PresenceState]) -> None:
        """Store what other nodes announced as the last known state."""
        self._announcer.merge(presences)

    def _schedule_grace(self) -> None:
        """Set the node's one timer to the end of the next grace period."""
        deadline = self.owned.next_expiry()
        if deadline is not None and self._grace is None:
            self._grace = asyncio.get_running_loop().call_at(deadline, self._expire_grace)

    def _expire_grace(self) -> None:
        self._grace = None
        self._writer.enqueue(self.owned.pop_expired(asyncio.get_running_loop().time()))
        self._schedule_grace()


def _chunks(ids: list[int], size: int) -> Iterable[list[int]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


async def _run_forever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Restart a loop after an error: one bug must not end presence on this node."""
    while True:
        try:
            await run()
        except Exception:
            log.exception("presence: loop failed name=%s", name)
            await asyncio.sleep(1.0)  # an error that repeats must not use the whole CPU
