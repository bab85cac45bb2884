"""A table of jobs, workers on it, and connections that end when a test says so."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from gateway import db
from gateway.bus import Announcement
from gateway.db import Conn, Pool
from gateway.jobs import (
    Doorbell,
    Job,
    JobKind,
    NewJob,
    Outcome,
    Queue,
    Worker,
    enqueue,
)
from gateway.jobs.queries import claims
from gateway.jobs.queries.claims import Claimed

QUEUE = "tests"
KIND = "tests.run"
Run = Callable[[Job], Awaitable[Outcome | None]]


@dataclass
class Jobs:
    """The jobs of one database."""

    pool: Pool
    rung: list[Announcement] = field(default_factory=list)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Conn]:
        async with self.pool.acquire() as conn:
            yield conn

    async def order(self, *jobs: NewJob) -> float | None:
        async with self.connect() as conn:
            return await enqueue(conn, jobs)

    def worker(self, run: Run, **options: Any) -> Worker:
        """Return a worker for jobs of KIND that looks at once whenever it is told to."""
        options.setdefault("queues", [Queue(QUEUE, 1.0)])
        options.setdefault("kinds", [JobKind(KIND, QUEUE, run)])
        options.setdefault("doorbell", Doorbell(self.rung.extend))
        return Worker(options.pop("connect", self.connect), **options)

    async def claim(self, *, room: int = 1, lease_s: float = 60.0) -> list[Job]:
        """Claim as a worker does."""
        return (await self.look(room=room, lease_s=lease_s)).jobs

    async def look(self, *, room: int = 1, lease_s: float = 60.0, kind: str = KIND) -> Claimed:
        async with self.connect() as conn:
            return await claims.claim(
                conn, {QUEUE: room}, kinds=[kind], schedules=[], lease_s=lease_s
            )

    async def rows(self, table: str = "jobs") -> list[asyncpg.Record]:
        return await self.sql(f"SELECT * FROM realtime.{table} ORDER BY id")

    async def empty(self) -> bool:
        return not await self.rows()

    async def rows_of_schedules(self) -> list[asyncpg.Record]:
        return await self.sql("SELECT *, now() AS at FROM realtime.schedules ORDER BY name")

    async def sql(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self.pool.acquire() as conn:
            return await conn.fetch(statement, *arguments)


@asynccontextmanager
async def open_jobs(dsn: str) -> AsyncIterator[Jobs]:
    """Connect to a database."""
    pool = await db.open_pool(dsn, application_name="jobs", max_size=20)
    try:
        yield Jobs(pool)
    finally:
        pool.terminate()


def new(key: str | None = None, **changes: Any) -> NewJob:
    """Return an order of a job of KIND."""
    return NewJob(**{"kind": KIND, "queue": QUEUE, "key": key, **changes})


class Watched:
    """A connection that calls back before and after each statement, by its name."""

    def __init__(self, conn: Any, hook: Callable[[str, str], Awaitable[None]]) -> None:
        self._conn = conn
        self._hook = hook

    async def _call(self, how: str, statement: str, *arguments: Any) -> Any:
        name = statement.split("-- ", 1)[1].split("\n", 1)[0]
        await self._hook(name, "before")
        found = await getattr(self._conn, how)(statement, *arguments)
        await self._hook(name, "after")
        return found

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        transaction = self._conn.transaction()
        await transaction.start()
        try:
            yield
        except BaseException:
            await transaction.rollback()
            raise
        await self._hook("commit", "before")
        await transaction.commit()
        await self._hook("commit", "after")

    async def fetch(self, statement: str, *arguments: Any) -> Any:
        return await self._call("fetch", statement, *arguments)

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        return await self._call("fetchval", statement, *arguments)

    async def execute(self, statement: str, *arguments: Any) -> Any:
        return await self._call("execute", statement, *arguments)


def dying_at(jobs: Jobs, name: str, moment: str) -> Callable[[], Any]:
    """Return a `connect` whose process is killed at this statement."""

    async def hook(statement: str, when: str) -> None:
        if (statement, when) == (name, moment):
            os.kill(os.getpid(), signal.SIGKILL)

    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        async with jobs.connect() as conn:
            yield Watched(conn, hook)

    return connect


def cut_at(jobs: Jobs, name: str, moment: str) -> Callable[[], Any]:
    """Return a `connect` whose connection the server ends once, at this statement."""
    cut = False

    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        async with jobs.pool.acquire() as conn:

            async def hook(statement: str, when: str) -> None:
                nonlocal cut
                if (statement, when) == (name, moment) and not cut:
                    cut = True
                    pid = conn.get_server_pid()
                    await jobs.sql("SELECT pg_terminate_backend($1, 5000)", pid)
                    await conn.execute("SELECT 1")  # raises what an ended connection raises

            yield Watched(conn, hook)

    return connect
