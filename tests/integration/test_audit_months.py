"""Months of the audit: made ahead, dropped when too old; nothing is refused, nobody waits long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway import job_kinds
from gateway.audit import months
from gateway.context import Services
from gateway.db import Pool, migrate
from gateway.jobs import Again, Job
from ingest import PartitionMonth
from tests.support.audit import FILL, INSERT, migrations_before
from tests.support.given_settings import GivenSettings

NOW = datetime(2031, 5, 17, tzinfo=UTC)
PARTITIONS = """
    SELECT c.relname, (SELECT count(*) FROM realtime.audit AS a WHERE a.tableoid = c.oid) AS rows
      FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'realtime.audit'::regclass
"""
AT = "INSERT INTO realtime.audit (act, at) SELECT 'message.delete', unnest($1::timestamptz[])"


@pytest.fixture
def database(new_database: str) -> str:
    """Give a new database: without the partitions that others have made."""
    return new_database


async def partitions(conn: Any) -> dict[str, int]:
    return {row["relname"]: row["rows"] for row in await conn.fetch(PARTITIONS)}


def connect(conn: Any) -> months.Connect:
    @asynccontextmanager
    async def lend() -> AsyncIterator[Any]:
        yield conn

    return lend


async def test_acts_move_to_their_month_once_there_is_one(conn: Any) -> None:
    """This month and the next two; whatever has no month is in the default partition."""
    times = [NOW, NOW + timedelta(days=40), NOW - timedelta(days=400), NOW + timedelta(days=400)]
    await conn.execute(AT, times)
    assert await partitions(conn) == {"audit_default": 4}

    for _ in range(2):
        assert await months.run(connect(conn), months=0, now=NOW)

    assert await partitions(conn) == {
        "audit_2031_05": 1, "audit_2031_06": 1, "audit_2031_07": 0, "audit_default": 2,
    }  # fmt: skip
    assert await conn.fetchval("SELECT count(*) FROM realtime.audit") == 4


async def test_months_that_are_too_old_are_dropped(conn: Any) -> None:
    """As whole tables; in the default partition their rows are deleted."""
    for back in (0, 60, 90):
        await months.run(connect(conn), months=0, now=NOW - timedelta(days=back))
    await conn.execute(AT, [NOW - timedelta(days=30 * n) for n in range(8)])
    assert (await partitions(conn))["audit_default"] == 4

    assert await months.run(connect(conn), months=2, now=NOW)

    assert await partitions(conn) == {
        "audit_2031_03": 1, "audit_2031_04": 1, "audit_2031_05": 1, "audit_2031_06": 0,
        "audit_2031_07": 0, "audit_default": 0,
    }  # fmt: skip


async def test_without_the_setting_nothing_is_dropped(conn: Any) -> None:
    """0 is for ever."""
    await conn.execute(AT, [NOW - timedelta(days=30 * n) for n in range(100)])

    await months.run(connect(conn), months=GivenSettings().audit_months, now=NOW)

    assert await conn.fetchval("SELECT count(*) FROM realtime.audit") == 100


async def test_the_audit_of_before_ends_with_its_last_month(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its old rows are deleted as long as it has younger ones, then it is dropped."""
    monkeypatch.setattr(months, "BATCH", 7)
    await migrate(empty_database, directory=migrations_before(tmp_path))
    conn = await asyncpg.connect(empty_database)
    await conn.execute(FILL, 100)
    await migrate(empty_database)
    (first,) = (await partitions(conn)).keys() - {"audit_default"}
    year, month = map(int, first.split("_")[-2:])
    until = datetime(year, month, 1, tzinfo=UTC)
    now = datetime.now(UTC)
    oldest = PartitionMonth(now.year, now.month).begin
    kept = await conn.fetchval("SELECT count(*) FROM realtime.audit WHERE at >= $1", oldest)

    await months.run(connect(conn), months=1, now=now.replace(day=28) + timedelta(days=4))
    assert await partitions(conn) == {
        first: kept, "audit_default": 0, **{
            name: 0 for name in await partitions(conn) if name.startswith("audit_2")
        },
    }  # fmt: skip
    await conn.execute(INSERT, "message.delete", 1, 2, 3, "{}")
    assert (await partitions(conn))[first] == kept + 1

    await months.run(connect(conn), months=1, now=until + timedelta(days=40))

    assert first not in await partitions(conn)
    assert await conn.fetchval("SELECT count(*) FROM realtime.audit") == 0
    await conn.close()


async def test_who_holds_a_lock_is_not_waited_for(
    conn: Any, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that reads the audit: the job gives up at once, and is run again."""
    monkeypatch.setattr(months, "LOCK_S", 0.01)
    await months.run(connect(conn), months=0, now=NOW)
    report = await asyncpg.connect(database)
    reading = report.transaction()
    await reading.start()
    await report.fetch("SELECT * FROM realtime.audit")

    assert not await months.run(connect(conn), months=1, now=NOW + timedelta(days=100))
    await conn.execute(AT, [NOW])
    assert (await partitions(conn))["audit_2031_05"] == 1

    await reading.rollback()
    assert await months.run(connect(conn), months=1, now=NOW + timedelta(days=100))
    assert "audit_2031_05" not in await partitions(conn)
    await report.close()


async def test_the_job_says_when_it_is_run_again(
    pool: Pool, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Done, or again in a moment; without the right to it, the next hour's run tries."""
    monkeypatch.setattr(months, "LOCK_S", 0.01)
    services = Services(pool, list, None, None)  # type: ignore[arg-type]
    (kind,) = (
        one
        for one in job_kinds.kinds(services, GivenSettings(audit_months=1))
        if one.name == months.MAINTAIN
    )
    job = Job(1, "upkeep", kind.name, None, {}, 1, 1, 0, None, False, None)

    assert await kind.run(job) is None
    holder = await asyncpg.connect(database)
    async with holder.transaction():
        await holder.execute("DROP TABLE realtime.audit_default")
        await holder.execute(
            "CREATE TABLE realtime.audit_default PARTITION OF realtime.audit DEFAULT"
        )
        outcome = await kind.run(job)
    await holder.close()

    assert isinstance(outcome, Again)
    assert await kind.run(job) is None


async def test_nodes_that_keep_the_months_at_once_do_it_once(pool: Pool) -> None:
    """One has the advisory lock; the others have nothing to do."""
    services = Services(pool, list, None, None)  # type: ignore[arg-type]

    done = await asyncio.gather(
        *(months.run(services.connection, months=1, now=NOW) for _ in range(5))
    )

    assert all(done)
    async with pool.acquire() as conn:
        assert len(await partitions(conn)) == 4


async def test_a_role_that_may_not_is_said_and_serves_on(
    conn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table belongs to the migrating role until the rights are given again."""

    async def refused(*_arguments: Any, **_options: Any) -> None:
        raise asyncpg.InsufficientPrivilegeError("must be owner of table audit")

    monkeypatch.setattr(months, "maintain_table", refused)

    assert await months.run(connect(conn), months=0, now=NOW)
