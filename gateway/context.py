"""What a command uses: its caller, the database, and announcements after the COMMIT."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Container, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import asyncpg

from gateway import topics
from gateway.audit import Act, Origin
from gateway.auth import Identity
from gateway.bus import Announcement, announce
from gateway.db import AWAY_ERRORS, Conn, CrmViews, Pool
from gateway.errors import DatabaseUnavailable, Overloaded
from gateway.files import Files
from gateway.jobs import Doorbell, NewJob, enqueue
from gateway.limits import FairPlaces, LoadShedder, LoopShare, LoopTurns
from presence import PresenceStore

TYPING_NOTICE_S = 2.0
"""A person's typing in one conversation is announced at most once in this time."""

Publish = Callable[[Collection[Announcement]], None]

OF_JOB = Origin("job")

ACQUIRE_S = 2.0
"""A command waits this long for a database connection; then it is refused as overloaded."""


class MessageStore(Protocol):
    """Stores messages: gateway.chat.message_store, which is above this module."""

    @property
    def waiting(self) -> int: ...

    async def store(self, request: Any) -> Any: ...


class StatsCache(Protocol):
    """Keep expensive answers for a while: telephony/stats/stats_cache.py, which is above this."""

    async def get(
        self, key: str, count: Callable[[], Awaitable[bytes]], *, since: datetime, until: datetime
    ) -> bytes: ...

    async def invalidate_days(self, began: Iterable[datetime]) -> None: ...


class TypingNotices:
    """Recent typing notices by conversation and employee, in two generations of a dict."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._began = now()
        self._before: dict[tuple[int, int], float] = {}
        self._current: dict[tuple[int, int], float] = {}

    def announced_recently(self, conversation_id: int, employee_id: int) -> bool:
        """Return whether this was announced less than TYPING_NOTICE_S ago; if not, note it now."""
        key, now = (conversation_id, employee_id), self._now()
        if now - self._began >= TYPING_NOTICE_S:
            # What is dropped here is at least TYPING_NOTICE_S old.
            self._before, self._current, self._began = self._current, {}, now
        last = self._current.get(key, self._before.get(key))
        if last is not None and now - last < TYPING_NOTICE_S:
            return True
        self._current[key] = now
        return False


@dataclass(frozen=True, slots=True)
class Services:
    """Services that all commands of a worker share."""

    pool: Pool
    publish: Publish
    presence: PresenceStore
    message_store: MessageStore
    timeout_s: float = 5.0
    typing_notices: TypingNotices = field(default_factory=TypingNotices)
    files: Files = field(default_factory=Files)
    shedder: LoadShedder = field(default_factory=lambda: LoadShedder(10))
    loop_share: LoopShare = field(default_factory=LoopShare)
    """Of what takes milliseconds of this worker's loop for one person."""
    turns: LoopTurns = field(default_factory=LoopTurns)
    """Of this worker's loop, for what may wait: reads, and REST."""
    reading_places: FairPlaces = field(default_factory=lambda: FairPlaces(6))
    """Of the pool, for reads: the other connections are for what is sent meanwhile."""
    stats_cache: StatsCache | None = None
    regions: tuple[str, ...] = ("UA",)
    """Countries of national phone numbers that people type: ours, then those of the PBXs."""
    picture_origins: tuple[str, ...] = ()
    """Origins at which pictures of groups may be."""
    callback_news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when this node stored a call that was missed or answered."""
    doorbell: Doorbell = field(default_factory=Doorbell)
    """Rung after the COMMIT of jobs."""
    unkept_words: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a search of this node found employees whose search words are not kept."""
    crm_views: CrmViews = field(default_factory=CrmViews)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Conn]:
        """Lend a connection; DatabaseUnavailable or Overloaded when there is none."""
        try:
            with self.shedder.wait():
                conn = await self.pool.acquire(timeout=ACQUIRE_S)
        except TimeoutError:
            raise Overloaded("Every database connection of this node is busy.") from None
        except AWAY_ERRORS:
            raise DatabaseUnavailable from None
        with self.shedder.use():
            try:
                async with asyncio.timeout(self.timeout_s):
                    yield conn
            except AWAY_ERRORS as error:
                raise DatabaseUnavailable from error
            except asyncpg.SyntaxOrAccessError:
                self.crm_views.doubted.set()  # a view was dropped or changed a moment ago
                raise
            finally:
                # A failure here means that the connection has ended; it must not hide the cause.
                with contextlib.suppress(*AWAY_ERRORS):
                    await self.pool.release(conn, timeout=ACQUIRE_S)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Run a transaction; publish what it announced after the commit.

        So nobody receives an event of a row that they cannot read yet. The sweep heals a crash
        between the two. Two nodes may publish change 8 before 7: listeners order by change.
        """
        with self.turns.pressing():  # others may wait for the rows that it locks
            async with self.connection() as conn:
                tx = Transaction(conn)
                async with conn.transaction():
                    yield tx
                self._publish_done(tx)

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Transaction]:
        """Run ONE statement, a transaction of its own; publish what it announced.

        Without BEGIN and COMMIT a send takes one round trip instead of three.
        """
        with self.turns.pressing():
            async with self.connection() as conn:
                tx = Transaction(conn)
                yield tx
                self._publish_done(tx)

    def _publish_done(self, tx: Transaction) -> None:
        if tx.announcements:
            self.publish(tx.announcements)
        self.doorbell.ring(tx.due_s)

    def admit(self, cost: str) -> None:
        """Let a command of this cost in; Overloaded when too much waits for the database."""
        if retry_s := self.shedder.retry_after_s(cost):
            raise Overloaded("The database is slow at this moment.", retry_after=retry_s)


@dataclass(slots=True)
class Transaction:
    """One transaction, and the announcements to publish once it is committed."""

    conn: Conn
    announcements: list[Announcement] = field(default_factory=list)
    due_s: float | None = None
    """Seconds until the earliest of the jobs ordered here is due; None when there are none."""

    async def enqueue(self, *jobs: NewJob) -> None:
        """Order jobs; workers hear of them after the COMMIT, and not if there is none."""
        due_s = await enqueue(self.conn, jobs)
        if due_s is not None:
            self.due_s = due_s if self.due_s is None else min(self.due_s, due_s)

    def announce(self, topic: str, event: Any, *, change: int = 0, by: int = 0) -> None:
        """Publish an event on this topic after the COMMIT, and not if there is none."""
        self.announcements.append(announce(topic, event, change=change, by=by))

    def announce_change(self, event: Any) -> None:
        """Announce a numbered change to a conversation's participants."""
        self.announce(topics.conversation(event.conversation_id), event, change=event.change)


