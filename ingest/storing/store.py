"""One batch, one transaction: tell the new from the known, COPY, fold, COMMIT.

batch ─▶ Store ─▶ queries, identity, known, sessions. PostgreSQL stores the new events while we fold
their calls, and calls that we stored last are not read back. What a thousand events cost, and why
not less: docs/decisions/0013-ingest.md.

A data error (a NUL that slipped in, a date out of range) is cornered by halving the batch, so that
all others are stored; the culprit is kept in ingest_rejects.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import asyncpg

from ingest.conn import AWAY_ERRORS, Conn, Pool
from ingest.metrics import IngestMetrics
from ingest.model import native_payload
from ingest.model.call_state import CallChange
from ingest.model.events import CallEvent
from ingest.model.native_payload import Payload
from ingest.queries import aliases
from ingest.queries import events as queries
from ingest.settings import IngestSettings
from ingest.storing import agent_pauses, identity, rejects, sessions
from ingest.storing.agent_pauses import AgentChange
from ingest.storing.batcher import EventOutcome, IngestUnavailable, Rejection
from ingest.storing.call_cache import CallCache
from ingest.storing.rejects import RejectedInput

log = logging.getLogger(__name__)


@dataclass(slots=True)
class StoredBatch:
    outcomes: list[EventOutcome]
    changes: list[CallChange] = field(default_factory=list)
    agents: list[AgentChange] = field(default_factory=list)


class PartlyStored(IngestUnavailable):
    """What is `stored` is committed; the rest is unknown. To whoever sent it: send it again."""

    def __init__(self, stored: StoredBatch) -> None:
        super().__init__("the database took a part of the batch")
        self.stored = stored


class EventStore:
    def __init__(self, pool: Pool, *, settings: IngestSettings, metrics: IngestMetrics) -> None:
        self._pool = pool
        self._settings = settings
        self._metrics = metrics
        self._cache = CallCache(settings.remembered_events)
        self._transaction_lock = asyncio.Lock()
        self._reject_lock = asyncio.Lock()

    async def store(self, events: Sequence[CallEvent]) -> StoredBatch:
        """Store a batch. What it returns is committed; Unavailable means: unknown, send again."""
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
        """Keep what no event could be made of; a flood of it takes one connection, and no more."""
        try:
            async with asyncio.timeout(self._settings.database_timeout_s):
                async with self._reject_lock, self._pool.acquire() as conn:
                    await rejects.save(conn, source, refusals)
        except AWAY_ERRORS as error:
            raise IngestUnavailable("the database did not keep what was refused") from error
        self._metrics.received += len(refusals)
        self._metrics.rejected += len(refusals)

    async def _persist(self, events: Sequence[CallEvent]) -> StoredBatch:
        """Try again while the database is away; halve the batch when an event is at fault."""
        for attempt in range(self._settings.attempts):
            if attempt:
                self._metrics.retries += 1
                await asyncio.sleep(self._settings.retry_s * 2**attempt)
            try:
                async with asyncio.timeout(self._settings.database_timeout_s):
                    return await self._transaction(events, again=attempt > 0)
            except AWAY_ERRORS as error:
                log.warning("batch events=%d attempt=%d %r", len(events), attempt + 1, error)
            except Exception as error:  # noqa: BLE001 (whatever it is, it is this batch's fault)
                fault = error
                break
        else:
            raise IngestUnavailable(f"the database did not answer {self._settings.attempts} times")
        return await self._bisect(events, fault)

    async def _transaction(self, events: Sequence[CallEvent], *, again: bool) -> StoredBatch:
        """Store the batch; whatever goes wrong, what is known of its calls is no longer sure."""
        async with self._transaction_lock, self._pool.acquire() as conn:
            try:
                async with conn.transaction():
                    turns = await queries.lock_sources(conn, {event.source for event in events})
                    self._cache.validate(turns)
                    stored = await self._write(conn, events, again=again)
            except BaseException:
                self._cache.clear()
                raise
            self._cache.confirm(turns)
            return stored

    async def _write(self, conn: Conn, events: Sequence[CallEvent], *, again: bool) -> StoredBatch:
        fates = await _deduplicate(conn, events)
        new = [event for event, fate in zip(events, fates, strict=True) if fate == "accepted"]
        new, said = native_payload.split_payloads(new)
        changes = await self._store_calls(conn, new, said) if new else []
        agents = await agent_pauses.refold(conn, new)
        if again:
            changes += await _current_changes(conn, events, {change.after.id for change in changes})
            agents += await agent_pauses.current_changes(conn, events)
        return StoredBatch(fates, changes, agents)

    async def _store_calls(
        self, conn: Conn, new: list[CallEvent], said: list[Payload]
    ) -> list[CallChange]:
        limit, known = self._settings.max_call_events, self._cache
        assigned = await identity.assign(conn, new, known)
        self._metrics.merged += len(assigned.merged)
        touched = await sessions.load_touched(conn, new, assigned, known, max_call_events=limit)
        rows = zip(new, assigned.calls, strict=True)
        storing = asyncio.create_task(_insert(conn, rows, said), name="ingest.insert")
        try:
            await asyncio.sleep(0)  # it is sent: PostgreSQL stores while we fold
            folded = await sessions.refold_touched(
                touched, known, max_call_events=limit, metrics=self._metrics
            )
        finally:
            await storing
        await sessions.save(conn, folded)
        return folded.changes

    async def _bisect(self, events: Sequence[CallEvent], error: Exception) -> StoredBatch:
        """Store both halves by themselves, until the culprit stands alone."""
        if len(events) == 1:
            if events[0].native is not None:  # whatever the PBX said, the event is kept
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
        log.error("event=%s source=%s %s", event.event_id, event.source, code, exc_info=error)
        message = type(error).__name__
        async with self._pool.acquire() as conn:
            await rejects.save(conn, event.source, [RejectedInput(code, str(error), event)])
        return Rejection(code, message)

    def _count(self, stored: StoredBatch) -> None:
        metrics = self._metrics
        metrics.batches += 1
        metrics.changed += len(stored.changes)
        accepted, duplicates = stored.outcomes.count("accepted"), stored.outcomes.count("duplicate")
        metrics.accepted += accepted
        metrics.duplicates += duplicates
        metrics.rejected += len(stored.outcomes) - accepted - duplicates


async def _insert(
    conn: Conn, rows: Iterable[tuple[CallEvent, UUID | None]], said: list[Payload]
) -> None:
    await queries.insert(conn, rows)
    if said:
        await queries.insert_payloads(conn, said)


def _combined(first: StoredBatch, second: StoredBatch) -> StoredBatch:
    return StoredBatch(
        first.outcomes + second.outcomes,
        first.changes + second.changes,
        first.agents + second.agents,
    )


async def _deduplicate(conn: Conn, events: Sequence[CallEvent]) -> list[EventOutcome]:
    """Remember the events, and say which are new; of two equal ones in a batch the first is."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, event in enumerate(events):
        places[event.source].append(place)
    fates: list[EventOutcome] = ["accepted"] * len(events)
    for source, theirs in sorted(places.items()):
        fresh = await queries.add_keys(conn, source, [events[one].event_id for one in theirs])
        if fresh is None:
            continue
        for one in theirs:
            if events[one].event_id in fresh:
                fresh.discard(events[one].event_id)
            else:
                fates[one] = "duplicate"
    return fates


async def _current_changes(
    conn: Conn, events: Sequence[CallEvent], announced: set[UUID]
) -> list[CallChange]:
    """Return the calls of a batch as they are.

    After a connection was lost in COMMIT nobody knows whether the first attempt was stored. If it
    was, the second finds only repeats and would announce nothing: so it tells what there is, as
    told again: some of these calls may be known since long.
    """
    known = await aliases.find(conn, [key for event in events for key in identity.keys_of(event)])
    calls = sorted(set(known.values()) - announced)
    states = await sessions.load_calls(conn, calls)
    return [CallChange(None, state, repeated=True) for state in states.values()]
