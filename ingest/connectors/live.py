"""Live connections to PBXs: one lease, one connection, one stream of events each.

    async with Connectors(pool, pipeline, [Connection("main", lambda: AmiLink(…))], holder=node):
        ...

lease ─▶ Link ─▶ inbox (bounded) ─▶ pipeline. When the inbox is full the socket is not read, so a
flood waits in the PBX and not in our memory. After every connection the PBX is asked how things
are, and what went by unheard is noted as a gap.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from ingest.conn import AWAY_ERRORS, Pool
from ingest.connectors.event_buffer import MAX_EVENTS, SUBMISSION_EVENTS, EventBuffer
from ingest.connectors.lease import DATABASE_S, ConnectorLease, LeaseLost
from ingest.connectors.link import ConnectionLost, LinkTiming, PbxLink, SignInRefused
from ingest.metrics import IngestMetrics
from ingest.model.events import CallEvent
from ingest.model.receipt import Receipt
from ingest.model.snapshot import PbxSnapshot, StoredPbxState, catch_up
from ingest.queries import agent_pauses
from ingest.queries import connectors as queries
from ingest.storing.batcher import Busy, IngestUnavailable

log = logging.getLogger(__name__)

STOP_S = 6.0

T = TypeVar("T")


class EventSink(Protocol):
    """What takes the events: the pipeline."""

    @property
    def metrics(self) -> IngestMetrics: ...

    async def submit(self, events: Sequence[CallEvent]) -> Receipt: ...


@dataclass(frozen=True, slots=True)
class PbxConnection:
    """A PBX to be connected to."""

    source: str
    link: Callable[[], PbxLink]
    """Makes a fresh link for each attempt."""
    timing: LinkTiming = field(default_factory=LinkTiming)
    max_buffered_events: int = MAX_EVENTS
    """That may wait to be stored; beyond it the PBX is not read."""


class Connectors:
    """An async context manager that stays connected to all of them, as long as it is open."""

    def __init__(
        self, pool: Pool, into: EventSink, connections: Collection[PbxConnection], *, holder: str
    ) -> None:
        self._connectors = [Connector(pool, into, one, holder) for one in connections]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(connector.run(), name=f"pbx.{connector.source}")
            for connector in self._connectors
        ]
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of all; another node may listen at once."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_S)


class Connector:
    """Stays connected to one PBX, while this node has its lease."""

    def __init__(self, pool: Pool, into: EventSink, connection: PbxConnection, holder: str) -> None:
        self.source = connection.source
        self._connection = connection
        self._timing = connection.timing
        self._pool = pool
        self._sink = into
        self._lease = ConnectorLease(pool, self.source, holder, self._timing.lease_s)
        self._failures = 0
        into.metrics.connected[self.source] = False

    async def run(self) -> None:
        """Never give up: whatever fails is tried again, later and later."""
        while True:
            try:
                delay_s = await self._attempt()
            except Exception:
                log.exception("pbx=%s connector failed", self.source)
                delay_s = self._timing.back_off_max_s
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311

    async def _attempt(self) -> float:
        """Listen for as long as it goes; return how long to wait before the next attempt."""
        try:
            taken = await self._lease.acquire()
        except Exception as error:  # noqa: BLE001 (the database is away)
            log.warning("pbx=%s no lease: %r", self.source, error)
            return self._back_off()
        if taken is None:  # its holder is well, or gone for less than the lease
            return self._timing.lease_s / 3
        try:
            await self._run_link()
        except ConnectionLost as lost:
            delay_s = self._back_off()
            log.warning("pbx=%s lost: %s; again in %.1f s", self.source, lost, delay_s)
            return delay_s
        except SignInRefused as refused:
            log.error("pbx=%s refused us: %s", self.source, refused)  # noqa: TRY400
            return self._timing.refused_s
        except LeaseLost as lost:
            log.warning("pbx=%s is another node's now: %s", self.source, lost)
            return self._timing.lease_s / 3
        finally:
            self._sink.metrics.connected[self.source] = False
            await self._lease.release()
        raise AssertionError("listening ends with a reason")

    def _back_off(self) -> float:
        """Double from failure to failure; a connection that held starts from the beginning."""
        delay_s = self._timing.back_off_s * 2.0 ** min(self._failures, 20)
        self._failures += 1
        return min(self._timing.back_off_max_s, delay_s)

    async def _run_link(self) -> None:
        """Listen until something ends it, and say what."""
        link = self._connection.link()
        began_s = _now()
        try:
            await _run_until_first(self._listen(link), self._lease.keep_renewing())
        finally:
            if _now() - began_s > self._timing.back_off_max_s:
                self._failures = 0
            await link.close()

    async def _listen(self, link: PbxLink) -> None:
        await link.open()
        log.info("pbx=%s connected", self.source)
        self._sink.metrics.connected[self.source] = True
        since, before = self._lease.stored_until, await self._load_state(())
        inbox = EventBuffer(self._connection.max_buffered_events)
        await link.request_snapshot()
        await _run_until_first(self._store_received(inbox, before, since), _receive(link, inbox))

    async def _store_received(
        self, inbox: EventBuffer, before: StoredPbxState, since: datetime | None
    ) -> None:
        """Store what comes, in its order, until the connection's end.

        Of a PBX that does not say how things are, though it was asked, only the gap is known.
        """
        caught_up, patient_until = False, _now() + self._timing.snapshot_s
        while True:
            read_at, heard = await inbox.get()
            if not isinstance(heard, PbxSnapshot):
                await self._store(heard)
            if isinstance(heard, PbxSnapshot) or not (caught_up or _now() < patient_until):
                told = heard if isinstance(heard, PbxSnapshot) else PbxSnapshot(taken_at=read_at)
                await self._catch_up(told, before, since)
                caught_up = True
            if caught_up:  # not before: the gap would be forgotten
                self._lease.stored_until = read_at

    async def _store(self, events: Sequence[CallEvent]) -> None:
        """Hand events in, for as long as it takes and the lease is ours."""
        for first in range(0, len(events), SUBMISSION_EVENTS):
            some = events[first : first + SUBMISSION_EVENTS]
            await self._retry(partial(self._sink.submit, some))

    async def _catch_up(
        self, snapshot: PbxSnapshot, before: StoredPbxState, since: datetime | None
    ) -> None:
        """Make good what was missed, and say since when calls may be incomplete."""
        legs = {fact.leg_key for fact in snapshot.facts if fact.leg_key}
        legs |= {leg for leg, _ in (*(snapshot.waiting or ()), *before.waiting)}
        now = await self._load_state(legs)
        missed = catch_up(snapshot, source=self.source, before=before, now=now, since=since)
        await self._store(missed)
        if since is not None:
            await self._retry(lambda: self._note_gap(since, snapshot.taken_at))
        log.info("pbx=%s caught up: since=%s events=%d", self.source, since, len(missed))

    async def _load_state(self, legs: Collection[str]) -> StoredPbxState:
        """Read what we hold of this PBX, and of these legs."""

        async def read() -> StoredPbxState:
            async with asyncio.timeout(DATABASE_S), self._pool.acquire() as conn:
                return StoredPbxState(
                    open_legs=await queries.open_legs(conn, self.source),
                    waiting=await queries.waiting(conn, self.source),
                    with_events=await queries.legs_with_events(conn, self.source, legs),
                    in_open_calls=await queries.legs_in_open_calls(conn, self.source, legs),
                    marks=await agent_pauses.of_source(conn, self.source),
                )

        return await self._retry(read)

    async def _note_gap(self, began_at: datetime, ended_at: datetime) -> None:
        async with asyncio.timeout(DATABASE_S), self._pool.acquire() as conn:
            await queries.note_gap(
                conn, self.source, began_at, ended_at=ended_at, reason="not connected"
            )

    async def _retry(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it for as long as it takes and the lease is ours: a PBX does not repeat itself."""
        while True:
            self._lease.check()
            try:
                return await work()
            except (Busy, IngestUnavailable) as later:
                await asyncio.sleep(later.retry_after)
            except AWAY_ERRORS as error:
                log.warning("pbx=%s database: %r", self.source, error)
                await asyncio.sleep(IngestUnavailable.retry_after)


async def _receive(link: PbxLink, inbox: EventBuffer) -> None:
    """Read until the connection is lost; what came before is stored all the same."""
    while True:
        try:
            heard = await link.receive()
        except ConnectionLost as lost:
            await inbox.close(lost)
            await asyncio.Event().wait()  # the taker ends both, once it has taken everything
        else:
            await inbox.put(datetime.now(UTC), heard or [[]])


async def _run_until_first(*works: Coroutine[Any, Any, None]) -> None:
    """Run them together; the first that ends ends all, and its error is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _now() -> float:
    return asyncio.get_running_loop().time()
