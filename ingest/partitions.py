"""Monthly partitions of the events: made ahead, dropped beyond retention.

pipeline (at the start and every hour) ─▶ keep. Calls, legs and stints are kept for ever: they are
small, and statistics need them. Should this never run, events go to the default partition and
nothing is lost; the next run moves them to their month.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ingest.conn import Conn
from ingest.queries import partitions as queries

CHUNK_ROWS = 10_000  # about 50 ms
CHUNKS = 500
FORGET = (
    queries.forget_events,
    queries.forget_keys,
    queries.forget_aliases,
    queries.forget_rejects,
    queries.forget_gaps,
)


@dataclass(frozen=True, slots=True)
class Month:
    year: int
    month: int

    @property
    def name(self) -> str:
        return f"call_events_{self.year:04}_{self.month:02}"

    @property
    def begin(self) -> datetime:
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    def plus(self, months: int) -> Month:
        index = self.year * 12 + self.month - 1 + months
        return Month(index // 12, index % 12 + 1)


@dataclass(frozen=True, slots=True)
class Kept:
    created: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


async def keep(conn: Conn, *, now: datetime, months_ahead: int, keep_months: int) -> Kept:
    """Make the partitions from last month to months_ahead, drop those older than keep_months.

    Two nodes may call it at once: one works, the other has nothing to do.
    """
    this_month = Month(now.year, now.month)
    async with conn.transaction():
        if not await queries.try_lock(conn):
            return Kept()
        there = await queries.names(conn)
        created = await _create(conn, this_month, months_ahead, set(there))
        oldest = this_month.plus(-keep_months)
        dropped = [name for name in there if name < oldest.name]
        for name in dropped:
            await queries.drop(conn, name)
    await forget(conn, before=oldest.begin)
    return Kept(tuple(created), tuple(dropped))


async def forget(conn: Conn, *, before: datetime) -> int:
    """Delete what lies outside of the partitions, in small transactions; return how many rows.

    Bounded, so that a month's worth of ids does not hold up the housekeeping: the rest is next
    hour's work. Nodes that do it at once skip each other's rows.
    """
    total = 0
    for delete in FORGET:
        for _ in range(CHUNKS):
            deleted = await delete(conn, before=before, limit=CHUNK_ROWS)
            total += deleted
            if deleted < CHUNK_ROWS:
                break
    return total


async def _create(conn: Conn, this_month: Month, ahead: int, there: set[str]) -> list[str]:
    wanted = [this_month.plus(offset) for offset in range(-1, ahead + 1)]
    missing = [month for month in wanted if month.name not in there]
    for month in missing:
        await queries.create(conn, month.name, since=month.begin, until=month.plus(1).begin)
    return [month.name for month in missing]
