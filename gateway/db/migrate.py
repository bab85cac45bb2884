"""Migrations: plain SQL files, applied once each, in the order of their names.

`gateway migrate`, `gateway dev` and the tests ─▶ migrate ─▶ realtime.migrations. Any number of
processes may call it at once: one works, the others wait and find nothing left to do.

A file is one transaction. One that begins with `-- no transaction` holds a single statement,
which can be repeated (CREATE INDEX CONCURRENTLY IF NOT EXISTS …), and runs outside of any.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from gateway.db.conn import Conn
from gateway.db.queries import migrations as queries

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).with_name("migrations")

NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")
NO_TRANSACTION = "-- no transaction"

WAIT_S = 600.0
POLL_S = 0.1
RUN_S = 3600.0
LOCK_TIMEOUT_MS = 2_000
"""An ALTER TABLE that waits for its lock makes all later statements wait: give up, try again."""
LOCK_ATTEMPTS = 30


class MigrationError(Exception):
    """A migration failed; the message names the file and the error."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def in_transaction(self) -> bool:
        return not self.sql.lower().startswith(NO_TRANSACTION)


async def migrate(database: str | Conn, *, directory: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing and return its names; those before a failed file stay applied.

    Takes a DSN or a connection, but not one in a transaction or through PgBouncer in transaction
    mode, because the lock belongs to the session.
    """
    migrations = _read(directory)
    async with _session(database) as conn:
        await _wait_for_turn(conn)
        try:
            await queries.prepare(conn)
            missing = _missing(migrations, await queries.applied(conn))
            for migration in missing:
                await _apply(conn, migration)
                log.info("migration applied name=%s", migration.name)
        finally:
            if not conn.is_closed():
                await queries.unlimit(conn)
                await queries.unlock(conn)
    return [migration.name for migration in missing]


async def pending(conn: Conn, *, directory: Path = MIGRATIONS) -> list[str]:
    """Return the names of what migrate would apply; changes nothing."""
    missing = _missing(_read(directory), await queries.applied(conn))
    return [migration.name for migration in missing]


def _read(directory: Path) -> list[Migration]:
    migrations: list[Migration] = []
    for path in sorted(directory.glob("*.sql")):
        if not NAME.fullmatch(path.name):
            raise MigrationError(f"{path.name}: the name of a migration is NNNN_subject.sql")
        if migrations and migrations[-1].name[:4] == path.name[:4]:
            raise MigrationError(f"{path.name}: {migrations[-1].name} has the same number")
        migrations.append(Migration(path.name, path.read_text(encoding="utf-8")))
    return migrations


def _missing(migrations: list[Migration], applied: dict[str, str]) -> list[Migration]:
    for migration in migrations:
        if applied.get(migration.name, migration.sha256) != migration.sha256:
            raise MigrationError(
                f"{migration.name}: changed after it was applied; restore it and put the change "
                "into a new file"
            )
    if unknown := sorted(applied.keys() - {migration.name for migration in migrations}):
        # Code was rolled back. Migrations only add, so older code works on a newer schema.
        log.warning("the database is newer than this code unknown=%s", ",".join(unknown))
    return [migration for migration in migrations if migration.name not in applied]


@asynccontextmanager
async def _session(database: str | Conn) -> AsyncIterator[Conn]:
    if not isinstance(database, str):
        yield database
        return
    conn = await asyncpg.connect(
        database, timeout=30.0, server_settings={"application_name": "gateway migrate"}
    )
    try:
        yield conn
    finally:
        await conn.close()


async def _wait_for_turn(conn: Conn) -> None:
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while not await queries.try_lock(conn):
        if asyncio.get_running_loop().time() > deadline:
            raise MigrationError(f"another process has been migrating for {WAIT_S:.0f} s")
        await asyncio.sleep(POLL_S)


async def _apply(conn: Conn, migration: Migration) -> None:
    for attempt in range(1, LOCK_ATTEMPTS + 1):
        try:
            return await _attempt(conn, migration)
        except asyncpg.LockNotAvailableError as error:
            if attempt == LOCK_ATTEMPTS:
                raise _with_name(migration, error) from error
            log.info("a table is busy, trying again name=%s", migration.name)
        except asyncpg.PostgresError as error:
            raise _with_name(migration, error) from error
        await asyncio.sleep(POLL_S)
    return None


async def _attempt(conn: Conn, migration: Migration) -> None:
    if migration.in_transaction:
        await queries.limit(conn, lock_timeout_ms=LOCK_TIMEOUT_MS)
        async with conn.transaction():
            await conn.execute(migration.sql, timeout=RUN_S)
            await queries.record(conn, migration.name, migration.sha256)
    else:
        # No lock timeout: a CREATE INDEX CONCURRENTLY that gives up leaves an invalid index.
        await queries.limit(conn, lock_timeout_ms=0)
        await conn.execute(migration.sql, timeout=RUN_S)
        await queries.record(conn, migration.name, migration.sha256)


def _with_name(migration: Migration, error: asyncpg.PostgresError) -> MigrationError:
    line = ""
    if position := getattr(error, "position", None):
        line = f" line {migration.sql.count(chr(10), 0, int(position)) + 1}"
    return MigrationError(f"{migration.name}{line}: {error}")
