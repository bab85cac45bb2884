"""Writes this node's connections to Redis, one batch at a time.

RedisPresence ─▶ PresenceWriter ─▶ RedisLink. The store queues people, and the writer sends all that
were queued meanwhile. A batch is repeated under one nonce until its reply is known: so one person's
writes keep their order, a storm of connections makes few commands, and a lost reply loses no
announcement.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from presence.announcer import Announcer
from presence.link import RedisLink, text_of
from presence.model import DeviceStatus, PresenceState
from presence.owned_connections import OwnedConnections
from presence.settings import PresenceSettings
from presence.store import StoreUnavailable

Waiter = asyncio.Future[PresenceState | None]


@dataclass(frozen=True, slots=True)
class WriteBatch:
    incarnation: str
    nonce: str
    values: dict[int, DeviceStatus]
    waiters: dict[int, Waiter]

    def resolve(self, changes: Iterable[PresenceState] = ()) -> None:
        """Complete the futures of the callers, each with what changed for its person."""
        changed = {one.user_id: one for one in changes}
        for user_id, waiter in self.waiters.items():
            if not waiter.done():
                waiter.set_result(changed.get(user_id))
        self.waiters.clear()


class PresenceWriter:
    """Makes Redis' record equal to the connections that this node owns."""

    def __init__(
        self,
        link: RedisLink,
        owned: OwnedConnections,
        announcer: Announcer,
        settings: PresenceSettings,
    ) -> None:
        self._link = link
        self._owned = owned
        self._announcer = announcer
        self._settings = settings
        self._queued: dict[int, None] = {}  # in order of enqueueing
        self._rewrite_queue: deque[int] = deque()  # all people, after the lease was lost
        self._waiters: dict[int, Waiter] = {}
        self._work = asyncio.Event()

    @property
    def restoring(self) -> bool:
        """Return whether people are still to be written again after a lost lease."""
        return bool(self._rewrite_queue)

    def enqueue(self, user_ids: Iterable[int]) -> None:
        """Write these people soon."""
        self._queued.update(dict.fromkeys(self._owned.out_of_date(user_ids)))
        if self._queued:
            self._work.set()

    async def write_now(self, user_id: int) -> PresenceState | None:
        """Write one person now; return what changed, None when nothing did or no reply came."""
        self.enqueue([user_id])
        if user_id not in self._queued or not self._link.ready.is_set():
            return None
        waiter = self._waiters.get(user_id)
        if waiter is None:
            waiter = self._waiters[user_id] = asyncio.get_running_loop().create_future()
        await asyncio.wait([waiter], timeout=self._settings.command_timeout_s)
        return waiter.result() if waiter.done() else None

    def rewrite_all(self) -> None:
        """Write everyone: Redis has no record of the new incarnation."""
        self._queued.clear()
        self._rewrite_queue = deque(self._owned.reset_stored())
        self._work.set()

    def release_waiters(self) -> None:
        """Complete the futures of all waiting callers."""
        WriteBatch("", "", {}, self._waiters).resolve()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._work.wait()
            await self._link.reachable.wait()
            batch, pause_s = self._next()
            if batch.values:
                await self._write(batch)
                await asyncio.sleep(pause_s)
            batch.resolve()

    def _next(self) -> tuple[WriteBatch, float]:
        """Return the next batch: new changes go before people who are written again."""
        pause_s = 0.0
        chosen = list(self._queued)[: self._settings.reap_batch]
        for user_id in chosen:
            del self._queued[user_id]
        if not chosen:
            amount = min(len(self._rewrite_queue), self._settings.reap_batch)
            chosen = [self._rewrite_queue.popleft() for _ in range(amount)]
            pause_s = self._settings.reap_pause_s
        if not (self._queued or self._rewrite_queue):
            self._work.clear()
        waiters = {one: self._waiters.pop(one) for one in chosen if one in self._waiters}
        values = {one: self._owned.desired(one) for one in self._owned.out_of_date(chosen)}
        return WriteBatch(self._link.incarnation, self._link.nonce(), values, waiters), pause_s

    async def _write(self, batch: WriteBatch) -> None:
        """Repeat until the reply is known, or a new incarnation makes the batch obsolete.

        Each time with how its people are now: who came back meanwhile must not be sent offline by
        what was true before an outage. The nonce stays, so that a change that was written by an
        attempt whose reply was lost is announced.
        """
        while batch.incarnation == self._link.incarnation:
            batch.values.update({one: self._owned.desired(one) for one in batch.values})
            try:
                if await self._attempt(batch):
                    return
            except StoreUnavailable:
                batch.resolve()
                self.release_waiters()
            await self._link.reachable.wait()

    async def _attempt(self, batch: WriteBatch) -> bool:
        pairs = (
            part
            for user_id, value in batch.values.items()
            for part in (user_id, "" if value == "offline" else value)
        )
        answer = await self._link.run(
            "own", *pairs, nonce=batch.nonce, me=batch.incarnation, patient=True
        )
        if not isinstance(answer, list):
            self._link.fail(text_of(answer))  # the lease is lost: the lease loop acquires a new one
            return False
        if batch.incarnation != self._link.incarnation:
            return False  # the lease was lost meanwhile; everyone is written again
        for user_id, value in batch.values.items():
            self._owned.mark_stored(user_id, value)
        self.enqueue(batch.values)  # who has come or gone since it was sent
        changes = self._link.parse_rows(answer)
        await self._announcer.announce(changes)
        batch.resolve(changes)
        return True
