"""What this node owns, on its way to Redis: one batch at a time.

The store marks people, the writer tells Redis of all that were marked in the meantime. A batch is
repeated under one nonce until its answer is known, so one person's writes keep their order, a storm
of arrivals makes few commands, and a lost answer loses no announcement.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from presence.announcer import Announcer
from presence.link import Link, text_of
from presence.model import Automatic, Presence
from presence.owned_connections import Owned
from presence.settings import PresenceSettings
from presence.store import Unavailable

Waiter = asyncio.Future[Presence | None]


@dataclass(frozen=True, slots=True)
class Batch:
    life: str
    nonce: str
    values: dict[int, Automatic]
    waiters: dict[int, Waiter]

    def answer(self, changes: Iterable[Presence] = ()) -> None:
        """Let those go who wait, with what changed for their person."""
        changed = {one.user_id: one for one in changes}
        for user_id, waiter in self.waiters.items():
            if not waiter.done():
                waiter.set_result(changed.get(user_id))
        self.waiters.clear()


class Writer:
    """Brings what Redis was told in line with what is owned."""

    def __init__(
        self, link: Link, owned: Owned, announcer: Announcer, settings: PresenceSettings
    ) -> None:
        self._link = link
        self._owned = owned
        self._announcer = announcer
        self._settings = settings
        self._marked: dict[int, None] = {}  # in order of arrival
        self._anew: deque[int] = deque()  # everyone, after the lease was lost
        self._waiters: dict[int, Waiter] = {}
        self._work = asyncio.Event()

    @property
    def restoring(self) -> bool:
        """Tell whether Redis has yet to hear of people whom it knew before."""
        return bool(self._anew)

    def mark(self, user_ids: Iterable[int]) -> None:
        """Tell Redis of these people soon."""
        self._marked.update(dict.fromkeys(self._owned.unsettled(user_ids)))
        if self._marked:
            self._work.set()

    async def settle(self, user_id: int) -> Presence | None:
        """Tell Redis of one person now; return what changed, None when nothing did or is known."""
        self.mark([user_id])
        if user_id not in self._marked or not self._link.answers.is_set():
            return None
        waiter = self._waiters.get(user_id)
        if waiter is None:
            waiter = self._waiters[user_id] = asyncio.get_running_loop().create_future()
        await asyncio.wait([waiter], timeout=self._settings.command_timeout_s)
        return waiter.result() if waiter.done() else None

    def begin_anew(self) -> None:
        """Tell Redis of everyone: it knows nothing of our new life."""
        self._marked.clear()
        self._anew = deque(self._owned.forget_told())
        self._work.set()

    def let_go(self) -> None:
        """Let everybody go who waits."""
        Batch("", "", {}, self._waiters).answer()

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self._work.wait()
            await self._link.answers.wait()
            batch, pause_s = self._next()
            if batch.values:
                await self._write(batch)
                await asyncio.sleep(pause_s)
            batch.answer()

    def _next(self) -> tuple[Batch, float]:
        """Take the next batch: those who are here now go before those being told again."""
        pause_s = 0.0
        chosen = list(self._marked)[: self._settings.reap_batch]
        for user_id in chosen:
            del self._marked[user_id]
        if not chosen:
            amount = min(len(self._anew), self._settings.reap_batch)
            chosen = [self._anew.popleft() for _ in range(amount)]
            pause_s = self._settings.reap_pause_s
        if not (self._marked or self._anew):
            self._work.clear()
        waiters = {one: self._waiters.pop(one) for one in chosen if one in self._waiters}
        values = {one: self._owned.wanted(one) for one in self._owned.unsettled(chosen)}
        return Batch(self._link.me, self._link.nonce(), values, waiters), pause_s

    async def _write(self, batch: Batch) -> None:
        """Repeat until the answer is known, or a new life makes the batch meaningless."""
        while batch.life == self._link.me:
            try:
                if await self._attempt(batch):
                    return
            except Unavailable:
                batch.answer()
                self.let_go()
            await self._link.answers.wait()

    async def _attempt(self, batch: Batch) -> bool:
        pairs = (
            part
            for user_id, value in batch.values.items()
            for part in (user_id, "" if value == "offline" else value)
        )
        answer = await self._link.run("own", *pairs, nonce=batch.nonce, me=batch.life)
        if not isinstance(answer, list):
            self._link.fail(text_of(answer))  # the lease is lost: the lease loop takes a new one
            return False
        if batch.life != self._link.me:
            return False  # the lease was lost while we waited; everyone is told again
        for user_id, value in batch.values.items():
            self._owned.tell(user_id, value)
        changes = self._link.presences(answer)
        await self._announcer.announce(changes)
        batch.answer(changes)
        return True
