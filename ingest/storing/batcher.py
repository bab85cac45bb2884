"""From many callers to few transactions: events wait up to 5 ms and are stored in order of arrival.

pipeline.submit ─▶ Batcher ─▶ flush (one transaction). A caller gets its receipt after the COMMIT of
the last of its events. The waiting events are bounded in number and bytes. Above that a submission
is refused as a whole with Busy, which says when to try again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ingest.metrics import IngestMetrics
from ingest.model.events import CallEvent
from ingest.model.receipt import Receipt, RejectedItem
from ingest.settings import IngestSettings

log = logging.getLogger(__name__)


class Busy(Exception):
    """Too much is waiting. Submit the same events again after `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many events are waiting; try again in {retry_after:.1f} s")
        self.retry_after = retry_after


class IngestUnavailable(Exception):
    """The batch failed, and may or may not be stored: submit it again."""

    retry_after = 1.0


class TooManyEvents(Exception):
    """One submission holds more events than allowed."""


class Closed(Exception):
    """The pipeline is shutting down."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why the database cannot store an event."""

    code: str
    message: str


EventOutcome = Literal["accepted", "overused", "duplicate"] | Rejection
"""Overused: accepted, and its call looks like several (model.receipt)."""
Flush = Callable[[list[CallEvent]], Awaitable[list[EventOutcome]]]
"""Store a batch and return each event's outcome, in the same order. Raises IngestUnavailable."""
AfterFlush = Callable[[], Awaitable[None]]
"""Called after each batch, also a failed one: announces what was stored."""


@dataclass(slots=True)
class QueuedEvents:
    """The events of one caller, stored in one or more batches, in order."""

    events: Sequence[CallEvent]
    bytes: int
    """Of the events that still wait."""
    since: float
    """When it arrived, by the event loop's clock."""
    done: asyncio.Future[Receipt]
    batched: int = 0
    """How many of its events are, or were, in a batch."""
    settled: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: list[RejectedItem] = field(default_factory=list)
    overused: list[int] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        return len(self.events) - self.batched

    def next_part(self, most: int) -> Part:
        """Remove and return the next events, at most `most`."""
        events = self.events[self.batched : self.batched + most]
        self.batched += len(events)
        size = sum(event.size for event in events) if self.remaining else self.bytes
        self.bytes -= size
        return Part(self, events, size)

    def settle(self, outcomes: Sequence[EventOutcome]) -> None:
        """Count the outcomes of the next events; the last ones complete the receipt."""
        accepted, duplicates = outcomes.count("accepted"), outcomes.count("duplicate")
        if accepted + duplicates < len(outcomes):
            overused = [at for at, one in enumerate(outcomes, self.settled) if one == "overused"]
            self.overused += overused
            accepted += len(overused)
            self.rejected += [
                RejectedItem(index, outcome.code, outcome.message)
                for index, outcome in enumerate(outcomes, self.settled)
                if isinstance(outcome, Rejection)
            ]
        self.accepted += accepted
        self.duplicates += duplicates
        self.settled += len(outcomes)
        if self.settled == len(self.events) and not self.done.done():
            parts = tuple(self.rejected), tuple(self.overused)
            self.done.set_result(Receipt(self.accepted, self.duplicates, *parts))

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True, slots=True)
class Part:
    """The events of a submission that are in one batch."""

    submission: QueuedEvents
    events: Sequence[CallEvent]
    bytes: int


class Batcher:
    """One worker, so batches are stored one after the other."""

    def __init__(
        self,
        flush: Flush,
        *,
        settings: IngestSettings,
        metrics: IngestMetrics,
        after_flush: AfterFlush | None = None,
    ) -> None:
        self._flush = flush
        self._after_flush = after_flush
        self._settings = settings
        self._metrics = metrics
        self._waiting: deque[QueuedEvents] = deque()
        """Submissions of which not all events are in a batch yet."""
        self._waiting_events = 0
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._closing = False

    @property
    def waiting_events(self) -> int:
        return self._waiting_events

    @property
    def waiting_bytes(self) -> int:
        return self._waiting_bytes

    async def submit(self, events: Sequence[CallEvent]) -> Receipt:
        """Return when all events are committed, or are duplicates, or are rejected for good.

        Raises Busy at once when too much waits, IngestUnavailable when the database is away.
        Cancelling the caller undoes nothing.
        """
        size = self._admit(events)
        if not events:
            return Receipt(0, 0)
        loop = asyncio.get_running_loop()
        submission = QueuedEvents(list(events), size, loop.time(), loop.create_future())
        self._waiting.append(submission)
        self._waiting_events += len(events)
        self._waiting_bytes += size
        self._metrics.received += len(events)
        self._arrived.set()
        return await submission.done

    def _admit(self, events: Sequence[CallEvent]) -> int:
        """Return the size of the events in bytes. Raises Closed, TooManyEvents or Busy."""
        limits = self._settings
        if self._closing:
            raise Closed
        if len(events) > limits.max_submission_events:
            raise TooManyEvents(f"at most {limits.max_submission_events} events at once")
        size = sum([event.size for event in events])
        full = self._waiting_events + len(events) > limits.max_waiting_events
        too_large = self._waiting_bytes + size > limits.max_waiting_bytes
        if self._waiting and (full or too_large):
            self._metrics.refused += 1
            raise Busy(self._retry_after())
        return size

    def _retry_after(self) -> float:
        """Estimate when half of what waits will be stored, at the average speed so far."""
        metrics = self._metrics
        stored = metrics.accepted + metrics.duplicates
        each_us = metrics.batch_us / stored if stored else 100
        return round(min(30.0, max(0.2, self._waiting_events / 2 * each_us / 1_000_000)), 1)

    async def run(self) -> None:
        """Store batches until close() was called and nothing waits."""
        while True:
            await self._arrived.wait()
            if not self._waiting and self._closing:
                return
            await self._wait_for_more()
            await self._store(self._next_batch(self._settings.batch_events))
            if not self._waiting and not self._closing:
                self._arrived.clear()

    def close(self) -> None:
        """Refuse new submissions; run() returns when what waits is stored."""
        self._closing = True
        self._arrived.set()

    def abandon(self) -> None:
        """Tell everybody still waiting that their events may not be stored."""
        for part in self._next_batch(self._waiting_events):
            part.submission.fail(IngestUnavailable("shutting down"))

    async def _wait_for_more(self) -> None:
        """Wait until the first event has waited `batch_ms`, or a full batch waits.

        What arrived while the batch before was stored has waited already.
        """
        if not self._waiting:
            return
        deadline = self._waiting[0].since + self._settings.batch_ms / 1000
        while self._waiting_events < self._settings.batch_events and not self._closing:
            self._arrived.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._arrived.wait()
            except TimeoutError:
                return

    def _next_batch(self, most: int) -> list[Part]:
        """Remove and return what has waited longest, at most `most` events."""
        parts: list[Part] = []
        while self._waiting and most > 0:
            submission = self._waiting[0]
            part = submission.next_part(most)
            parts.append(part)
            most -= len(part.events)
            self._waiting_events -= len(part.events)
            self._waiting_bytes -= part.bytes
            if not submission.remaining:
                self._waiting.popleft()
        return parts

    async def _store(self, batch: list[Part]) -> None:
        if not batch:
            return
        events = [event for part in batch for event in part.events]
        try:
            outcomes = await self._flush(events)
        except BaseException as error:
            self._fail(batch, len(events), error)
            if not isinstance(error, Exception):
                raise
        else:
            assert len(outcomes) == len(events)
            first = 0
            for part in batch:
                part.submission.settle(outcomes[first : first + len(part.events)])
                first += len(part.events)
        if self._after_flush is not None:
            await self._after_flush()

    def _fail(self, batch: list[Part], events: int, error: BaseException) -> None:
        self._metrics.failed_batches += 1
        if not isinstance(error, IngestUnavailable | asyncio.CancelledError):
            log.error("batch not stored: events=%d", events, exc_info=error)
        for part in batch:
            part.submission.fail(IngestUnavailable("the database did not store the batch"))
