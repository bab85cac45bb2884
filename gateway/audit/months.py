"""Months of the audit: made ahead, dropped when too old. A job, ordered every hour.

job_kinds ─▶ run ─▶ ingest's upkeep of partitions. If it never runs, acts go to the default
partition and none is refused; the next run moves them to their month.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

import asyncpg
import structlog

from gateway.audit.queries import months as queries
from gateway.db import Conn
from ingest import PartitionedTable, PartitionMonth, maintain_table, partitions

log = structlog.get_logger(__name__)

MAINTAIN = "audit.maintain"
EVERY_S = 3_600.0
TABLE = PartitionedTable("audit", "at")
LOCK_KEY = 0x61756469
"""The advisory lock of this upkeep: "audi"."""
AHEAD = 2
LOCK_S = 0.2
"""Whoever audits waits as long as this waits for its locks; the next run tries again."""
RETRY_S = 5.0
BATCH = 1_000
"""Rows deleted by one statement."""
PORTION = 100
"""Such statements in one run; the rest is deleted by the next ones."""

Connect = Callable[[], AbstractAsyncContextManager[Conn]]


async def run(connect: Connect, *, months: int, now: datetime | None = None) -> bool:
    """Make this month's partition and the next two, drop those older than `months`, if not 0.

    False when somebody held a lock on the table: try again in RETRY_S.
    """
    now = now or datetime.now(UTC)
    month = PartitionMonth(now.year, now.month, TABLE.name)
    oldest = month.plus(-months) if months else None
    try:
        async with _limited(connect) as conn:
            await _maintain(conn, month, oldest)
        if oldest is not None:
            await _delete(connect, oldest.begin)
    except _Busy:
        return False
    except asyncpg.InsufficientPrivilegeError:
        log.warning("audit.not_partitioned", reason="the serving role does not own realtime.audit")
    return True


class _Busy(Exception):
    """Somebody has a lock on the table."""


@asynccontextmanager
async def _limited(connect: Connect) -> AsyncIterator[Conn]:
    """Begin a transaction that waits LOCK_S for a lock; _Busy when that is not enough."""
    async with connect() as conn:
        try:
            async with conn.transaction():
                await queries.limit_locks(conn, LOCK_S)
                yield conn
        except asyncpg.LockNotAvailableError:
            raise _Busy from None


async def _maintain(conn: Conn, month: PartitionMonth, oldest: PartitionMonth | None) -> None:
    if not await partitions.try_lock(conn, LOCK_KEY):
        return
    first = await queries.first(conn)
    covered = datetime.min.replace(tzinfo=UTC) if first is None else _end_of(first)
    wanted = [one for one in map(month.plus, range(AHEAD + 1)) if one.begin >= covered]
    done = await maintain_table(conn, TABLE, wanted, oldest=oldest)
    dropped = [*done.dropped]
    if first is not None and oldest is not None and covered <= oldest.begin:
        await partitions.drop(conn, first)
        dropped.append(first)
    if done.created or dropped:
        log.info("audit.months", created=",".join(done.created), dropped=",".join(dropped))


def _end_of(first: str) -> datetime:
    """Return up to when the partition of before there were months has everything."""
    year, month = first.split("_")[-2:]
    return PartitionMonth(int(year), int(month)).begin


async def _delete(connect: Connect, before: datetime) -> None:
    """Delete what is too old in a partition that has younger rows, too, or is the default one."""
    total = 0
    for _ in range(PORTION):
        async with _limited(connect) as conn:
            deleted = await queries.delete(conn, before=before, limit=BATCH)
        total += deleted
        if deleted < BATCH:
            break
    if total:
        log.info("audit.deleted", acts=total)
