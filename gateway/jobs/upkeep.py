"""Watches the backlog, and keeps the table of jobs small whatever others do to the database.

A loop of its own, not a job: it must run while jobs do not. Every worker has one; what two do at
the same time is done once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import asyncpg
import structlog

from gateway.jobs.queries import dead, upkeep
from gateway.jobs.queries.upkeep import Backlog
from gateway.jobs.worker import Connect, Worker

log = structlog.get_logger(__name__)

EVERY_S = 15.0
VACUUM_EVERY = 20
"""Looks between two vacuums: autovacuum's workers may be in the CRM's large tables for hours."""
COUNTED = 10_000
"""No more jobs of a queue are counted."""
COMPACT_BYTES = 8 * 2**20
"""From this size on, if nearly all of it is gone: each claim reads past what is gone."""
COMPACT_ROWS = 5_000
"""With more jobs than this the table is not compacted: all wait for it, 5 ms for a thousand."""
FLOOD = 1_000
"""When so many wait that the statistics do not know, a claim reads and sorts all that wait: 0.5 us
each. autovacuum would tell them, when it comes."""
DEAD_DAYS = 30
UNKNOWN_DAYS = 7


class Upkeep:
    """What one worker knows of all jobs that wait."""

    def __init__(self, connect: Connect, worker: Worker, *, known: Iterable[str] = ()) -> None:
        """`known`: kinds that this version has, also those that this worker does not run."""
        self._connect = connect
        self._worker = worker
        self._known = [*{*worker.kinds, *known}]
        self.backlogs: list[Backlog] = []

    async def run(self, *, every_s: float = EVERY_S) -> None:
        """Look every few seconds until cancelled; an outage delays."""
        looks = 0
        while True:
            try:
                await self.look(vacuum=looks % VACUUM_EVERY == VACUUM_EVERY - 1)
            except Exception as error:  # noqa: BLE001 - looked again in a moment
                log.warning("jobs.not_watched", error=type(error).__name__)
            looks += 1
            await asyncio.sleep(every_s)

    async def look(self, *, vacuum: bool = False) -> None:
        """Count what waits; rewrite the table when it is large and empty, or free its space."""
        async with self._connect() as conn:
            self.backlogs = await upkeep.backlog(conn, self._worker.queues, limit=COUNTED)
        if not self.backlogs:
            return
        table = self.backlogs[0]
        if table.table_bytes >= COMPACT_BYTES:
            await self._compact()
        waiting = sum(one.waiting for one in self.backlogs)
        if waiting > FLOOD and table.unanalyzed > FLOOD:
            async with self._connect() as conn:
                await upkeep.analyze(conn)
        if vacuum:
            async with self._connect() as conn:
                if table.dead_rows > table.live_rows:
                    await upkeep.vacuum(conn)
                await dead.forget(conn, days=DEAD_DAYS)
                gone = await dead.bury_unknown(conn, kinds=self._known, days=UNKNOWN_DAYS)
            if gone:
                log.error("jobs.unknown", jobs=gone)

    async def _compact(self) -> None:
        try:
            async with self._connect() as conn:
                done = await upkeep.compact(conn, most=COMPACT_ROWS)
        except asyncpg.LockNotAvailableError:
            done = False  # somebody's transaction ordered jobs; tried again in a moment
        except asyncpg.InsufficientPrivilegeError:
            done = False  # without EXECUTE; the rest of the upkeep goes on
        log.info("jobs.compacted", done=done)
