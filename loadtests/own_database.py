"""A PostgreSQL for one benchmark that needs no gateway, with our schema and the demo CRM."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg

from gateway import db, demo
from gateway.db import Conn
from gateway.embedded import start_postgres
from gateway.limits import LoopShare
from loadtests.queries import quiet

STATEMENT_S = 600.0
"""Building an index of millions of rows takes longer than the product allows anything to take."""


@asynccontextmanager
async def own_database() -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Start a server; connect to a database with our schema and people; remove all at the end.

    Not durable: what is loaded is thrown away, and nothing here measures a COMMIT.
    """
    with own_directory() as directory, start_postgres(directory, durable=False) as server:
        async with connected(server.dsn()) as conn:
            await quiet.no_autovacuum(conn)
            await db.migrate(conn)
            await demo.install(conn)
            yield conn


@contextmanager
def own_directory() -> Iterator[Path]:
    """Give a directory with a short path: sockets live in it."""
    with TemporaryDirectory(prefix="gateway-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Connect with the product's manners, but patiently."""
    conn = await db.connect(
        dsn,
        application_name="loadtests",
        statement_timeout_s=STATEMENT_S,
        # Between two statements of a transaction, what the first one returned is worked on.
        settings={"idle_in_transaction_session_timeout": "0"},
    )
    try:
        yield conn
    finally:
        await conn.close()


@dataclass
class OneConnection:
    """Stands in for the services of a context: every reading uses the one connection."""

    conn: Conn
    answers: Any = None
    timeout_s: float = 0
    loop_share: LoopShare = field(default_factory=LoopShare)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Conn]:
        yield self.conn
