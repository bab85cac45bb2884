"""Real PostgreSQL and Valkey for the tests, started once per xdist worker.

A test that takes `database` gets a migrated database with the demo CRM of its own, cloned from a
template in about 20 ms (in memory: scratch.py). GATEWAY_TEST_DATABASE_URL and
GATEWAY_TEST_REDIS_URL put the tests on servers that run already.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
import redis

from gateway.db import migrate
from gateway.demo import install
from gateway.embedded import start_postgres, start_valkey

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
    _run(_execute(postgres, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture(scope="session")
def strategy(postgres: str) -> str:
    """Say how to clone: copying files takes half as long, where a server does not sync them."""
    version = _run(_ask(postgres, "SELECT current_setting('server_version_num')::int"))
    ours = DATABASE_URL not in os.environ
    return "STRATEGY FILE_COPY" if ours and version >= 15_00_00 else ""


@pytest.fixture
def database(postgres: str, template: str, strategy: str) -> Iterator[str]:
    """Give the DSN of a database of this test's own: migrated, with the demo CRM."""
    name = _fresh_name("test")
    _run(_execute(postgres, f'CREATE DATABASE "{name}" TEMPLATE "{template}" {strategy}'))
    yield at(postgres, name)
    _run(_execute(postgres, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
def empty_database(postgres: str) -> Iterator[str]:
    """Give the DSN of a database in which there is nothing."""
    name = _fresh_name("empty")
    _run(_execute(postgres, f'CREATE DATABASE "{name}" TEMPLATE template0'))
    yield at(postgres, name)
    _run(_execute(postgres, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
def redis_url(valkey_url: str) -> str:
    """Give the URL of a Redis in which there is nothing."""
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    return valkey_url


def at(dsn: str, database: str) -> str:
    """Return the DSN of another database on the same server."""
    return re.sub(r"^(\w+://[^/?]*)(/[^?]*)?", rf"\1/{database}", dsn)


def _fresh_name(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex[:12]}"


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run outside of the tests' event loops: these fixtures outlive them."""
    return asyncio.run(work)


async def _make_template(dsn: str, name: str) -> None:
    await _execute(dsn, f'CREATE DATABASE "{name}" TEMPLATE template0')
    conn = await asyncpg.connect(at(dsn, name))
    try:
        await migrate(conn)
        await install(conn)
    finally:
        await conn.close()


async def _execute(dsn: str, sql: str) -> None:
    conn = await asyncpg.connect(dsn)
    try:
        await conn.execute(sql)
    finally:
        await conn.close()


async def _ask(dsn: str, sql: str) -> Any:
    conn = await asyncpg.connect(dsn)
    try:
        return await conn.fetchval(sql)
    finally:
        await conn.close()
