"""What the tests over a real database share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.db import Conn, Pool, connect, open_pool
from tests.support.ingest_tools import RecordedAnnouncements
from tests.support.job_tools import Jobs, open_jobs
from tests.support.office import Office


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """Give a pool on this test's database."""
    async with await open_pool(database, application_name="test-ingest", max_size=4) as opened:
        yield opened


@pytest.fixture
async def jobs(database: str) -> AsyncIterator[Jobs]:
    """Give the jobs of a database."""
    async with open_jobs(database) as opened:
        yield opened


@pytest.fixture
def announced() -> RecordedAnnouncements:
    return RecordedAnnouncements()


@pytest.fixture
async def conn(database: str) -> AsyncIterator[Conn]:
    """Give a connection to a database with the demo CRM."""
    connection = await connect(database, application_name="test")
    yield connection
    await connection.close()


@pytest.fixture
async def office(conn: Conn) -> Office:
    """Give an office on a database with the demo CRM."""
    await conn.execute("SET lock_timeout = '3s'")
    return Office(conn)
