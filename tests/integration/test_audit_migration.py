"""The audit of an earlier version becomes a partition while that version goes on with its work."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.db import MIGRATIONS, connect, migrate
from tests.support.audit import FILL, FIRST, INSERT, PAGE, migrations_before
from tests.support.desk import eventually

ROWS = 1_000
SWAP = next(path for path in MIGRATIONS.glob("*_audit_months.sql"))
WAITS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT INTO realtime.audit%'
"""
PARTITIONS = """
    SELECT c.relname, pg_relation_filenode(c.oid) AS file
      FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'realtime.audit'::regclass ORDER BY c.relname
"""


@pytest.fixture
async def old(empty_database: str, tmp_path: Path) -> AsyncIterator[Any]:
    """Give a connection to a database as the version before the months has it."""
    await migrate(empty_database, directory=migrations_before(tmp_path))
    conn = await connect(empty_database, application_name="old", statement_timeout_s=200)
    yield conn
    await conn.close()


async def rows(conn: Any) -> list[tuple[Any, ...]]:
    found = await conn.fetch(
        "SELECT id, at, act, actor_id, conversation_id, seq, details FROM realtime.audit"
        " ORDER BY id"
    )
    return [tuple(row) for row in found]


async def test_rows_of_before_stay_where_they_are(old: Any, empty_database: str) -> None:
    """No row is copied: the table's file is that of the partition; ids go on."""
    await old.execute(FILL, ROWS)
    before = await rows(old)
    file = await old.fetchval("SELECT pg_relation_filenode('realtime.audit')")

    await migrate(empty_database)

    assert await rows(old) == before
    found = {row["relname"]: row["file"] for row in await old.fetch(PARTITIONS)}
    (first,) = found.keys() - {"audit_default"}
    assert found[first] == file
    await old.execute(INSERT, "message.delete", 1, 2, 3, {})
    assert (await rows(old))[-1][0] == before[-1][0] + 1


async def test_an_audit_without_rows_leaves_no_partition(old: Any, empty_database: str) -> None:
    """As in a new database."""
    await migrate(empty_database)

    assert [row["relname"] for row in await old.fetch(PARTITIONS)] == ["audit_default"]


@pytest.mark.parametrize("count", [ROWS, pytest.param(1_000_000, marks=pytest.mark.slow)])
async def test_an_earlier_version_goes_on_meanwhile(
    old: Any, empty_database: str, count: int
) -> None:
    """Three nodes write and one reads all the time: no act is refused, none is lost."""
    await old.execute(FILL, count, timeout=200)
    done = asyncio.Event()
    written: list[int] = []

    async def write(number: int) -> None:
        conn = await connect(empty_database, application_name="writer")
        try:
            while not done.is_set():
                written.append(number * 1_000_000 + len(written))
                await conn.execute(INSERT, "message.delete", number, 7, 9, {"n": written[-1]})
        finally:
            await conn.close()

    async def read() -> None:
        conn = await connect(empty_database, application_name="reader")
        try:
            while not done.is_set():
                page = await conn.fetch(PAGE, None, 50)
                assert len(page) == 50
                following = await conn.fetch(PAGE, page[-1]["id"], 50)
                assert following[0]["id"] < page[-1]["id"]
        finally:
            await conn.close()

    working = [asyncio.create_task(work) for work in (write(1), write(2), write(3), read())]
    try:
        applied = await migrate(empty_database)
        before = len(written)
        await eventually(lambda: len(written) > before + 10)
    finally:
        done.set()
        await asyncio.gather(*working)

    assert SWAP.name in applied
    found = await old.fetch(
        "SELECT id, (details ->> 'n')::bigint AS n FROM realtime.audit WHERE details ? 'n'"
    )
    assert sorted(row["n"] for row in found) == sorted(written)
    assert len({row["id"] for row in found}) == len(written)
    assert await old.fetchval("SELECT count(*) FROM realtime.audit") == count + len(written)


