"""Real PostgreSQL and Valkey for the tests, started once per xdist worker.

A test that takes `database` gets a migrated database with the demo CRM, in which nothing has
happened: one that an earlier test gave back and that was restored (reused_database.sql), or else a
clone of a template. GATEWAY_TEST_DATABASE_URL and GATEWAY_TEST_REDIS_URL put the tests on servers
that run already; there, each test has a clone.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
import redis

from gateway.db import migrate
from gateway.demo import install
from gateway.embedded import start_postgres, start_valkey
from tests.support import reused_connections
from tests.support.reused_connections import connect_anew
from tests.support.text_crm import MIRROR, TEXT_CRM
from tests.support.text_crm import SQL as TEXT_CRM_SQL

RESTORING = Path(__file__).with_name("reused_database.sql")
DATABASE_URL = "GATEWAY_TEST_DATABASE_URL"
REDIS_URL = "GATEWAY_TEST_REDIS_URL"

T = TypeVar("T")


@pytest.fixture(scope="session")
def server_dir() -> Iterator[Path]:
    """Give a directory with a short path: sockets live in it."""
    directory = Path(tempfile.mkdtemp(prefix="gateway-test-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(server_dir: Path) -> Iterator[str]:
    """Give the DSN of a database whose user may create databases."""
    if given := os.environ.get(DATABASE_URL):
        yield given
        return
    with start_postgres(server_dir, durable=False, max_connections=200) as server:
        yield server.dsn()


@pytest.fixture(scope="session")
def valkey_url(server_dir: Path) -> Iterator[str]:
    """Give the URL of a Valkey that belongs to this worker."""
    if given := os.environ.get(REDIS_URL):
        if "PYTEST_XDIST_WORKER" in os.environ:
            pytest.fail(f"{REDIS_URL} needs -n 0: Redis' pub/sub cannot be split among workers")
        yield given
        return
    with start_valkey(server_dir) as server:
        yield server.url


@pytest.fixture(scope="session")
def template(postgres: str) -> Iterator[str]:
    """Give the name of a database with our schema and the demo CRM, to be cloned."""
    name = _fresh_name("template")
    _run(_make_template(postgres, name))
    yield name
    _run(_administer(postgres, f'DROP DATABASE "{name}" WITH (FORCE)'))


class Databases:
    """Databases with our schema and the demo CRM: each is lent to one test at a time."""

    def __init__(self, postgres: str, template: str) -> None:
        self._postgres = postgres
        self._template = template
        self._idle: list[str] = []
        self._fingerprints: dict[str, str] = {}
        """DSN → what its tables and functions were when it was new."""

    async def borrow(self) -> str:
        """Return the DSN of a database in which nothing has happened."""
        return self._idle.pop() if self._idle else await self.clone()

    async def clone(self) -> str:
        """Return the DSN of a new database."""
        name = _fresh_name("test")
        ours = DATABASE_URL not in os.environ
        # Copying files takes half as long, where a server does not sync them.
        strategy = "STRATEGY FILE_COPY" if ours and await self._version() >= 15_00_00 else ""
        await self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{self._template}" {strategy}')
        dsn = at(self._postgres, name)
        if ours:
            self._fingerprints[dsn] = await self._ask(dsn, "SELECT pristine.fingerprint()")
        return dsn

    async def give_back(self, dsn: str) -> None:
        """Restore a database, or drop it if there is more to restore than rows."""
        reused_connections.close_used(dsn)
        try:
            if await self._ask(dsn, "SELECT pristine.fingerprint()") == self._fingerprints.get(dsn):
                await self._ask(dsn, "SELECT pristine.restore()")
                self._idle.append(dsn)
                return
        except (asyncpg.PostgresError, OSError):
            pass  # it is in no state to go on with
        await self.drop(dsn)

    async def close(self) -> None:
        """Drop all."""
        for dsn in self._idle:
            await self.drop(dsn)
        self._idle.clear()

    async def drop(self, dsn: str) -> None:
        """Drop a database, whoever is connected to it."""
        reused_connections.close_used(dsn)
        reused_connections.close_idle(dsn)
        self._fingerprints.pop(dsn, None)
        await self._administer(f'DROP DATABASE "{dsn_name(dsn)}" WITH (FORCE)')

    async def _version(self) -> int:
        version: int = await self._ask(
            self._postgres, "SELECT current_setting('server_version_num')::int"
        )
        return version

    async def _administer(self, sql: str) -> None:
        conn = await asyncpg.connect(self._postgres)
        try:
            await conn.execute(sql)
        finally:
            await conn.close()

    async def _ask(self, dsn: str, sql: str) -> Any:
        conn = await asyncpg.connect(dsn, server_settings={"lock_timeout": "5s"})
        try:
            return await conn.fetchval(sql)
        finally:
            await conn.close()


@pytest.fixture(scope="session")
async def databases(postgres: str, template: str) -> AsyncIterator[Databases]:
    reused_connections.keep_connections()
    kept = Databases(postgres, template)
    yield kept
    reused_connections.close_used()
    await kept.close()
    reused_connections.close_idle()


@pytest.fixture
async def database(databases: Databases) -> AsyncIterator[str]:
    """Give the DSN of a database of this test's own: migrated, with the demo CRM."""
    dsn = await databases.borrow()
    yield dsn
    await databases.give_back(dsn)


