"""Service accounts: who has which key, read once for many requests, and how fast they may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway import service_accounts as acts
from gateway.auth import ServiceAccount, ServiceAccounts
from gateway.auth.service_keys import NewKey, make_key
from gateway.db import Conn
from gateway.errors import (
    DatabaseUnavailable,
    ScopeMissing,
    ServiceKeyExpired,
    ServiceKeyInvalid,
    ServiceKeyRevoked,
    TooFast,
)

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class KeyReader:
    """The accounts that one worker knows, with clocks and a connection that a test holds."""

    def __init__(self, conn: Conn) -> None:
        self.at = 100.0
        self.time = NOON.timestamp()
        self.broken = False
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self._conn = conn
        self._turn = asyncio.Lock()
        self.accounts = ServiceAccounts(
            self._connect, now=lambda: self.at, wall_clock=lambda: self.time
        )

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Conn]:
        if self.broken:
            raise DatabaseUnavailable
        gate = self.open
        async with self._turn:
            yield self._conn
        self.asked.set()
        await gate.wait()  # it was read, and has not arrived yet

    async def name_of(self, key: str) -> str:
        return (await self.accounts.authenticate(key)).name


@pytest.fixture
def worker(conn: Conn) -> KeyReader:
    return KeyReader(conn)


async def add(
    conn: Any, name: str = "crm", *, scopes: tuple[str, ...] = ("messages.send",),
    rate: float = 10.0, expires_at: datetime | None = None,
) -> NewKey:  # fmt: skip
    made = await acts.add(conn, name, scopes=scopes, rate_per_s=rate, expires_at=expires_at)
    assert made is not None
    return made


async def test_many_requests_ask_the_database_once(conn: Any, worker: KeyReader) -> None:
    """Of one account or of several, together or within five seconds."""
    keys = [(await add(conn, name)).key for name in ("crm", "erp", "billing")]

    found = await asyncio.gather(*(worker.name_of(key) for key in keys * 20))
    worker.at += 4.9
    found += [await worker.name_of(key) for key in keys]

    assert found == ["crm", "erp", "billing"] * 21
    assert worker.accounts.reads == 1
    worker.at += 0.1
    await worker.name_of(keys[0])
    assert worker.accounts.reads == 2


async def test_text_that_is_no_key_costs_no_statement(conn: Any, worker: KeyReader) -> None:
    """Nor do keys that were never made here cost more than one a second."""
    key = (await add(conn)).key
    await worker.name_of(key)

    for _ in range(20):
        for unknown in ("", "gw_", key[:-1], key + "x", "gw_\0", make_key().key):
            with pytest.raises(ServiceKeyInvalid):
                await worker.accounts.authenticate(unknown)
    assert worker.accounts.reads == 1
    worker.at += 1.0
    for _ in range(20):
        with pytest.raises(ServiceKeyInvalid):
            await worker.accounts.authenticate(make_key().key)
    assert worker.accounts.reads == 2


async def test_a_new_key_is_known_within_a_second(conn: Any, worker: KeyReader) -> None:
    """Though all keys were read a moment before it was made."""
    await worker.name_of((await add(conn)).key)
    key = (await add(conn, "erp")).key
    worker.at += 1.0

    assert await worker.name_of(key) == "erp"


async def test_a_key_of_another_secret_is_refused(conn: Any, worker: KeyReader) -> None:
    """Its id is known, and its checksum right: only the hash tells."""
    made = await add(conn)
    forged = make_key()
    await conn.execute(
        "UPDATE realtime.service_keys SET key_id = $2 WHERE key_id = $1", made.key_id, forged.key_id
    )

    with pytest.raises(ServiceKeyInvalid):
        await worker.accounts.authenticate(forged.key)


async def test_a_revoked_key_ends(conn: Any, worker: KeyReader) -> None:
    """The key alone, then the account: after five seconds, or at once when that is told."""
    first = await add(conn)
    second = await acts.rotate(conn, "crm", expires_at=None)
    assert second is not None
    assert await worker.name_of(first.key) == await worker.name_of(second.key) == "crm"

    assert await acts.revoke(conn, "crm", key_id=first.key_id)
    assert await worker.name_of(first.key) == "crm"
    worker.at += 5.0
    with pytest.raises(ServiceKeyRevoked):
        await worker.accounts.authenticate(first.key)
    assert await worker.name_of(second.key) == "crm"

    assert await acts.revoke(conn, "crm", key_id=None)
    worker.accounts.forget()
    with pytest.raises(ServiceKeyRevoked):
        await worker.accounts.authenticate(second.key)


async def test_what_was_read_before_a_revocation_is_not_kept(conn: Any, worker: KeyReader) -> None:
    """A slow reading of before it does not replace what was read after it."""
    made = await add(conn)
    worker.open.clear()
    slow = asyncio.create_task(worker.name_of(made.key))
    await worker.asked.wait()
    await acts.revoke(conn, "crm", key_id=None)
    worker.accounts.forget()
    held, worker.open = worker.open, asyncio.Event()
    worker.open.set()
    with pytest.raises(ServiceKeyRevoked):
        await worker.name_of(made.key)
    held.set()

    assert await slow == "crm"
    with pytest.raises(ServiceKeyRevoked):
        await worker.name_of(made.key)


async def test_a_key_ends_at_its_time(conn: Any, worker: KeyReader) -> None:
    """To the second, without a statement; another key of the account goes on."""
    made = await add(conn, expires_at=NOON + timedelta(hours=1))
    other = await acts.rotate(conn, "crm", expires_at=None)
    assert other is not None
    worker.time += 3_599
    assert await worker.name_of(made.key) == "crm"
    worker.time += 1

    with pytest.raises(ServiceKeyExpired):
        await worker.accounts.authenticate(made.key)
    assert await worker.name_of(other.key) == "crm"
    assert worker.accounts.reads == 1


async def test_a_request_that_is_given_up_stops_no_other(conn: Any, worker: KeyReader) -> None:
    """The one that asked may be cancelled while others wait for its answer."""
    made = await add(conn)
    worker.open.clear()
    first = asyncio.create_task(worker.name_of(made.key))
    second = asyncio.create_task(worker.name_of(made.key))
    await worker.asked.wait()
    first.cancel()
    worker.open.set()

    assert await second == "crm"
    assert worker.accounts.reads == 1


async def test_an_outage_is_no_refusal(conn: Any, worker: KeyReader) -> None:
    """What is kept is served; after that a key is neither accepted nor called invalid."""
    made = await add(conn)
    await worker.name_of(made.key)
    worker.broken = True
    worker.at += 4.9
    assert await worker.name_of(made.key) == "crm"
    worker.at += 0.1
    with pytest.raises(DatabaseUnavailable):
        await worker.accounts.authenticate(made.key)
    worker.broken = False
    assert await worker.name_of(made.key) == "crm"


async def test_each_account_has_its_own_rate(conn: Any, worker: KeyReader) -> None:
    """Its keys share it; another account's is another."""
    slow, fast = await add(conn, "slow", rate=2.0), await add(conn, "fast", rate=100.0)
    again = await acts.rotate(conn, "slow", expires_at=None)
    assert again is not None
    accounts = worker.accounts
    first, second, other = [await accounts.authenticate(one.key) for one in (slow, again, fast)]

    assert admitted(accounts, first, second) == 4  # two seconds of its rate
    with pytest.raises(TooFast) as refused:
        accounts.spend(first)
    assert refused.value.retry_after == 0.5
    assert admitted(accounts, other) == 200
    worker.at += 1.0
    assert admitted(accounts, first, second) == 2
    worker.at += 100.0
    accounts.charge(first, 8)
    with pytest.raises(TooFast):
        accounts.spend(second)


