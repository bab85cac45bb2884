"""Unread counts, pushed: whole state with a version, conflated, never added up by clients.

after_delivery ─▶ UnreadPush ─▶ one statement ─▶ sessions. After messages and receipts ONE query
returns the counts of every employee concerned who is connected here; each gets at most one frame in
500 ms, so that a burst in a group of 1,000 does not cost 1,000 personal frames a message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import structlog

from gateway import topics
from gateway.chat.queries import receipts as receipt_queries
from gateway.chat.receipts import total
from gateway.context import Services
from gateway.delivery.hub import Hub
from gateway.delivery.lanes import lane_of
from gateway.delivery.shared_frame import SharedFrame
from gateway.protocol import Unread, UnreadChanged
from gateway.protocol.codec import encode

log = structlog.get_logger(__name__)

FIRST_S = 0.03  # a single message's count follows at once; those of a burst come with it
CONFLATE_S = 0.5
MAX_PAIRS = 5_000  # in one statement
NEVER = datetime.max.replace(tzinfo=UTC)

LANE: Final = lane_of("unread.changed")


class UnreadPush:
    """The counts that each connected employee was sent last, and those to read again."""

    def __init__(self, services: Services, hub: Hub) -> None:
        self._services = services
        self._hub = hub
        self._sent: dict[int, dict[int, Unread]] = {}
        self._dirty: dict[int, set[int]] = {}
        self._pushed_at: dict[int, float] = {}
        self._expected: set[int] = set()
        """Whose first welcome here is being read: changes meanwhile are pushed after it."""
        self._mutes_end_at: dict[int, datetime] = {}
        """employee → when the first of their mutes ends."""
        self._wake = asyncio.Event()
        self.statements = 0

    def expect_welcome(self, employee_id: int) -> None:
        """Record changes from now on: the first welcome of this employee is about to be read."""
        if employee_id not in self._sent:
            self._expected.add(employee_id)

    def welcomed(self, employee_id: int, counts: Iterable[Unread]) -> None:
        """Record the counts of a welcome; push those that other devices were not sent."""
        self._expected.discard(employee_id)
        known = self._sent.get(employee_id)
        if known is None:
            known = self._sent[employee_id] = {}
            for unread in counts:
                self._store_newer(employee_id, known, unread)
            return
        for unread in counts:
            before = known.get(unread.conversation_id)
            if before is None or before.version < unread.version:
                self.changed([employee_id], unread.conversation_id)

    def remove(self, employee_id: int) -> None:
        """Remove an employee whose last session here has ended."""
        self._sent.pop(employee_id, None)
        self._expected.discard(employee_id)
        self._dirty.pop(employee_id, None)
        self._pushed_at.pop(employee_id, None)
        self._mutes_end_at.pop(employee_id, None)

    def push_expired_mutes(self) -> None:
        """Push to those whose mutes have ended: nothing is written to the database then."""
        now = datetime.now(UTC)
        for employee_id in [one for one, until in self._mutes_end_at.items() if until <= now]:
            until = self._mutes_end_at.pop(employee_id)
            muted = [one for one in self._sent[employee_id].values() if one.muted_until]
            for unread in muted:
                self._schedule_mute_end(employee_id, unread, now)
            self._push_counts(employee_id, [one for one in muted if one.muted_until == until])

    def changed(self, employee_ids: Iterable[int], conversation_id: int) -> None:
        """Read and push these employees' counts of this conversation, soon."""
        for employee_id in employee_ids:
            if employee_id in self._sent or employee_id in self._expected:
                self._dirty.setdefault(employee_id, set()).add(conversation_id)
        if self._dirty:
            self._wake.set()

    def check_all(self) -> None:
        """Compare everything that was sent here with the database."""
        for employee_id, known in self._sent.items():
            self._dirty.setdefault(employee_id, set()).update(known)
        self._wake.set()

    async def run(self) -> None:
        """Push until cancelled; an outage delays, it loses nothing."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(FIRST_S)
            while self._dirty:
                due, later = self._due(loop.time())
                if due:
                    await self._read_and_push(due)
                elif later:
                    await asyncio.sleep(max(later - loop.time(), 0.01))

    def _due(self, now: float) -> tuple[list[tuple[int, int]], float]:
        """Return the pairs to read now, and when the next others are due."""
        pairs: list[tuple[int, int]] = []
        later = now + CONFLATE_S
        for employee_id in list(self._dirty):
            if employee_id in self._expected:
                continue
            ready_at = self._pushed_at.get(employee_id, 0.0) + CONFLATE_S
            if ready_at > now:
                later = min(later, ready_at)
            elif len(pairs) < MAX_PAIRS:
                pairs.extend((employee_id, cid) for cid in self._dirty.pop(employee_id))
        return pairs, later

    async def _read_and_push(self, pairs: list[tuple[int, int]]) -> None:
        try:
            async with self._services.connection() as conn:
                counts = await receipt_queries.unread_of(conn, pairs)
            self.statements += 1
        except Exception as error:  # noqa: BLE001 - these people stay to be read again
            log.warning("unread.read_failed", error=type(error).__name__, people=len(pairs))
            for employee_id, conversation_id in pairs:
                self.changed([employee_id], conversation_id)
            await asyncio.sleep(1.0)
            return
        now = asyncio.get_running_loop().time()
        updates: dict[int, list[Unread]] = {}
        found = {(employee_id, unread.conversation_id) for employee_id, unread in counts}
        for employee_id, conversation_id in set(pairs) - found:  # no longer participants
            known = self._sent.get(employee_id)
            if known is not None and known.pop(conversation_id, None) is not None:
                updates.setdefault(employee_id, [])
        for employee_id, unread in counts:
            known = self._sent.get(employee_id)
            if known is not None and self._store_newer(employee_id, known, unread):
                updates.setdefault(employee_id, []).append(unread)
        for employee_id, changed in updates.items():
            self._pushed_at[employee_id] = now
            self._push_counts(employee_id, changed)

    def _push_counts(self, employee_id: int, changed: list[Unread]) -> None:
        event = UnreadChanged(total=total(self._sent[employee_id].values()), conversations=changed)
        frame = SharedFrame(encode(event), LANE)
        for session in self._hub.listeners(topics.user(employee_id)):
            session.deliver(frame)

    def _store_newer(self, employee_id: int, known: dict[int, Unread], unread: Unread) -> bool:
        """Store the counts if their version is higher; return whether it was."""
        before = known.get(unread.conversation_id)
        if before is not None and before.version >= unread.version:
            return False
        known[unread.conversation_id] = unread
        if unread.muted_until is not None:
            self._schedule_mute_end(employee_id, unread, datetime.now(UTC))
        return True

    def _schedule_mute_end(self, employee_id: int, unread: Unread, now: datetime) -> None:
        """Record when a mute ends, if it is the first of this employee's to end."""
        until = unread.muted_until
        if until is not None and now < until < self._mutes_end_at.get(employee_id, NEVER):
            self._mutes_end_at[employee_id] = until
