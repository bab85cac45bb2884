"""What one session watches of the queues, and when queues change due to time alone.

queue.watch ─▶ QueueSubscription ─▶ QueueWatches.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.db import Conn
from gateway.protocol.wallboard import MAX_WATCHED_QUEUES
from gateway.telephony.agents import wallboard
from gateway.telephony.agents.queries import queues as queries
from gateway.telephony.agents.wallboard import QueueSnapshot


@dataclass(frozen=True, slots=True)
class QueueSubscription:
    """What one session watches."""

    queues: frozenset[str] | None
    """None: all."""
    agents: bool
    calls: bool
    tz: str

    def covers(self, queues: Iterable[str]) -> bool:
        return self.queues is None or not self.queues.isdisjoint(queues)


class TimedChanges:
    """Changes due to time alone: a wait threshold, midnight."""

    def __init__(self) -> None:
        self._late_at: dict[str, datetime] = {}
        """queue → when the next caller there will have waited too long."""
        self._midnights: dict[str, datetime] = {}

    def watch_zone(self, tz: str) -> None:
        """Watch the midnights of this time zone."""
        self._midnights.setdefault(tz, wallboard.today(tz).until)

    def retain_zones(self, zones: Collection[str]) -> None:
        """Watch the midnights of these time zones only."""
        self._midnights = {tz: at for tz, at in self._midnights.items() if tz in zones}
        if not zones:
            self._late_at.clear()

    def set_waiting(self, states: Iterable[QueueSnapshot]) -> None:
        """Record when waits in these queues pass their threshold."""
        for one in states:
            self._late_at.pop(one.queue.queue, None)
            if one.changes_at is not None:
                self._late_at[one.queue.queue] = one.changes_at

    def next_in_s(self, most: float) -> float:
        """Return the seconds until the next change due to time; at most `most`."""
        times = (*self._late_at.values(), *self._midnights.values())
        left = (min(times) - datetime.now(UTC)).total_seconds() if times else most
        return min(max(left, 0.01), most)

    def pop_due(self, now: datetime) -> tuple[set[str], bool]:
        """Return the queues where a wait has passed its threshold, and whether a day began."""
        late = {queue for queue, at in self._late_at.items() if at <= now}
        for queue in late:
            del self._late_at[queue]
        over = [tz for tz, at in self._midnights.items() if at <= now]
        for tz in over:
            self._midnights[tz] = wallboard.today(tz, now + timedelta(seconds=1)).until
        return late, bool(over)


async def names_of(conn: Conn, watching: Collection[QueueSubscription]) -> set[str]:
    """Return the queues of these subscriptions; of all queues, the first 200 by name."""
    named = {queue for one in watching for queue in one.queues or ()}
    if any(one.queues is None for one in watching):
        named |= set(await queries.names(conn, after="", limit=MAX_WATCHED_QUEUES))
    return named
