"""One transaction for each batch: drop duplicates, COPY, fold, COMMIT.

batcher ─▶ EventStore ─▶ queries, identity, call_cache, sessions. PostgreSQL stores the new events
while we fold their calls, and calls that we stored last are not read back. The costs of a thousand
events: docs/decisions/0013-ingest.md.

An event that causes a data error (a NUL, a date out of range) is found by bisecting the batch, so
that all others are stored; it is saved in ingest_rejects.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from uuid import UUID

import asyncpg

from ingest.conn import AWAY_ERRORS, Conn, Pool
from ingest.metrics import IngestMetrics
from ingest.model import native_payload
from ingest.model.call_state import CallChange
from ingest.model.events import CallEvent, number
from ingest.model.native_payload import EventPayload
from ingest.queries import aliases
from ingest.queries import events as queries
from ingest.queries.events import SourceTurn
from ingest.settings import IngestSettings
from ingest.storing import agent_pauses, identity, rejects, sessions
from ingest.storing.agent_pauses import AgentChange
from ingest.storing.batcher import EventOutcome, IngestUnavailable, Rejection
from ingest.storing.call_cache import CallCache
from ingest.storing.rejects import RejectedInput
from ingest.storing.sessions import FoldedCalls

log = logging.getLogger(__name__)

SAVED_TOGETHER = 60
"""So many folded calls are saved while others are folded; fewer cost more statements."""

OVERUSED_EVERY_S = 3_600.0
"""At most one log line in this time about calls whose keys look like reused ones."""


@dataclass(slots=True)
class StoredBatch:
    outcomes: list[EventOutcome]
    changes: list[CallChange] = field(default_factory=list)
    agents: list[AgentChange] = field(default_factory=list)


class PartlyStored(IngestUnavailable):
    """What is in `stored` is committed, the rest is unknown: the callers submit it again."""

    def __init__(self, stored: StoredBatch) -> None:
        super().__init__("the database took a part of the batch")
        self.stored = stored


class EventStore:
    def __init__(self, pool: Pool, *, settings: IngestSettings, metrics: IngestMetrics) -> None:
        self._pool = pool
        self._settings = settings
        self._metrics = metrics
        self._cache = CallCache(settings.cached_events)
        self._transaction_lock = asyncio.Lock()
        self._reject_lock = asyncio.Lock()
        self._tell_after = 0.0

    async def store(self, events: Sequence[CallEvent]) -> StoredBatch:
        """Store a batch; what is returned is committed. Raises IngestUnavailable: submit again."""
        began = time.perf_counter_ns()
        try:
            stored = await self._persist(events)
        except PartlyStored as error:
            self._count(error.stored)
            raise
        self._count(stored)
        self._metrics.batch_us += (time.perf_counter_ns() - began) // 1000
        return stored

    async def reject(self, source: str, refusals: Sequence[RejectedInput]) -> None:
        """Save input that no event could be made of; a flood of it occupies one connection only."""
        try:
            async with asyncio.timeout(self._settings.database_timeout_s):
                async with self._reject_lock, self._pool.acquire() as conn:
                    await rejects.save(conn, source, refusals)
        except AWAY_ERRORS as error:
            raise IngestUnavailable("the database did not save the rejected input") from error
        self._metrics.received += len(refusals)
        self._metrics.rejected += len(refusals)

    async def _persist(self, events: Sequence[CallEvent]) -> StoredBatch:
        """Try again while the database is away; bisect the batch when an event is at fault."""
        for attempt in range(self._settings.attempts):
            if attempt:
                self._metrics.retries += 1
                await asyncio.sleep(self._settings.retry_s * 2**attempt)
            try:
                async with asyncio.timeout(self._settings.database_timeout_s):
                    return await self._transaction(events, again=attempt > 0)
            except AWAY_ERRORS as error:
                log.warning("batch failed: events=%d attempt=%d error=%r",
                            len(events), attempt + 1, error)  # fmt: skip
            except Exception as error:  # noqa: BLE001 (any other error is this batch's fault)
                fault = error
                break
        else:
            raise IngestUnavailable(f"the database did not answer {self._settings.attempts} times")
        return await self._bisect(events, fault)

    async def _transaction(self, events: Sequence[CallEvent], *, again: bool) -> StoredBatch:
        """Store the batch; after any error the cached calls may be wrong, and are dropped."""
        async with self._transaction_lock, self._pool.acquire() as conn:
            try:
                async with conn.transaction():
                    turns = await queries.lock_sources(
                        conn, Counter(event.source for event in events)
                    )
                    self._cache.validate(turns)
                    stored = await self._write(conn, events, turns, again=again)
            except BaseException:
                self._cache.clear()
                raise
            self._cache.confirm(turns)
            return stored

    async def _write(
        self,
        conn: Conn,
        events: Sequence[CallEvent],
        turns: Mapping[str, SourceTurn],
        *,
        again: bool,
    ) -> StoredBatch:
        outcomes = await _deduplicate(conn, events)
        places = [at for at, outcome in enumerate(outcomes) if outcome == "accepted"]
        new, payloads = native_payload.split_payloads([events[at] for at in places])
        _number(new, turns)
        changes: list[CallChange] = []
        if new:
            changes, overused = await self._store_calls(conn, new, payloads)
            for place in overused:
                outcomes[places[place]] = "overused"
        agents = await agent_pauses.refold(conn, new)
        if again:
            changes += await _current_changes(conn, events, {change.after.id for change in changes})
            agents += await agent_pauses.current_changes(conn, events)
        return StoredBatch(outcomes, changes, agents)

    async def _store_calls(
        self, conn: Conn, new: list[CallEvent], payloads: list[EventPayload]
    ) -> tuple[list[CallChange], list[int]]:
        """Store events; return the changed calls, and which events are of overused ones."""
        settings, cache = self._settings, self._cache
        assigned = await identity.assign(conn, new, cache)
        self._metrics.merged += len(assigned.merged)
        touched = await sessions.load_touched(
            conn, new, assigned, cache, max_call_events=settings.max_call_events
        )
        rows = zip(new, assigned.calls, strict=True)
        folded, unsaved = FoldedCalls(), FoldedCalls()
        storing = asyncio.create_task(_insert(conn, rows, payloads), name="ingest.insert")
        try:
            await asyncio.sleep(0)  # now it is sent: PostgreSQL stores while we fold
            folding = sessions.refold(touched, cache, settings=settings, metrics=self._metrics)
            async with aclosing(folding):
                async for part in folding:
                    folded.add(part)
                    unsaved.add(part)
                    if storing.done() and len(unsaved.rewritten) >= SAVED_TOGETHER:
                        await storing
                        saving = sessions.save(conn, unsaved)
                        storing = asyncio.create_task(saving, name="ingest.save")
                        unsaved = FoldedCalls()
                    await asyncio.sleep(0)  # let other tasks run, and the answers come in
        finally:
            await storing
        await sessions.save(conn, unsaved)
        overused = [at for at, call in enumerate(assigned.calls) if call in folded.overused]
        if overused:
            self._tell_overused(new[overused[0]])
        return folded.changes, overused

    def _tell_overused(self, event: CallEvent) -> None:
        """Log it, at most once an hour."""
        if time.monotonic() < self._tell_after:
            return
        self._tell_after = time.monotonic() + OVERUSED_EVERY_S
        log.warning("a call has too many events, or over too long a time; is its key used for "
                    "several calls? source=%s call_key=%s leg_key=%s",
                    event.source, event.call_key, event.leg_key)  # fmt: skip

    async def _bisect(self, events: Sequence[CallEvent], error: Exception) -> StoredBatch:
        """Store both halves separately, until the faulty event is alone."""
        if len(events) == 1:
            if events[0].native is not None:  # without its message, the event may be stored
                return await self._persist([replace(events[0], native=None)])
            return StoredBatch([await self._reject_event(events[0], error)])
        self._metrics.bisections += 1
        middle = len(events) // 2
        first = await self._persist(events[:middle])
        try:
            second = await self._persist(events[middle:])
        except PartlyStored as further:
            raise PartlyStored(_combined(first, further.stored)) from further
        except (IngestUnavailable, *AWAY_ERRORS) as away:
            raise PartlyStored(first) from away
        return _combined(first, second)

    async def _reject_event(self, event: CallEvent, error: Exception) -> Rejection:
        code = "event.unstorable" if isinstance(error, asyncpg.DataError) else "event.failed"
        log.error("event rejected: event=%s source=%s code=%s", event.event_id, event.source, code,
                  exc_info=error)  # fmt: skip
        message = type(error).__name__
        async with self._pool.acquire() as conn:
            await rejects.save(conn, event.source, [RejectedInput(code, str(error), event)])
        return Rejection(code, message)

    def _count(self, stored: StoredBatch) -> None:
        metrics = self._metrics
        metrics.batches += 1
        metrics.changed += len(stored.changes)
        overused = stored.outcomes.count("overused")
        accepted = stored.outcomes.count("accepted") + overused
        duplicates = stored.outcomes.count("duplicate")
        metrics.overused += overused
        metrics.accepted += accepted
        metrics.duplicates += duplicates
        metrics.rejected += len(stored.outcomes) - accepted - duplicates


def _number(new: Iterable[CallEvent], turns: Mapping[str, SourceTurn]) -> None:
    """Give the new events of each PBX their numbers, in the order of the batch."""
    by_source: dict[str, list[CallEvent]] = defaultdict(list)
    for event in new:
        by_source[event.source].append(event)
    for source, theirs in by_source.items():
        number(theirs, turns[source].first)


async def _insert(
    conn: Conn, rows: Iterable[tuple[CallEvent, UUID | None]], payloads: list[EventPayload]
) -> None:
    await queries.insert(conn, rows)
    if payloads:
        await queries.insert_payloads(conn, payloads)


def _combined(first: StoredBatch, second: StoredBatch) -> StoredBatch:
    return StoredBatch(
        first.outcomes + second.outcomes,
        first.changes + second.changes,
        first.agents + second.agents,
    )


async def _deduplicate(conn: Conn, events: Sequence[CallEvent]) -> list[EventOutcome]:
    """Record the events' ids, and return which are new; of equal ones in a batch, the first."""
    by_source: dict[str, list[int]] = defaultdict(list)
    for index, event in enumerate(events):
        by_source[event.source].append(index)
    outcomes: list[EventOutcome] = ["accepted"] * len(events)
    for source, theirs in sorted(by_source.items()):
        fresh = await queries.add_keys(conn, source, [events[one].event_id for one in theirs])
        if fresh is None:
            continue
        for one in theirs:
            if events[one].event_id in fresh:
                fresh.discard(events[one].event_id)
            else:
                outcomes[one] = "duplicate"
    return outcomes


async def _current_changes(
    conn: Conn, events: Sequence[CallEvent], announced: set[UUID]
) -> list[CallChange]:
    """Return the calls of a batch in their stored state, as repeated changes.

    When a connection is lost in COMMIT, it is not known whether the first attempt was stored. If it
    was, the second attempt finds only duplicates and would announce nothing. So it announces all
    calls of the batch again; clients may know some of them already.
    """
    known = await aliases.find(conn, [key for event in events for key in identity.keys_of(event)])
    calls = sorted(set(known.values()) - announced)
    states = await sessions.load_calls(conn, calls)
    return [CallChange(None, state, repeated=True) for state in states.values()]
