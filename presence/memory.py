"""MemoryPresence: the same promise in a dict, for one process and for tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from presence.announcer import Announcer
from presence.model import CHOICES, Choice, OnChange, Presence, never_seen, visible
from presence.owned import Owned
from presence.settings import PresenceSettings


@dataclass(slots=True)
class Person:
    shown: Presence
    choice: Choice | None = None
    text: str | None = None
    calls: dict[str, float] = field(default_factory=dict)
    """When each call was reported, on the loop's clock."""


class MemoryPresence:
    """PresenceStore without Redis; see presence.store for what it promises."""

    degraded = False

    def __init__(self, *, on_change: OnChange, settings: PresenceSettings | None = None) -> None:
        own = settings or PresenceSettings()
        self._call_max_s = own.call_max_s
        self._owned = Owned(own.grace_s)
        self._announcer = Announcer(on_change, own)
        self._people: dict[int, Person] = {}
        self._grace: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()

    async def open(self) -> None:
        """Begin to watch over the grace of those who leave."""
        self._grace = asyncio.create_task(self._watch_grace(), name="presence-grace")

    async def close(self) -> None:
        """Stop; what was known ends with the process."""
        if self._grace:
            self._grace.cancel()
            await asyncio.gather(self._grace, return_exceptions=True)

    async def arrive(self, user_id: int, device: str) -> Presence | None:
        """Count one more connection; return what changed by it."""
        self._owned.arrive(user_id, device)
        return await self._settle(user_id)

    async def leave(self, user_id: int, device: str) -> None:
        """Count one connection less; the rest happens when the grace is over."""
        self._owned.leave(user_id, device, asyncio.get_running_loop().time())
        self._leaving.set()
        await self._settle(user_id)

    async def set_away(self, user_id: int, device: str, away: bool) -> Presence | None:
        """Note whether a device is being looked at; return what changed by it."""
        self._owned.set_away(user_id, device, away=away)
        return await self._settle(user_id)

    async def choose(self, user_id: int, status: Choice | None, text: str | None) -> Presence:
        """Store a person's choice."""
        if status is not None and status not in CHOICES:
            raise ValueError(f"{status} is not a status one can choose")
        person = self._person(user_id)
        person.choice, person.text = status, text or None
        await self._settle(user_id)
        return person.shown

    async def set_on_call(self, user_id: int, call_id: str, talking: bool) -> Presence | None:
        """Note that a call of this person began or ended; return what changed by it."""
        calls = self._person(user_id).calls
        if talking:
            calls[call_id] = asyncio.get_running_loop().time()
        else:
            calls.pop(call_id, None)
        return await self._settle(user_id)

    async def look(self, user_ids: Collection[int]) -> dict[int, Presence]:
        """Return how these people are."""
        people = self._people
        return {one: people[one].shown if one in people else never_seen(one) for one in user_ids}

    def heard(self, presences: Iterable[Presence]) -> None:
        """Ignore it: there is no other node."""

    async def _settle(self, user_id: int) -> Presence | None:
        self._owned.tell(user_id, self._owned.wanted(user_id))
        person = self._person(user_id)
        status = visible(self._owned.told(user_id), person.choice, talking=self._is_talking(person))
        shown = person.shown
        if (status, person.text) == (shown.status, shown.text):
            return None
        now = datetime.now(UTC)
        same = status == shown.status and shown.since is not None
        version = max(shown.version + 1, time.time_ns() // 1_000_000)
        since = shown.since if same else now
        person.shown = Presence(user_id, status, since, person.text, version)
        await self._announcer.announce([person.shown])
        return person.shown

    def _person(self, user_id: int) -> Person:
        person = self._people.get(user_id)
        if person is None:
            person = self._people[user_id] = Person(never_seen(user_id))
        return person

    def _is_talking(self, person: Person) -> bool:
        oldest = asyncio.get_running_loop().time() - self._call_max_s
        return any(reported > oldest for reported in person.calls.values())

    async def _watch_grace(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            deadline = self._owned.next_gone()
            if deadline is None:
                self._leaving.clear()
                await self._leaving.wait()
                continue
            await asyncio.sleep(max(0.0, deadline - loop.time()))
            for user_id in self._owned.gone(loop.time()):
                await self._settle(user_id)