@pytest.fixture
async def crm(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Give a connection of the CRM to its database."""
    conn = await asyncpg.connect(database)
    yield conn
    await conn.close()


@pytest.fixture
async def new_database(databases: Databases) -> AsyncIterator[str]:
    """Give a database like `database`, without what others left in its statistics and plans."""
    dsn = await databases.clone()
    yield dsn
    await databases.drop(dsn)


@pytest.fixture(scope="module")
async def module_database(databases: Databases) -> AsyncIterator[str]:
    """Give a new database to all tests of a module: it is filled once, and they only read."""
    dsn = await databases.clone()
    yield dsn
    await databases.drop(dsn)


@pytest.fixture
def empty_database(postgres: str) -> Iterator[str]:
    """Give the DSN of a database in which there is nothing."""
    name = _fresh_name("empty")
    _run(_administer(postgres, f'CREATE DATABASE "{name}" TEMPLATE template0'))
    yield at(postgres, name)
    _run(_administer(postgres, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture(scope="session")
def emptying(valkey_url: str) -> Iterator[redis.Redis]:
    """Give a connection to that Valkey for the session: each new one takes 1 ms."""
    with redis.Redis.from_url(valkey_url) as client:
        yield client


@pytest.fixture
def redis_url(valkey_url: str, emptying: redis.Redis) -> str:
    """Give the URL of a Redis in which there is nothing."""
    emptying.flushall()
    return valkey_url


def at(dsn: str, database: str) -> str:
    """Return the DSN of another database on the same server."""
    return re.sub(r"^(\w+://[^/?]*)(/[^?]*)?", rf"\1/{database}", dsn)


def dsn_name(dsn: str) -> str:
    """Return the name of a DSN's database."""
    return re.sub(r"^\w+://[^/?]*/([^?]*).*", r"\1", dsn)


def _fresh_name(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:12]}"


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run outside of the tests' event loops: these fixtures outlive them."""
    return asyncio.run(work)


async def _make_template(dsn: str, name: str) -> None:
    await _administer(dsn, f'CREATE DATABASE "{name}" TEMPLATE template0')
    conn = await connect_anew(at(dsn, name))
    try:
        await migrate(conn)
        await install(conn)
        if TEXT_CRM:
            await conn.execute(TEXT_CRM_SQL.read_text(encoding="utf-8"))
            await conn.execute(MIRROR.read_text(encoding="utf-8"))
        if DATABASE_URL not in os.environ:  # it takes a superuser
            await conn.execute(RESTORING.read_text(encoding="utf-8"))
    finally:
        await conn.close()


async def _administer(dsn: str, sql: str) -> None:
    conn = await connect_anew(dsn)
    try:
        await conn.execute(sql)
    finally:
        await conn.close()
