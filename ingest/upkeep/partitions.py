"""Partitions: months of events and days of native messages, created ahead, dropped when too old.

pipeline (at the start and every hour) ─▶ maintain. Calls, legs and stints are kept for ever: they
are small, and statistics need them. If this never runs, events go to the default partition and
nothing is lost; the next run moves them to their month.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, Self

from ingest.conn import Conn
from ingest.queries import partitions as queries
from ingest.queries.partitions import EVENTS, PAYLOADS, PartitionedTable

CHUNK_ROWS = 10_000  # about 50 ms
MAX_CHUNKS = 500
DAYS_AHEAD = 2
"""Housekeeping runs every hour; two days of failures are noticed by other means."""
DELETES = (
    queries.delete_events,
    queries.delete_keys,
    queries.delete_aliases,
    queries.delete_rejects,
    queries.delete_gaps,
)


class PartitionPeriod(Protocol):
    """The time that one partition covers."""

    @property
    def name(self) -> str: ...

    @property
    def begin(self) -> datetime: ...

    def plus(self, spans: int) -> Self: ...


@dataclass(frozen=True, slots=True)
class PartitionMonth:
    year: int
    month: int
    table: str = EVENTS.name

    @property
    def name(self) -> str:
        return f"{self.table}_{self.year:04}_{self.month:02}"

    @property
    def begin(self) -> datetime:
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    def plus(self, months: int) -> PartitionMonth:
        index = self.year * 12 + self.month - 1 + months
        return PartitionMonth(index // 12, index % 12 + 1, self.table)


@dataclass(frozen=True, slots=True)
class PartitionDay:
    begin: datetime

    @property
    def name(self) -> str:
        return f"{PAYLOADS.name}_{self.begin:%Y_%m_%d}"

    def plus(self, days: int) -> PartitionDay:
        return PartitionDay(self.begin + timedelta(days=days))


@dataclass(frozen=True, slots=True)
class MaintenanceResult:
    created: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


async def maintain(
    conn: Conn, *, now: datetime, months_ahead: int, keep_months: int, payload_days: int = 0
) -> MaintenanceResult:
    """Create the partitions from last month to months_ahead, drop those older than keep_months.

    The same for days of native messages, if they are kept. Two nodes may call it at once: one
    does the work, the other returns.
    """
    month = PartitionMonth(now.year, now.month)
    today = PartitionDay(datetime(now.year, now.month, now.day, tzinfo=UTC))
    months = [month.plus(offset) for offset in range(-1, months_ahead + 1)]
    days = [today.plus(offset) for offset in range(DAYS_AHEAD + 1)] if payload_days else []
    oldest, first_day = month.plus(-keep_months), today.plus(-payload_days)
    async with conn.transaction():
        if not await queries.try_lock(conn):
            return MaintenanceResult()
        events = await maintain_table(conn, EVENTS, months, oldest=oldest)
        payloads = await maintain_table(conn, PAYLOADS, days, oldest=first_day)
    await delete_old_rows(conn, before=oldest.begin)
    await _delete_in_chunks(conn, queries.delete_payloads, before=first_day.begin)
    return MaintenanceResult(events.created + payloads.created, events.dropped + payloads.dropped)


async def maintain_table(
    conn: Conn,
    table: PartitionedTable,
    wanted: Sequence[PartitionPeriod],
    *,
    oldest: PartitionPeriod | None,
) -> MaintenanceResult:
    """Create the wanted partitions of one table that are missing, drop those before `oldest`.

    In the caller's transaction. A program that embeds this package keeps a table of its own so.
    """
    there = await queries.names(conn, table)
    missing = [period for period in wanted if period.name not in there]
    for period in missing:
        until = period.plus(1).begin
        await queries.create(conn, table, period.name, since=period.begin, until=until)
    dropped = [name for name in there if oldest is not None and name < oldest.name]
    for name in dropped:
        await queries.drop(conn, name)
    return MaintenanceResult(tuple(period.name for period in missing), tuple(dropped))


async def delete_old_rows(conn: Conn, *, before: datetime) -> int:
    """Delete old rows outside of the partitions, in small transactions; return how many.

    Bounded, so that a month of ids does not block the housekeeping: the rest is deleted in the next
    hours. Nodes that do it at once skip each other's rows.
    """
    return sum([await _delete_in_chunks(conn, delete, before=before) for delete in DELETES])


async def _delete_in_chunks(
    conn: Conn, delete: Callable[..., Awaitable[int]], *, before: datetime
) -> int:
    total = 0
    for _ in range(MAX_CHUNKS):
        deleted = await delete(conn, before=before, limit=CHUNK_ROWS)
        total += deleted
        if deleted < CHUNK_ROWS:
            break
    return total
