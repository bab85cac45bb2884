"""Live connections to PBXs: one lease, one connection, one stream of events each.

    main = PbxConnection("main", lambda: AmiLink(…))
    async with Connectors(pool, pipeline, [main], holder=node):
        ...

lease ─▶ PbxLink ─▶ EventBuffer (bounded) ─▶ pipeline. While the buffer is full the socket is not
read, so a flood waits in the PBX and not in our memory. After every connection a snapshot is
requested, and the time without a connection is saved as a gap.
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
    """Where received events go: the pipeline."""

    @property
    def metrics(self) -> IngestMetrics: ...

    async def submit(self, events: Sequence[CallEvent]) -> Receipt: ...


@dataclass(frozen=True, slots=True)
class PbxConnection:
    """A PBX to connect to."""

    source: str
    link: Callable[[], PbxLink]
    """Creates a new link for each attempt."""
    timing: LinkTiming = field(default_factory=LinkTiming)
    max_buffered_events: int = MAX_EVENTS
    """Events that may wait to be stored; above this, the PBX is not read."""


class Connectors:
    """An async context manager: stays connected to all PBXs while it is open."""

    def __init__(
        self, pool: Pool, sink: EventSink, connections: Collection[PbxConnection], *, holder: str
    ) -> None:
        self._connectors = [Connector(pool, sink, one, holder) for one in connections]
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
        """Disconnect and release all leases; another node may connect at once."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_S)


class Connector:
    """Stays connected to one PBX while this node holds its lease."""

    def __init__(self, pool: Pool, sink: EventSink, connection: PbxConnection, holder: str) -> None:
        self.source = connection.source
        self._connection = connection
        self._timing = connection.timing
        self._pool = pool
        self._sink = sink
        self._lease = ConnectorLease(pool, self.source, holder, self._timing.lease_s)
        self._failures = 0
        sink.metrics.connected[self.source] = False

    async def run(self) -> None:
        """Connect again after every failure, with growing pauses."""
        while True:
            try:
                delay_s = await self._attempt()
            except Exception:
                log.exception("pbx connector failed: pbx=%s", self.source)
                delay_s = self._timing.back_off_max_s
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311

    async def _attempt(self) -> float:
        """Connect and receive until it ends; return the pause before the next attempt."""
        try:
            acquired = await self._lease.acquire()
        except Exception as error:  # noqa: BLE001 (the database is away)
            log.warning("pbx lease not acquired: pbx=%s error=%r", self.source, error)
            return self._back_off()
        if acquired is None:  # another node holds it, or died less than a lease ago
            return self._timing.lease_s / 3
        try:
            await self._run_link()
        except ConnectionLost as lost:
            delay_s = self._back_off()
            log.warning("pbx connection lost: pbx=%s retry_s=%.1f reason=%s",
                        self.source, delay_s, lost)  # fmt: skip
            return delay_s
        except SignInRefused as refused:
            log.error("pbx refused the sign-in: pbx=%s reason=%s",  # noqa: TRY400
                      self.source, refused)  # fmt: skip
            return self._timing.refused_s
        except LeaseLost as lost:
            log.warning("pbx lease lost: pbx=%s reason=%s", self.source, lost)
            return self._timing.lease_s / 3
        finally:
            self._sink.metrics.connected[self.source] = False
            await self._lease.release()
        raise AssertionError("a link ends with an error")

    def _back_off(self) -> float:
        """Return the next pause: doubled with each failure, reset by a connection that held."""
        delay_s = self._timing.back_off_s * 2.0 ** min(self._failures, 20)
        self._failures += 1
        return min(self._timing.back_off_max_s, delay_s)

    async def _run_link(self) -> None:
        """Receive until the link or the lease ends; raises the reason."""
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
        log.info("pbx connected: pbx=%s", self.source)
        self._sink.metrics.connected[self.source] = True
        since, before = self._lease.stored_until, await self._load_state(())
        buffer = EventBuffer(self._connection.max_buffered_events)
        await link.request_snapshot()
        await _run_until_first(self._store_received(buffer, before, since), _receive(link, buffer))

    async def _store_received(
        self, buffer: EventBuffer, before: StoredPbxState, since: datetime | None
    ) -> None:
        """Store what is received, in its order, until the connection ends.

        When no snapshot arrives within `snapshot_s`, only the gap is saved.
        """
        caught_up, snapshot_until = False, _now() + self._timing.snapshot_s
        while True:
            read_at, received = await buffer.get()
            if not isinstance(received, PbxSnapshot):
                await self._store(received)
            if isinstance(received, PbxSnapshot) or not (caught_up or _now() < snapshot_until):
                snapshot = (
                    received if isinstance(received, PbxSnapshot) else PbxSnapshot(taken_at=read_at)
                )
                await self._catch_up(snapshot, before, since)
                caught_up = True
            if caught_up:  # not before: the gap would be lost
                self._lease.stored_until = read_at

    async def _store(self, events: Sequence[CallEvent]) -> None:
        """Submit events, however long it takes, while this node holds the lease."""
        for first in range(0, len(events), SUBMISSION_EVENTS):
            some = events[first : first + SUBMISSION_EVENTS]
            await self._retry(partial(self._sink.submit, some))

    async def _catch_up(
        self, snapshot: PbxSnapshot, before: StoredPbxState, since: datetime | None
    ) -> None:
        """Store the events that were missed, and the gap in which calls may be incomplete."""
        legs = {fact.leg_key for fact in snapshot.facts if fact.leg_key}
        legs |= {leg for leg, _ in (*(snapshot.waiting or ()), *before.waiting)}
        now = await self._load_state(legs)
        missed = await asyncio.to_thread(
            catch_up, snapshot, source=self.source, before=before, now=now, since=since
        )
        await self._store(missed)
        if since is not None:
            await self._retry(lambda: self._note_gap(since, snapshot.taken_at))
        log.info("pbx caught up: pbx=%s since=%s events=%d", self.source, since, len(missed))

    async def _load_state(self, legs: Collection[str]) -> StoredPbxState:
        """Read what the database holds of this PBX, and of these legs."""

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
        """Try until it succeeds or the lease is lost: a PBX does not send its events again."""
        while True:
            self._lease.check()
            try:
                return await work()
            except (Busy, IngestUnavailable) as later:
                await asyncio.sleep(later.retry_after)
            except AWAY_ERRORS as error:
                log.warning("database away, pbx waits: pbx=%s error=%r", self.source, error)
                await asyncio.sleep(IngestUnavailable.retry_after)


async def _receive(link: PbxLink, buffer: EventBuffer) -> None:
    """Receive until the connection is lost; what arrived before is still stored."""
    while True:
        try:
            received = await link.receive()
        except ConnectionLost as lost:
            await buffer.close(lost)
            await asyncio.Event().wait()  # _store_received ends both once the buffer is empty
        else:
            await buffer.put(datetime.now(UTC), received or [[]])


async def _run_until_first(*works: Coroutine[Any, Any, None]) -> None:
    """Run them together; the first to end cancels the others, and its error is raised."""
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
