"""Who the caller of an HTTP request is: read once for many, and forgotten when it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from gateway.auth import Claims, IdentityCache
from gateway.db import Conn, connect
from gateway.errors import DatabaseUnavailable, EmployeeDisabled, TokenRevoked

LATER = datetime.now(UTC) + timedelta(hours=1)


class Reader:
    """A cache with a clock and a connection that a test can hold back."""

    def __init__(self, conn: Conn, **settings: Any) -> None:
        self.at = 0.0
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self.broken = False
        self._conn = conn
        self._turn = asyncio.Lock()
        self.cache = IdentityCache(self._connect, now=lambda: self.at, **settings)

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Conn]:
        async with self._turn:
            if self.broken:
                raise DatabaseUnavailable
            yield self._conn
            self.asked.set()
            await self.open.wait()  # it was read, and has not arrived yet

    async def name_of(self, employee_id: int, token_id: str = "t") -> str:
        return (await self.cache.identify(Claims(employee_id, LATER, token_id))).employee.name


@pytest.fixture
async def reader(database: str) -> AsyncIterator[Reader]:
    conn = await connect(database, application_name="test")
    yield Reader(conn)
    await conn.close()


async def rename(reader: Reader, name: str, employee_id: int = 1) -> None:
    await reader._conn.execute(
        "UPDATE demo_crm.staff SET full_name = $1 WHERE id = $2", name, employee_id
    )


async def test_many_requests_ask_the_database_once(reader: Reader) -> None:
    """Those that arrive together, and those of the next seconds; then it is read again."""
    names = await asyncio.gather(*(reader.name_of(1) for _ in range(20)))
    await rename(reader, "Somebody Else")
    reader.at = 4.9

    assert await reader.name_of(1) == names[0]
    assert reader.cache.reads == 1
    reader.at = 5.0
    assert await reader.name_of(1) == "Somebody Else"
    assert reader.cache.reads == 2


async def test_what_is_forgotten_is_read_again(reader: Reader) -> None:
    """By employee, by token, or everything; others stay."""
    cache = reader.cache
    ways: list[Callable[[], None]] = [
        partial(cache.forget, {1}),
        partial(cache.forget_tokens, {"t"}),
        partial(cache.forget, None),
    ]
    for forget in ways:
        await reader.name_of(1)
        await reader.name_of(2, "other")
        before = reader.cache.reads
        forget()
        await reader.name_of(1)
        await reader.name_of(2, "other")
        assert reader.cache.reads - before in {1, 2}


async def test_what_was_read_before_a_change_is_not_kept(reader: Reader) -> None:
    """A reading that is under way when the CRM says so answers those who wait, and nobody later."""
    reader.open.clear()
    waiting = asyncio.create_task(reader.name_of(1))
    await reader.asked.wait()
    reader.cache.forget({1})
    reader.open.set()
    await waiting
    await rename(reader, "Somebody New")

    assert await reader.name_of(1) == "Somebody New"


async def test_a_request_that_is_given_up_stops_no_other(reader: Reader) -> None:
    """The one that asked may be cancelled while others wait for its answer."""
    reader.open.clear()
    first = asyncio.create_task(reader.name_of(1))
    second = asyncio.create_task(reader.name_of(1))
    await asyncio.sleep(0)
    first.cancel()
    reader.open.set()

    assert await second
    assert reader.cache.reads == 1


async def test_a_refusal_is_not_kept(reader: Reader) -> None:
    """Nobody waits five seconds after they were let in again, or the database came back."""
    reader.broken = True
    with pytest.raises(DatabaseUnavailable):
        await reader.name_of(1)
    reader.broken = False
    assert await reader.name_of(1)

    with pytest.raises(EmployeeDisabled):
        await reader.name_of(10**9)
    await reader._conn.execute("INSERT INTO realtime.revoked_tokens (token_id) VALUES ('bad')")
    with pytest.raises(TokenRevoked):
        await reader.name_of(1, "bad")
    assert reader.cache.employee_ids == {1}


async def test_no_more_is_kept_than_allowed(reader: Reader) -> None:
    """Of too many the oldest goes; what is too old goes by itself."""
    cache = IdentityCache(reader._connect, max_kept=3, now=lambda: reader.at)
    for employee_id in range(1, 6):
        await cache.identify(Claims(employee_id, LATER, "t"))
    assert cache.employee_ids == {3, 4, 5}
    reader.at = 6.0
    assert cache.employee_ids == set()


async def test_a_kept_identity_ends_with_the_token_that_is_shown(reader: Reader) -> None:
    """The same token id with another end, as after a refresh."""
    sooner = LATER - timedelta(minutes=50)
    await reader.cache.identify(Claims(1, LATER, "t"))

    assert (await reader.cache.identify(Claims(1, sooner, "t"))).expires_at == sooner
