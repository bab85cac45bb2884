"""From many callers to few transactions: what waits, and for 5 ms, in order of arrival.

pipeline.submit ─▶ Batcher ─▶ flush (one transaction). A caller gets its receipt after the COMMIT of
the last of its events. What waits is bounded in events and bytes; beyond that the caller is told
when to come back, and nothing of its submission is kept.
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
from ingest.model.receipt import Receipt, RejectedEvent
from ingest.settings import IngestSettings

log = logging.getLogger(__name__)


class Busy(Exception):
    """Too much is waiting; hand the same events in again after `retry_after` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"too many events are waiting; try again in {retry_after:.1f} s")
        self.retry_after = retry_after


class IngestUnavailable(Exception):
    """The database did not take the batch. Whether it stored it is unknown: send it again."""

    retry_after = 1.0


class TooManyEvents(Exception):
    """One submission holds more events than allowed."""


class Closed(Exception):
    """The pipeline is shutting down."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event that the database cannot take."""

    code: str
    message: str


EventOutcome = Literal["accepted", "duplicate"] | Rejection
Flush = Callable[[list[CallEvent]], Awaitable[list[EventOutcome]]]
"""Store a batch and say what became of each event, in the same order; raise Unavailable."""
AfterFlush = Callable[[], Awaitable[None]]
"""Tell what was stored, also when that is a part of a batch that failed."""


@dataclass(slots=True)
class Submission:
    """What one caller handed in, taken in one or more batches, in order."""

    events: Sequence[CallEvent]
    bytes: int
    """What those take that still wait."""
    since: float
    """When it came, by the loop's clock."""
    done: asyncio.Future[Receipt]
    batched: int = 0
    """So many of its events are in a batch, or were."""
    settled: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: list[RejectedEvent] = field(default_factory=list)

    @property
    def remaining(self) -> int:
        return len(self.events) - self.batched

    def next_part(self, most: int) -> Part:
        """Return the next events, at most so many: they wait no longer."""
        events = self.events[self.batched : self.batched + most]
        self.batched += len(events)
        size = sum(event.size for event in events) if self.remaining else self.bytes
        self.bytes -= size
        return Part(self, events, size)

    def settle(self, fates: Sequence[EventOutcome]) -> None:
        """Count the fates of the next events in; the last one makes the receipt."""
        accepted, duplicates = fates.count("accepted"), fates.count("duplicate")
        if accepted + duplicates < len(fates):
            self.rejected += [
                RejectedEvent(index, fate.code, fate.message)
                for index, fate in enumerate(fates, self.settled)
                if isinstance(fate, Rejection)
            ]
        self.accepted += accepted
        self.duplicates += duplicates
        self.settled += len(fates)
        if self.settled == len(self.events) and not self.done.done():
            self.done.set_result(Receipt(self.accepted, self.duplicates, tuple(self.rejected)))

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True, slots=True)
class Part:
    """Those events of a submission that are in one batch."""

    submission: Submission
    events: Sequence[CallEvent]
    bytes: int


class Batcher:
    """One worker, so that batches are stored one after the other."""

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
        self._waiting: deque[Submission] = deque()
        """Those of which not all events are in a batch yet."""
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
        """Return when all events are committed (or known, or refused for good).

        Raises Busy at once when too much waits, Unavailable when the database is away. A caller
        that goes away does not undo anything.
        """
        size = self._admit(events)
        if not events:
            return Receipt(0, 0)
        loop = asyncio.get_running_loop()
        submission = Submission(list(events), size, loop.time(), loop.create_future())
        self._waiting.append(submission)
        self._waiting_events += len(events)
        self._waiting_bytes += size
        self._metrics.received += len(events)
        self._arrived.set()
        return await submission.done

    def _admit(self, events: Sequence[CallEvent]) -> int:
        """Return how many bytes they are, if they may wait."""
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
        """Estimate when half of what waits will be gone, at the speed seen so far."""
        metrics = self._metrics
        stored = metrics.accepted + metrics.duplicates
        each_us = metrics.batch_us / stored if stored else 100
        return round(min(30.0, max(0.2, self._waiting_events / 2 * each_us / 1_000_000)), 1)

    async def run(self) -> None:
        """Store batches until close() and nothing waits any more."""
        while True:
            await self._arrived.wait()
            if not self._waiting and self._closing:
                return
            await self._wait_for_more()
            await self._store(self._next_batch(self._settings.batch_events))
            if not self._waiting and not self._closing:
                self._arrived.clear()

    def close(self) -> None:
        """Accept nothing more; run() returns when what waits is stored."""
        self._closing = True
        self._arrived.set()

    def abandon(self) -> None:
        """Tell everybody still waiting that their events may not be stored."""
        for part in self._next_batch(self._waiting_events):
            part.submission.fail(IngestUnavailable("shutting down"))

    async def _wait_for_more(self) -> None:
        """Let the first event have waited some milliseconds for company, unless there is enough.

        What came while the batch before was stored has waited already.
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
        """Return what has waited longest, at most so many events."""
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
            fates = await self._flush(events)
        except BaseException as error:
            self._fail(batch, len(events), error)
            if not isinstance(error, Exception):
                raise
        else:
            assert len(fates) == len(events)
            first = 0
            for part in batch:
                part.submission.settle(fates[first : first + len(part.events)])
                first += len(part.events)
        if self._after_flush is not None:
            await self._after_flush()

    def _fail(self, batch: list[Part], events: int, error: BaseException) -> None:
        self._metrics.failed_batches += 1
        if not isinstance(error, IngestUnavailable | asyncio.CancelledError):
            log.error("a batch of %d events was not stored", events, exc_info=error)
        for part in batch:
            part.submission.fail(IngestUnavailable("the database did not take the batch"))
