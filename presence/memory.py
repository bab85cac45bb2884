"""MemoryPresence: the same promise in a dict, for one process and for tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from presence.announcer import Announcer
from presence.forgetting import Certainty
from presence.model import CHOICES, Choice, OnChange, Presence, never_seen, visible, without_times
from presence.owned_connections import Owned
from presence.settings import PresenceSettings


@dataclass(slots=True)
class Person:
    shown: Presence
    choice: Choice | None = None
    text: str | None = None
    until: datetime | None = None
    calls: dict[str, datetime] = field(default_factory=dict)
    """When each call was reported, on the clock by which it is corrected."""


class MemoryPresence:
    """PresenceStore without Redis; see presence.store for what it promises."""

    degraded = False

    def __init__(self, *, on_change: OnChange, settings: PresenceSettings | None = None) -> None:
        own = settings or PresenceSettings()
        self._call_max_s = own.call_max_s
        self._owned = Owned(own.grace_s)
        self._announcer = Announcer(on_change, own)
        self._people: dict[int, Person] = {}
        self._grace_s = own.grace_s
        self._show_last_seen = own.show_last_seen
        self._lapses: dict[int, float] = {}
        """When a choice ends, on the loop's clock."""
        self._watch: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._certainty = Certainty()

    async def open(self) -> None:
        """Begin to watch over the grace of those who leave, and the end of choices."""
        self._watch = asyncio.create_task(self._watch_ends(), name="presence-ends")
        # We know nothing of the process before us; who was here then has the grace to return.
        certain_ms = time.time_ns() // 1_000_000 + round(self._grace_s * 1000)
        self._certainty = Certainty.within(self._grace_s, certain_ms)

    @property
    def version_of_unknown(self) -> int:
        """Return the version of whoever nothing is known of; 0 until that is certain."""
        return self._certainty.version_of_unknown

    @property
    def certain_in_s(self) -> float:
        """Return how long it is until `version_of_unknown` changes; 0 when it is certain."""
        return self._certainty.certain_in_s

    async def close(self) -> None:
        """Stop; what was known ends with the process."""
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def arrive(self, user_id: int, device: str, *, away: bool = False) -> Presence | None:
        """Count one more connection; return what changed by it."""
        self._owned.arrive(user_id, device, away=away)
        return await self._settle(user_id)

    async def leave(self, user_id: int, device: str) -> None:
        """Count one connection less; the rest happens when the grace is over."""
        self._owned.leave(user_id, device, asyncio.get_running_loop().time())
        self._news.set()
        await self._settle(user_id)

    async def set_away(self, user_id: int, device: str, away: bool) -> Presence | None:
        """Note whether a device is being looked at; return what changed by it."""
        self._owned.set_away(user_id, device, away=away)
        return await self._settle(user_id)

    async def choose(
        self,
        user_id: int,
        status: Choice | None,
        text: str | None,
        until: datetime | None = None,
    ) -> Presence:
        """Store a person's choice."""
        if status is not None and status not in CHOICES:
            raise ValueError(f"{status} is not a status one can choose")
        person = self._person(user_id)
        left_s = (until - datetime.now(UTC)).total_seconds() if until else 0.0
        self._lapses.pop(user_id, None)
        if until and left_s <= 0:
            status = text = until = None
        elif until:
            # A moment later: the loop's clock and the one that people read go at their own pace.
            self._lapses[user_id] = asyncio.get_running_loop().time() + left_s + 0.002
            self._news.set()
        person.choice, person.text, person.until = status, text or None, until
        await self._settle(user_id)
        return person.shown

    async def set_on_call(self, user_id: int, call_id: str, talking: bool) -> Presence | None:
        """Note that a call of this person began or ended; return what changed by it."""
        calls = self._person(user_id).calls
        if talking:
            calls[call_id] = datetime.now(UTC)
        else:
            calls.pop(call_id, None)
        return await self._settle(user_id)

    async def correct_calls(self, talking: Collection[tuple[int, str]], as_of: datetime) -> int:
        """Make (user, call) all that go on, as of a moment; return how many were wrong."""
        known = {
            (user_id, call_id): reported
            for user_id, person in self._people.items()
            for call_id, reported in person.calls.items()
        }
        true, corrected = set(talking), 0
        for user_id, call_id in known.keys() ^ true:
            reported_at = known.get((user_id, call_id))
            if reported_at is None or reported_at < as_of:
                await self.set_on_call(user_id, call_id, (user_id, call_id) in true)
                corrected += 1
        return corrected

    async def look(self, user_ids: Collection[int]) -> dict[int, Presence]:
        """Return how these people are."""
        return {one: self._seen(one) for one in user_ids}

    def heard(self, presences: Iterable[Presence]) -> None:
        """Ignore it: there is no other node."""

    def _seen(self, user_id: int) -> Presence:
        person = self._people.get(user_id)
        shown = person.shown if person else never_seen(user_id)
        return shown if shown.version else replace(shown, version=self.version_of_unknown)

    async def _settle(self, user_id: int) -> Presence | None:
        self._owned.tell(user_id, self._owned.wanted(user_id))
        person = self._person(user_id)
        status = visible(self._owned.told(user_id), person.choice, talking=self._is_talking(person))
        shown = person.shown
        until = person.until if status in {person.choice or status} - {"offline"} else None
        if (status, person.text, until) == (shown.status, shown.text, shown.until):
            return None
        now = datetime.now(UTC)
        known = shown.version or self.version_of_unknown
        version = max(known + 1, time.time_ns() // 1_000_000)
        since, seen = shown.since, shown.last_seen
        if status != shown.status:
            gone = self._owned.told(user_id) == "offline"
            since, seen = now, now - timedelta(seconds=self._grace_s) if gone else now
        last_seen = seen if status == "offline" else None
        found = Presence(user_id, status, since or now, person.text, version, until, last_seen)
        person.shown = found if self._show_last_seen else without_times(found)
        await self._announcer.announce([person.shown])
        return person.shown

    def _person(self, user_id: int) -> Person:
        person = self._people.get(user_id)
        if person is None:
            person = self._people[user_id] = Person(never_seen(user_id))
        return person

    def _is_talking(self, person: Person) -> bool:
        oldest = datetime.now(UTC) - timedelta(seconds=self._call_max_s)
        return any(reported > oldest for reported in person.calls.values())

    async def _watch_ends(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._news.clear()
            try:
                async with asyncio.timeout_at(self._next_end()):
                    await self._news.wait()
            except TimeoutError:
                pass
            now = loop.time()
            for user_id in self._owned.gone(now):
                await self._settle(user_id)
            for user_id in [one for one, end in self._lapses.items() if end <= now]:
                await self.choose(user_id, None, None)

    def _next_end(self) -> float | None:
        gone = self._owned.next_gone()
        ends = [*self._lapses.values(), *([] if gone is None else [gone])]
        return min(ends, default=None)