@dataclass(frozen=True, slots=True)
class Context:
    """One employee's command."""

    identity: Identity
    services: Services
    joined_topics: Container[str] = ()
    """Topics this employee's session has joined, membership checked; empty for REST."""
    origin: Origin = OF_JOB

    @property
    def user_id(self) -> int:
        return self.identity.user_id

    @property
    def presence(self) -> PresenceStore:
        return self.services.presence

    def act(
        self,
        act: str,
        *,
        conversation_id: int | None = None,
        seq: int | None = None,
        subject: str | None = None,
        **details: Any,
    ) -> Act:
        """Return an act of this employee for the audit: `noun.verb`, and its details."""
        if subject is None and conversation_id is not None:
            subject = f"conversation:{conversation_id}"
        return Act(
            act,
            self.origin.of_command(),
            actor_id=self.user_id,
            conversation_id=conversation_id,
            seq=seq,
            subject=subject,
            details=details,
        )

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Conn]:
        """Lend a connection for statements that need no transaction of their own."""
        async with self._place(), self.services.connection() as conn:
            yield conn

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Wait for a place among those who read, at most as long as for a connection.

        What is urgent needs none: a message that is sent again waits for nobody's pages.
        """
        places = self.services.reading_places
        if not self.services.turns.takes_turns():
            yield
            return
        try:
            async with asyncio.timeout(ACQUIRE_S):
                await places.take(self.user_id)
        except TimeoutError:
            raise Overloaded("Too many requests read at this moment.") from None
        try:
            yield
        finally:
            places.give_back()

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Run a transaction; publish what it announced after the commit."""
        return self.services.transaction()

    def statement(self) -> AbstractAsyncContextManager[Transaction]:
        """Run ONE statement, a transaction of its own; publish what it announced."""
        return self.services.statement()

    def publish(self, topic: str, event: Any, *, by: int = 0) -> None:
        """Publish an event that is not stored on this topic."""
        self.services.publish([announce(topic, event, by=by)])