async def test_an_act_that_waits_for_the_lock_is_written(
    old: Any, empty_database: str, tmp_path: Path
) -> None:
    """Its statement was prepared on the old table; it is written to the new one."""
    for path in MIGRATIONS.glob("*.sql"):
        if FIRST <= path.name < SWAP.name:
            (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    await migrate(empty_database, directory=tmp_path)
    insert = await old.prepare(INSERT)
    await insert.fetch("message.delete", 1, 1, 1, {})
    migrating = await connect(empty_database, application_name="migrating")
    swap = migrating.transaction()
    await swap.start()
    await migrating.execute(SWAP.read_text(encoding="utf-8"))

    waiting = asyncio.create_task(insert.fetch("message.delete", 2, 2, 2, {}))
    await eventually(lambda: migrating.fetchval(WAITS))
    await swap.commit()
    await waiting

    assert [row[3] for row in await rows(migrating)] == [1, 2]
    await migrating.close()


async def test_rights_and_views_go_on(old: Any, empty_database: str) -> None:
    """Who might write and read before may; a view of somebody sees what is written since."""
    writer, reader = (f"{name}_{uuid.uuid4().hex[:8]}" for name in ("writer", "reader"))
    async with AsyncExitStack() as stack:
        for role, right in ((writer, "SELECT, INSERT"), (reader, "SELECT")):
            await old.execute(
                f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA realtime TO {role};"
                f"GRANT {right} ON realtime.audit TO {role}"
            )
            stack.push_async_callback(old.execute, f"DROP OWNED BY {role}; DROP ROLE {role}")
        stack.push_async_callback(old.execute, "RESET ROLE")
        await old.execute(
            "CREATE VIEW deletions WITH (security_barrier) AS"
            " SELECT actor_id FROM realtime.audit WHERE act = 'message.delete'"
        )
        await old.execute(FILL, 3)

        await migrate(empty_database)

        await old.execute(f"SET ROLE {writer}")
        await old.execute(INSERT, "message.delete", 77, 2, 3, {})
        await old.execute(f"RESET ROLE; SET ROLE {reader}")
        assert len(await rows(old)) == 4
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await old.execute(INSERT, "message.delete", 78, 2, 3, {})
        await old.execute("RESET ROLE")
        assert await old.fetchval("SELECT max(actor_id) FROM deletions") == 77
        assert await old.fetchval(
            "SELECT reloptions FROM pg_class WHERE relname = 'deletions'"
        ) == ["security_barrier=true"]


@pytest.mark.parametrize("ahead", ["0 days", "40 days", "400 days"])
async def test_rows_of_the_future_are_in_the_bound(
    old: Any, empty_database: str, ahead: str
) -> None:
    """A clock that was wrong: the bound is after the newest row, and a month after today."""
    await old.execute(
        "INSERT INTO realtime.audit (act, at)"
        " VALUES ('message.delete', now() + $1::text::interval)",
        ahead,
    )

    await migrate(empty_database)

    (first, _) = sorted(row["relname"] for row in await old.fetch(PARTITIONS))[::-1]
    assert len(await rows(old)) == 1
    assert await old.fetchval(
        "SELECT to_date($1, 'YYYY_MM') > greatest(now() + interval '28 days', max(at))"
        "  FROM realtime.audit",
        first.removeprefix("audit_until_"),
    )


STEPS = sorted(path.name for path in MIGRATIONS.glob("*.sql") if FIRST <= path.name <= SWAP.name)


@pytest.mark.parametrize(
    "last",
    [
        one if one in {STEPS[0], STEPS[-2]} else pytest.param(one, marks=pytest.mark.slow)
        for one in STEPS[:-1]
    ],
)
async def test_an_upgrade_that_stopped_anywhere_goes_on(
    old: Any, empty_database: str, tmp_path: Path, last: str
) -> None:
    """After any file, the earlier version writes; the next run does the rest."""
    await old.execute(FILL, ROWS)
    for name in STEPS[: STEPS.index(last) + 1]:
        (tmp_path / name).write_text((MIGRATIONS / name).read_text(encoding="utf-8"))
    await migrate(empty_database, directory=tmp_path)
    await old.execute(INSERT, "message.delete", 1, 2, 3, {})

    await migrate(empty_database)

    await old.execute(INSERT, "message.delete", 1, 2, 3, {})
    assert len(await rows(old)) == ROWS + 2
    assert len(await old.fetch(PAGE, None, 10)) == 10


async def test_pages_by_id_and_by_time_are_read_by_an_index(old: Any, empty_database: str) -> None:
    """Also of the partition of before; without it, each page would read everything."""
    await old.execute(FILL, 5_000)
    await migrate(empty_database)
    await old.execute("ANALYZE realtime.audit")

    for order in ("id DESC", "at DESC, id DESC"):
        plan = await old.fetch(f"EXPLAIN SELECT * FROM realtime.audit ORDER BY {order} LIMIT 50")
        assert "Seq Scan on audit_until" not in "\n".join(row[0] for row in plan), order