def admitted(accounts: ServiceAccounts, *of: ServiceAccount) -> int:
    """Return how many requests of these are admitted now, in turns."""
    for number in range(10_000):
        try:
            accounts.spend(of[number % len(of)])
        except TooFast:
            return number
    return 10_000


async def test_an_account_may_do_what_its_scopes_say(conn: Any, worker: KeyReader) -> None:
    """One that is not known here has no effect."""
    made = await add(conn, scopes=("messages.send", "of.a_later_version"))
    account = await worker.accounts.authenticate(made.key)

    account.require("messages.send")
    with pytest.raises(ScopeMissing):
        account.require("connections.manage")


async def test_use_is_noted_once_a_minute(conn: Any, worker: KeyReader) -> None:
    """Not by requests: a thousand of them write nothing."""
    used, unused = await add(conn), await add(conn, "erp")
    for _ in range(1_000):
        await worker.accounts.authenticate(used.key)
    noted = "SELECT key_id, last_used_at FROM realtime.service_keys WHERE last_used_at IS NOT NULL"
    assert await conn.fetch(noted) == []
    await worker.accounts.mark_used()
    [(key_id, at)] = await conn.fetch(noted)
    assert key_id == used.key_id != unused.key_id

    await worker.accounts.authenticate(used.key)
    worker.at += 59.0
    await worker.accounts.mark_used()
    worker.at += 1.0
    await worker.accounts.mark_used()  # noted less than a minute ago, by the database's clock
    assert [tuple(row) for row in await conn.fetch(noted)] == [(key_id, at)]


async def test_a_name_is_used_once(conn: Any) -> None:
    """Also one whose account was revoked: the audit would name two programs alike."""
    await add(conn)
    assert await acts.add(conn, "crm", scopes=["messages.send"], rate_per_s=1, expires_at=None) is (
        None
    )
    assert await acts.revoke(conn, "crm", key_id=None)
    assert not await acts.revoke(conn, "crm", key_id=None)
    assert await acts.rotate(conn, "crm", expires_at=None) is None
    assert await acts.add(conn, "crm", scopes=["messages.send"], rate_per_s=1, expires_at=None) is (
        None
    )


async def test_every_act_is_noted_and_no_secret_is_stored(conn: Any) -> None:
    """In the audit and in the tables: the id of a key, and its hash."""
    made = await add(conn)
    other = await acts.rotate(conn, "crm", expires_at=NOON)
    assert other is not None
    assert not await acts.revoke(conn, "crm", key_id="0123456789")
    await acts.revoke(conn, "crm", key_id=made.key_id)
    await acts.revoke(conn, "crm", key_id=None)

    noted = await conn.fetch("SELECT act, actor_id, details FROM realtime.audit ORDER BY id")
    assert [(row["act"], row["details"].get("key_id")) for row in noted] == [
        ("service.add", made.key_id), ("service.rotate", other.key_id),
        ("service.revoke", made.key_id), ("service.revoke", None),
    ]  # fmt: skip
    assert {row["details"]["service"] for row in noted} == {"crm"}
    stored = str(noted) + str(await conn.fetch("SELECT * FROM realtime.service_keys"))
    for key in (made.key, other.key):
        assert key[14:] not in stored
