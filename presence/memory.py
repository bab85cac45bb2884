"""MemoryPresence: a PresenceStore in a dict, for one process and for tests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from presence.announcer import Announcer
from presence.model import (
    CHOICES,
    Choice,
    OnChange,
    PresenceState,
    never_seen,
    visible_status,
    without_times,
)
from presence.owned_connections import OwnedConnections
from presence.recovery import RecoveryWindow
from presence.settings import PresenceSettings


@dataclass(slots=True)
class PersonRecord:
    shown: PresenceState
    choice: Choice | None = None
    text: str | None = None
    until: datetime | None = None
    calls: dict[str, datetime] = field(default_factory=dict)
    """call → when it was reported (UTC), compared by `correct_calls`."""


class MemoryPresence:
    """PresenceStore without Redis; presence.store states its promises."""

    degraded = False
    outdated_fetches = 0

    def __init__(
        self,
        *,
        on_change: OnChange,
        settings: PresenceSettings | None = None,
        node: str = "memory",
    ) -> None:
        own = settings or PresenceSettings()
        self._node = node
        self._call_max_s = own.call_max_s
        self._owned = OwnedConnections(own.grace_s)
        self._announcer = Announcer(on_change, own)
        self._people: dict[int, PersonRecord] = {}
        self._grace_s = own.grace_s
        self._show_last_seen = own.show_last_seen
        self._choice_ends: dict[int, float] = {}
        """user → when the choice ends, by the event loop's clock."""
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._recovery = RecoveryWindow()

    async def open(self) -> None:
        """Start the timer for grace periods and the end of choices."""
        self._task = asyncio.create_task(self._run(), name="presence-ends")
        # Nothing is left of the process before; its people have the grace period to reconnect.
        certain_ms = time.time_ns() // 1_000_000 + round(self._grace_s * 1000)
        self._recovery = RecoveryWindow.within(self._grace_s, certain_ms)

    @property
    def default_version(self) -> int:
        """Return the version of people without a record; 0 during the recovery window."""
        return self._recovery.default_version

    @property
    def recovery_remaining_s(self) -> float:
        """Return the seconds until `default_version` changes; 0 outside a recovery window."""
        return self._recovery.remaining_s

    async def close(self) -> None:
        """Stop the timer."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def arrive(
        self, user_id: int, device: str, *, away: bool = False
    ) -> PresenceState | None:
        """Count one more connection; return what changed."""
        self._owned.arrive(user_id, device, away=away)
        return await self._settle(user_id)

    async def leave(self, user_id: int, device: str) -> None:
        """Count one connection less; a person is offline when the grace period has passed."""
        self._owned.leave(user_id, device, asyncio.get_running_loop().time())
        self._changed.set()
        await self._settle(user_id)

    async def set_away(self, user_id: int, device: str, away: bool) -> PresenceState | None:
        """Set whether a device is unattended; return what changed."""
        self._owned.set_away(user_id, device, away=away)
        return await self._settle(user_id)

    async def choose(
        self,
        user_id: int,
        status: Choice | None,
        text: str | None,
        until: datetime | None = None,
    ) -> PresenceState:
        """Store a person's choice."""
        if status is not None and status not in CHOICES:
            raise ValueError(f"{status} is not a status one can choose")
        person = self._person(user_id)
        left_s = (until - datetime.now(UTC)).total_seconds() if until else 0.0
        self._choice_ends.pop(user_id, None)
        if until and left_s <= 0:
            status = text = until = None
        elif until:
            # 2 ms later: the loop's clock and UTC may differ slightly.
            self._choice_ends[user_id] = asyncio.get_running_loop().time() + left_s + 0.002
            self._changed.set()
        person.choice, person.text, person.until = status, text or None, until
        await self._settle(user_id)
        return person.shown

    async def set_on_call(self, user_id: int, call_id: str, talking: bool) -> PresenceState | None:
        """Record that a call of this person began or ended; return what changed."""
        calls = self._person(user_id).calls
        if talking:
            calls[call_id] = datetime.now(UTC)
        else:
            calls.pop(call_id, None)
        return await self._settle(user_id)

    async def correct_calls(self, talking: Collection[tuple[int, str]], as_of: datetime) -> int:
        """Replace the calls in progress by (user, call), as of a moment; return the corrections."""
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

    async def fetch(self, user_ids: Collection[int]) -> dict[int, PresenceState]:
        """Return the current state of these people."""
        return {one: self._read(one) for one in user_ids}

    async def nodes_of(self, user_id: int) -> set[str]:
        """Return the name of this node, if this person is connected to it or was a moment ago."""
        return {self._node} if self._owned.desired(user_id) != "offline" else set()

    def merge_remote(self, presences: Iterable[PresenceState]) -> None:
        """Do nothing: there is no other node."""

    def _read(self, user_id: int) -> PresenceState:
        person = self._people.get(user_id)
        shown = person.shown if person else never_seen(user_id)
        return shown if shown.version else replace(shown, version=self.default_version)

    async def _settle(self, user_id: int) -> PresenceState | None:
        self._owned.mark_stored(user_id, self._owned.desired(user_id))
        person = self._person(user_id)
        status = visible_status(
            self._owned.stored(user_id), person.choice, talking=self._is_talking(person)
        )
        shown = person.shown
        until = person.until if status in {person.choice or status} - {"offline"} else None
        if (status, person.text, until) == (shown.status, shown.text, shown.until):
            return None
        now = datetime.now(UTC)
        known = shown.version or self.default_version
        version = max(known + 1, time.time_ns() // 1_000_000)
        since, seen = shown.since, shown.last_seen
        if status != shown.status:
            gone = self._owned.stored(user_id) == "offline"
            since, seen = now, now - timedelta(seconds=self._grace_s) if gone else now
        last_seen = seen if status == "offline" else None
        found = PresenceState(user_id, status, since or now, person.text, version, until, last_seen)
        person.shown = found if self._show_last_seen else without_times(found)
        await self._announcer.announce([person.shown])
        return person.shown

    def _person(self, user_id: int) -> PersonRecord:
        person = self._people.get(user_id)
        if person is None:
            person = self._people[user_id] = PersonRecord(never_seen(user_id))
        return person

    def _is_talking(self, person: PersonRecord) -> bool:
        oldest = datetime.now(UTC) - timedelta(seconds=self._call_max_s)
        return any(reported > oldest for reported in person.calls.values())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            try:
                async with asyncio.timeout_at(self._next_end()):
                    await self._changed.wait()
            except TimeoutError:
                pass
            now = loop.time()
            for user_id in self._owned.pop_expired(now):
                await self._settle(user_id)
            for user_id in [one for one, end in self._choice_ends.items() if end <= now]:
                await self.choose(user_id, None, None)

    def _next_end(self) -> float | None:
        gone = self._owned.next_expiry()
        ends = [*self._choice_ends.values(), *([] if gone is None else [gone])]
        return min(ends, default=None)
