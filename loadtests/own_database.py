"""A PostgreSQL for one benchmark that needs no gateway: our schema and the demo CRM in it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from gateway import db, demo
from gateway.db import Conn
from gateway.embedded import start_postgres
from loadtests.queries import quiet

STATEMENT_S = 600.0
"""Building an index of millions of rows takes longer than the product allows anything to take."""


@contextmanager
def own_database() -> Iterator[str]:
    """Start a server; give the DSN of an empty database; remove everything at the end.

    Not durable: what is loaded is thrown away, and nothing here measures a COMMIT.
    """
    directory = Path(tempfile.mkdtemp(prefix="gateway-bench-"))  # short: sockets live in it
    try:
        with start_postgres(directory, durable=False) as server:
            yield server.dsn()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Connect with the product's manners, but patiently."""
    conn = await db.connect(dsn, application_name="loadtests", statement_timeout_s=STATEMENT_S)
    try:
        yield conn
    finally:
        await conn.close()


async def prepare(conn: asyncpg.Connection[asyncpg.Record]) -> None:
    """Make the schema and the people."""
    await quiet.no_autovacuum(conn)
    await db.migrate(conn)
    await demo.install(conn)


@dataclass
class OneConnection:
    """Stands in for the services of a context: every reading uses the one connection."""

    conn: Conn
    answers: Any = None
    timeout_s: float = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Conn]:
        yield self.conn
