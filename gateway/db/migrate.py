"""Migrations: plain SQL files, applied once each, in the order of their names.

`gateway migrate`, `gateway dev` and the tests ─▶ migrate ─▶ realtime.migrations. Any number of
processes may call it at once: one works, the others wait and find nothing left to do.

A file is one transaction. One that begins with `-- no transaction` holds a single statement,
which can be repeated (CREATE INDEX CONCURRENTLY IF NOT EXISTS …), and runs outside of any, for as
long as it takes: hours on a large table. What an interrupted one has left is dropped first.
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

INDEX = re.compile(
    r"create\s+(?:unique\s+)?index\s+concurrently\s+(?:if\s+not\s+exists\s+)?(?P<made>\w+)"
    r"\s+on\s+(?:only\s+)?(?P<table>\w+\.\w+)"
    r"|reindex\s+index\s+concurrently\s+(?P<rebuilt>\w+\.\w+)",
    re.IGNORECASE,
)
COMMENT = re.compile(r"--[^\n]*")

WAIT_S = 600.0
"""How long others wait for a process that holds the lock and does nothing."""
LOOK_S = 60.0
"""Time between two looks whether it does something, and between the lines that say so."""
POLL_S = 0.1
RUN_S = 3_600.0
"""The longest that a file in a transaction may take: what it has locked waits meanwhile."""
UNLIMITED_S = 10 * 365 * 86_400.0
"""For asyncpg, to which None means the connection's own limit."""
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

    @property
    def index(self) -> tuple[str, str] | None:
        """The schema and name of the index that a file without a transaction builds."""
        found = INDEX.search(COMMENT.sub("", self.sql))
        if self.in_transaction or found is None:
            return None
        schema, name = (found["rebuilt"] or found["table"]).lower().split(".")
        return schema, (found["made"] or name).lower()


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
    """Wait as long as another process is migrating; MigrationError when it does nothing.

    A warning, which `gateway migrate` prints, too: it configures no logs.
    """
    now = asyncio.get_running_loop().time
    began = look_at = now()
    idle_since: float | None = None
    while not await queries.try_lock(conn):
        if now() >= look_at:
            look_at = now() + LOOK_S
            if not await queries.holder_idles(conn):
                idle_since = None
            elif idle_since is None:
                idle_since = now()
            elif now() - idle_since > WAIT_S:
                raise MigrationError(
                    f"another process has held the lock of migrations for {WAIT_S:.0f} s without "
                    "doing anything; end it and try again"
                )
            log.warning("another process is migrating, waiting waited_s=%.0f", now() - began)
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
        except TimeoutError as error:
            raise MigrationError(
                f"{migration.name}: took longer than {RUN_S:g} s, was ended and changed nothing"
            ) from error
        await asyncio.sleep(POLL_S)
    return None


async def _attempt(conn: Conn, migration: Migration) -> None:
    if migration.in_transaction:
        await queries.limit(conn, lock_timeout_ms=LOCK_TIMEOUT_MS)
        async with conn.transaction():
            await conn.execute(migration.sql, timeout=RUN_S)
            await queries.record(conn, migration.name, migration.sha256)
    else:
        # No timeouts: a CREATE INDEX CONCURRENTLY that gives up leaves an invalid index.
        await queries.limit(conn, lock_timeout_ms=0)
        await _drop_leftovers(conn, migration)
        await conn.execute(migration.sql, timeout=UNLIMITED_S)
        await queries.record(conn, migration.name, migration.sha256)


async def _drop_leftovers(conn: Conn, migration: Migration) -> None:
    """Drop what an interrupted build of this file's index has left: IF NOT EXISTS would keep it."""
    if migration.index is None:
        return
    for leftover in await queries.invalid_indexes(conn, *migration.index):
        log.warning("dropping an index of which the build was interrupted index=%s", leftover)
        await conn.execute(f"DROP INDEX CONCURRENTLY {leftover}", timeout=UNLIMITED_S)


def _with_name(migration: Migration, error: asyncpg.PostgresError) -> MigrationError:
    line = ""
    if position := getattr(error, "position", None):
        line = f" line {migration.sql.count(chr(10), 0, int(position)) + 1}"
    return MigrationError(f"{migration.name}{line}: {error}")
