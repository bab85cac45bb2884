"""The whole route from events to announced calls, in order.

    submit ─▶ batch ─▶ store (new?, identity, COPY and fold, COMMIT) ─▶ receipt ─▶ announce

    async with Pipeline(pool, announce=publish_calls) as pipeline:
        receipt = await pipeline.submit(events)

A receipt means: committed. Announcements follow the receipts, in the order of the commits, while
the next batch is stored. A lost announcement loses no data: the call's next one has its whole
state.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from ingest.conn import Pool
from ingest.metrics import IngestMetrics
from ingest.model.call_state import CallChange
from ingest.model.events import CallEvent
from ingest.model.receipt import Receipt
from ingest.settings import IngestSettings
from ingest.storing.agent_pauses import AgentChange
from ingest.storing.batcher import Batcher, EventOutcome
from ingest.storing.rejects import RejectedInput
from ingest.storing.store import EventStore, PartlyStored
from ingest.upkeep import lost_calls, partitions

log = logging.getLogger(__name__)

Announce = Callable[[list[CallChange]], Awaitable[None]]
AnnounceAgents = Callable[[list[AgentChange]], Awaitable[None]]

DRAIN_S = 10.0
FINAL_ANNOUNCE_S = 3.0
"""At shutdown, for announcing what was stored last."""


class Pipeline:
    """An async context manager. Any number of pipelines, on any nodes, may share one database."""

    def __init__(
        self,
        pool: Pool,
        *,
        announce: Announce,
        announce_agents: AnnounceAgents | None = None,
        settings: IngestSettings | None = None,
    ) -> None:
        self.settings = settings or IngestSettings()
        self.metrics = IngestMetrics()
        self._pool = pool
        self._announce = announce
        self._announce_agents = announce_agents
        self._changes: list[CallChange] = []
        self._agents: list[AgentChange] = []
        self._store = EventStore(pool, settings=self.settings, metrics=self.metrics)
        self._batcher = Batcher(
            self._flush,
            settings=self.settings,
            metrics=self.metrics,
            after_flush=self._start_announcing,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._announcing: list[asyncio.Task[None]] = []
        """At most two tasks: the second waits for the first."""

    async def __aenter__(self) -> Self:
        await self._maintain_partitions()
        self._tasks = [
            asyncio.create_task(self._batcher.run(), name="ingest.batches"),
            asyncio.create_task(self._housekeeping(), name="ingest.housekeeping"),
        ]
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Store what waits, then stop; after 10 s the remaining callers get IngestUnavailable."""
        self._batcher.close()
        batches, housekeeping = self._tasks
        housekeeping.cancel()
        _, late = await asyncio.wait([batches], timeout=DRAIN_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._batcher.abandon()
        await self._end_announcing()

    async def submit(self, events: Sequence[CallEvent]) -> Receipt:
        """Return when the events are committed.

        Raises Busy, IngestUnavailable, TooManyEvents or Closed.
        """
        return await self._batcher.submit(events)

    async def reject(self, source: str, refusals: Sequence[RejectedInput]) -> None:
        """Count inputs that no event could be made of, and save the first 100 of them.

        Raises IngestUnavailable.
        """
        if refusals:
            await self._store.reject(source, refusals)

    @property
    def waiting_events(self) -> int:
        return self._batcher.waiting_events

    @property
    def waiting_bytes(self) -> int:
        return self._batcher.waiting_bytes

    async def _flush(self, events: list[CallEvent]) -> list[EventOutcome]:
        try:
            stored = await self._store.store(events)
        except PartlyStored as error:
            self._changes, self._agents = error.stored.changes, error.stored.agents
            raise
        self._changes, self._agents = stored.changes, stored.agents
        return stored.outcomes

    async def _start_announcing(self) -> None:
        """Announce while the next batch is stored; the batch after that waits for it."""
        changes, self._changes = self._changes, []
        agents, self._agents = self._agents, []
        if not (changes or agents):
            return
        before = [task for task in self._announcing if not task.done()]
        announcing = self._announce_in_order(before, changes, agents)
        self._announcing = [*before, asyncio.create_task(announcing, name="ingest.announce")]
        if before:
            await asyncio.wait(before)

    async def _end_announcing(self) -> None:
        """Wait until what is committed is announced; cancel what takes too long."""
        try:
            if self._announcing:
                await asyncio.wait(self._announcing, timeout=FINAL_ANNOUNCE_S)
        finally:
            late = [task for task in self._announcing if task.cancel()]
            if late:
                log.warning("stopped before everything was announced: tasks=%d", len(late))
                await asyncio.wait(late)

    async def _announce_in_order(
        self,
        before: list[asyncio.Task[None]],
        changes: list[CallChange],
        agents: list[AgentChange],
    ) -> None:
        """Announce after `before`. Failures are logged only: the calls are stored."""
        if before:
            await asyncio.wait(before)
        if changes:
            await self._announce_safely(self._announce(changes), f"calls={len(changes)}")
        if agents and self._announce_agents is not None:
            await self._announce_safely(self._announce_agents(agents), f"agents={len(agents)}")

    async def _announce_safely(self, announcing: Awaitable[None], what: str) -> None:
        try:
            async with asyncio.timeout(self.settings.announce_timeout_s):
                await announcing
        except Exception:
            self.metrics.announce_failures += 1
            log.exception("announcing failed: %s", what)

    async def _housekeeping(self) -> None:
        while True:
            await self.end_lost_calls()
            await asyncio.sleep(self.settings.housekeeping_s)
            await self._maintain_partitions()

    async def end_lost_calls(self) -> None:
        """End calls whose end was lost; after a failure, the next run in an hour does it."""
        try:
            legs = await lost_calls.end_lost_calls(
                self._pool,
                self.submit,
                silence=self.settings.lost_after,
                most_events=self.settings.max_submission_events,
            )
        except Exception:
            log.exception("lost calls were not ended")
        else:
            if legs:
                log.info("lost calls ended: legs=%d", legs)

    async def _maintain_partitions(self) -> None:
        """Create and drop partitions; a failure is harmless, there is a default partition."""
        try:
            async with self._pool.acquire() as conn:
                await partitions.maintain(
                    conn,
                    now=datetime.now(UTC),
                    months_ahead=self.settings.months_ahead,
                    keep_months=self.settings.keep_months,
                    payload_days=self.settings.payload_days,
                )
        except Exception:
            log.exception("partitions were not created or dropped")
