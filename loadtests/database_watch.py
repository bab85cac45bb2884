"""Samples, ten times a second, how many PostgreSQL connections the gateway uses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from loadtests.process_cost import MeasuredProcess
from loadtests.queries import activity

EVERY_S = 0.1


@dataclass(slots=True)
class DatabaseConnections:
    """Highest number in any sample."""

    open: int = 0
    busy: int = 0
    samples: int = 0


@asynccontextmanager
async def database_watched(database_url: str) -> AsyncIterator[DatabaseConnections]:
    """Look until the context ends."""
    found = DatabaseConnections()
    conn = await asyncpg.connect(database_url)
    watching = asyncio.create_task(_watch(conn, found), name="database_watch")
    try:
        yield found
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        await conn.close()


async def database_processes(database_url: str) -> list[MeasuredProcess]:
    """Return PostgreSQL's processes that work for the gateway just now: one for each connection."""
    conn = await asyncpg.connect(database_url)
    try:
        return [MeasuredProcess(pid) for pid in await activity.gateway_backends(conn)]
    finally:
        await conn.close()


async def _watch(conn: asyncpg.Connection[asyncpg.Record], found: DatabaseConnections) -> None:
    while True:
        opened, busy = await activity.gateway_connections(conn)
        found.open, found.busy = max(found.open, opened), max(found.busy, busy)
        found.samples += 1
        await asyncio.sleep(EVERY_S)
