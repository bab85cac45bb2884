"""What one session watches of the queues, and when queues change though nothing happens.

queue.watch ─▶ Watching ─▶ queue_watch.
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
    """What is another one at some moment though nothing happens: too long a wait, another day."""

    def __init__(self) -> None:
        self._late_at: dict[str, datetime] = {}
        """queue → when the next who waits there will have waited too long."""
        self._midnights: dict[str, datetime] = {}

    def watch_zone(self, tz: str) -> None:
        """Think of this zone's midnights."""
        self._midnights.setdefault(tz, wallboard.today(tz).until)

    def retain_zones(self, zones: Collection[str]) -> None:
        """Think of these zones' midnights only."""
        self._midnights = {tz: at for tz, at in self._midnights.items() if tz in zones}
        if not zones:
            self._late_at.clear()

    def set_waiting(self, states: Iterable[QueueSnapshot]) -> None:
        """Take note of who waits in these queues."""
        for one in states:
            self._late_at.pop(one.queue.queue, None)
            if one.changes_at is not None:
                self._late_at[one.queue.queue] = one.changes_at

    def next_in_s(self, most: float) -> float:
        """Return for how long nothing changes by itself; at most `most`."""
        times = (*self._late_at.values(), *self._midnights.values())
        left = (min(times) - datetime.now(UTC)).total_seconds() if times else most
        return min(max(left, 0.01), most)

    def pop_due(self, now: datetime) -> tuple[set[str], bool]:
        """Return in which queues somebody has waited too long by now, and whether a day began."""
        late = {queue for queue, at in self._late_at.items() if at <= now}
        for queue in late:
            del self._late_at[queue]
        over = [tz for tz, at in self._midnights.items() if at <= now]
        for tz in over:
            self._midnights[tz] = wallboard.today(tz, now + timedelta(seconds=1)).until
        return late, bool(over)


async def names_of(conn: Conn, watching: Collection[QueueSubscription]) -> set[str]:
    """Return the queues that these watch; of all, the first 200 by name."""
    named = {queue for one in watching for queue in one.queues or ()}
    if any(one.queues is None for one in watching):
        named |= set(await queries.names(conn, after="", limit=MAX_WATCHED_QUEUES))
    return named
