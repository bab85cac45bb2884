"""Migrations run once, whole, and never silently differ from their files."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from gateway.db import MIGRATIONS, MigrationError, connect, migrate, open_pool, pending
from gateway.db.queries.migrations import LOCK, holder_idles
from tests.support.desk import eventually

ROOT = Path(__file__).parents[2]

FIRST = "CREATE SCHEMA app;\nCREATE TABLE app.log (id int PRIMARY KEY);\n"
SECOND = "INSERT INTO app.log VALUES (1);\n"
INDEX = "-- no transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS log_id ON app.log (id);\n"

REINDEX = "-- no transaction\n-- Anew.\nREINDEX INDEX CONCURRENTLY app.log_pkey;\n"
MIGRATE = sys.modules["gateway.db.migrate"]
INVALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"

RUN = """
import asyncio, sys
from pathlib import Path
from gateway.db import migrate
sys.stdin.readline()
print(*asyncio.run(migrate(sys.argv[1], directory=Path(sys.argv[2]))))
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write(tmp_path, {"0001_app.sql": FIRST, "0002_row.sql": SECOND, "0003_index.sql": INDEX})
    return tmp_path


@pytest.fixture
async def conn(empty_database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await connect(empty_database, application_name="test")
    yield connection
    await connection.close()


def write(directory: Path, files: dict[str, str]) -> None:
    for name, sql in files.items():
        (directory / name).write_text(sql, encoding="utf-8")


async def test_files_are_applied_in_order_and_once(
    conn: asyncpg.Connection[asyncpg.Record], directory: Path
) -> None:
    """The first run applies everything, the second finds nothing to do."""
    names = ["0001_app.sql", "0002_row.sql", "0003_index.sql"]
    assert await pending(conn, directory=directory) == names

    assert await migrate(conn, directory=directory) == names
    assert await migrate(conn, directory=directory) == []

    assert await pending(conn, directory=directory) == []
    assert await conn.fetchval("SELECT count(*) FROM app.log") == 1
    assert await conn.fetchval("SELECT count(*) FROM realtime.migrations") == 3


def test_five_processes_at_once_apply_everything_once(empty_database: str, directory: Path) -> None:
    """They take turns, even around CREATE INDEX CONCURRENTLY, which waits for all snapshots."""
    runners = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, empty_database, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(5)
    ]
    for runner in runners:
        assert runner.stdin is not None
        runner.stdin.write("go\n")
        runner.stdin.flush()
    said = [runner.communicate(timeout=60) for runner in runners]

    assert [runner.returncode for runner in runners] == [0] * 5, said
    applied = [name for out, _ in said for name in out.split()]
    assert sorted(applied) == ["0001_app.sql", "0002_row.sql", "0003_index.sql"]


async def test_a_broken_file_changes_nothing_and_names_itself(
    conn: asyncpg.Connection[asyncpg.Record], directory: Path
) -> None:
    """Its first statement is undone with the rest; files before it stay applied."""
    write(directory, {"0002_row.sql": "INSERT INTO app.log VALUES (1);\n\nINSERT INTO nowhere;"})

    with pytest.raises(MigrationError, match=r"0002_row\.sql line 3: syntax error"):
        await migrate(conn, directory=directory)

    assert await conn.fetchval("SELECT count(*) FROM app.log") == 0
    assert await pending(conn, directory=directory) == ["0002_row.sql", "0003_index.sql"]


async def test_a_mended_file_continues_where_it_stopped(
    conn: asyncpg.Connection[asyncpg.Record], directory: Path
) -> None:
    """A failure leaves no lock and no trace behind."""
    write(directory, {"0002_row.sql": "INSERT INTO nowhere VALUES (1);"})
    with pytest.raises(MigrationError, match="nowhere"):
        await migrate(conn, directory=directory)

    write(directory, {"0002_row.sql": SECOND})

    assert await migrate(conn, directory=directory) == ["0002_row.sql", "0003_index.sql"]


async def test_a_changed_file_is_refused(
    conn: asyncpg.Connection[asyncpg.Record], directory: Path
) -> None:
    """What ran on one machine must be what runs on the next."""
    await migrate(conn, directory=directory)
    write(directory, {"0002_row.sql": "INSERT INTO app.log VALUES (2);\n"})

    with pytest.raises(MigrationError, match=r"0002_row\.sql: changed after it was applied"):
        await migrate(conn, directory=directory)
    with pytest.raises(MigrationError, match=r"0002_row\.sql"):
        await pending(conn, directory=directory)


async def test_code_rolled_back_runs_on_a_newer_schema(
    conn: asyncpg.Connection[asyncpg.Record], directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An unknown migration is a warning that names it, not a crash."""
    await migrate(conn, directory=directory)
    (directory / "0003_index.sql").unlink()

    with caplog.at_level(logging.WARNING, "gateway.db.migrate"):
        assert await migrate(conn, directory=directory) == []

    assert "unknown=0003_index.sql" in caplog.text


@pytest.mark.parametrize("name", ["1_short.sql", "0004-dash.sql", "0001_twice.sql"])
async def test_a_misnamed_file_is_refused(
    conn: asyncpg.Connection[asyncpg.Record], directory: Path, name: str
) -> None:
    """Order comes from names, so names are NNNN_subject.sql with each number once."""
    write(directory, {name: "SELECT 1"})

    with pytest.raises(MigrationError, match=r"NNNN_subject|same number"):
        await migrate(conn, directory=directory)


async def test_a_busy_table_is_waited_for_in_short_steps(
    conn: asyncpg.Connection[asyncpg.Record],
    empty_database: str,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A migration gives up its place in the lock queue, then succeeds when the table is free."""
    monkeypatch.setattr(sys.modules["gateway.db.migrate"], "LOCK_TIMEOUT_MS", 50)
    await migrate(conn, directory=directory)
    write(directory, {"0004_column.sql": "ALTER TABLE app.log ADD COLUMN at timestamptz;"})
    busy = await connect(empty_database, application_name="busy")
    reading = busy.transaction()
    await reading.start()
    await busy.fetch("SELECT * FROM app.log")

    with caplog.at_level(logging.INFO, "gateway.db.migrate"):
        running = asyncio.create_task(migrate(conn, directory=directory))
        async with asyncio.timeout(20):
            while "a table is busy" not in caplog.text:  # noqa: ASYNC110  a log has no event
                await asyncio.sleep(0.01)
        await reading.rollback()
        applied = await running
    await busy.close()

    assert applied == ["0004_column.sql"]


@pytest.mark.parametrize(("build", "left"), [(INDEX, "log_id"), (REINDEX, "log_pkey_ccnew")])
async def test_an_interrupted_build_of_an_index_is_done_anew(
    conn: asyncpg.Connection[asyncpg.Record],
    empty_database: str,
    directory: Path,
    build: str,
    left: str,
) -> None:
    """What it has left is dropped, so that no invalid index counts as built, and none remains."""
    (directory / "0003_index.sql").unlink()
    await migrate(conn, directory=directory)
    write(directory, {"0004_index.sql": build})
    other = await connect(empty_database, application_name="writer")
    writing = other.transaction()
    await writing.start()
    await other.execute("INSERT INTO app.log VALUES (2)")  # the build waits for it

    async def begun() -> object:
        return await other.fetchval(INVALID) == f"app.{left}"

    pid = conn.get_server_pid()
    running = asyncio.create_task(migrate(conn, directory=directory))
    await eventually(begun)
    await other.execute("SELECT pg_cancel_backend($1)", pid)
    with pytest.raises(MigrationError, match=r"0004_index\.sql: canceling statement"):
        await running
    await writing.rollback()
    assert await other.fetchval(INVALID) == f"app.{left}"
    await other.close()

    assert await migrate(conn, directory=directory) == ["0004_index.sql"]

    assert await conn.fetch(INVALID) == []
    indexes = await conn.fetch("SELECT indexname FROM pg_indexes WHERE schemaname = 'app'")
    assert {row["indexname"] for row in indexes} == {"log_pkey", left.removesuffix("_ccnew")}


def test_every_file_without_a_transaction_names_its_index() -> None:
    """So that its leftovers are found."""
    files = {path.name: path.read_text(encoding="utf-8") for path in MIGRATIONS.glob("*.sql")}
    parsed = {name: MIGRATE.Migration(name, sql) for name, sql in files.items()}
    alone = {name: one for name, one in parsed.items() if not one.in_transaction}

    assert len(alone) > 5
    for name, one in alone.items():
        assert one.index is not None, name
        assert one.index[0] == "realtime"
        assert re.search(rf"\b{one.index[1]}\b", files[name]), name
    assert alone["0044_search_words_index.sql"].index == ("realtime", "messages_search")
    assert alone["0046_owners.sql"].index == ("realtime", "conversation_participants_owners")


async def test_only_a_file_in_a_transaction_has_an_end(
    conn: asyncpg.Connection[asyncpg.Record], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index of a large table takes hours; what has locked tables is ended, and named."""
    await migrate(conn, directory=directory)
    monkeypatch.setattr(MIGRATE, "RUN_S", 0.05)
    write(directory, {"0004_long.sql": "-- no transaction\nSELECT pg_sleep(0.2);"})
    assert await migrate(conn, directory=directory) == ["0004_long.sql"]
    write(directory, {"0005_stuck.sql": "CREATE TABLE app.made (id int); SELECT pg_sleep(60);"})

    with pytest.raises(MigrationError, match=r"0005_stuck\.sql: took longer than 0\.05 s"):
        await migrate(conn, directory=directory)

    assert await conn.fetchval("SELECT to_regclass('app.made')") is None
    assert await pending(conn, directory=directory) == ["0005_stuck.sql"]


async def test_others_wait_as_long_as_one_works(
    conn: asyncpg.Connection[asyncpg.Record],
    empty_database: str,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They say that they wait, and go on when it has ended; one that does nothing is an error."""
    for name in ("WAIT_S", "LOOK_S", "POLL_S"):
        monkeypatch.setattr(MIGRATE, name, 0.01)
    other = await connect(empty_database, application_name="other")
    await other.execute("SELECT pg_advisory_lock($1)", LOCK)
    caplog.set_level(logging.INFO, "gateway.db.migrate")

    with pytest.raises(MigrationError, match="without doing anything"):
        await migrate(conn, directory=directory)

    caplog.clear()
    works = asyncio.create_task(other.execute("SELECT pg_sleep(60)"))

    async def working() -> object:
        return not await holder_idles(conn)

    await eventually(working)
    waiting = asyncio.create_task(migrate(conn, directory=directory))

    async def said_often() -> object:
        return waiting.done() or caplog.text.count("another process is migrating") > 5

    await eventually(said_often)
    assert not waiting.done()
    ending = await connect(empty_database, application_name="ending")
    await ending.execute("SELECT pg_terminate_backend($1)", other.get_server_pid())
    await asyncio.wait({works})
    assert works.exception() is not None
    await ending.close()
    assert len(await waiting) == 3


async def test_the_session_has_its_limits_back(
    conn: asyncpg.Connection[asyncpg.Record], directory: Path
) -> None:
    """Migrations may take hours; what the connection does next may not."""
    before = await conn.fetchval("SHOW statement_timeout")

    await migrate(conn, directory=directory)

    assert await conn.fetchval("SHOW statement_timeout") == before == "15s"
    assert await conn.fetchval("SHOW lock_timeout") == "3s"


async def test_our_own_migrations_apply_to_an_empty_database(empty_database: str) -> None:
    """The schema needs no extension and nothing that is there before."""
    applied = await migrate(empty_database)

    assert applied == sorted(path.name for path in MIGRATIONS.glob("*.sql"))


async def test_no_new_table_counts_as_empty(empty_database: str) -> None:
    """What was analysed while it had no rows would be read from end to end as it grows."""
    conn = await connect(empty_database, application_name="test")
    await migrate(conn)
    believed = await conn.fetch(
        """
        SELECT c.relname FROM pg_class AS c
         WHERE c.relnamespace = 'realtime'::regnamespace AND c.relkind = 'r' AND c.reltuples = 0
        """
    )
    await conn.close()

    assert believed == []


async def test_every_pooled_connection_speaks_json_and_has_limits(empty_database: str) -> None:
    """Values go in and out as Python's; waits end by themselves."""
    value = {"text": "Привіт", "list": [1, None, True]}
    async with (
        await open_pool(empty_database, application_name="pool", max_size=2) as pool,
        pool.acquire() as one,
        pool.acquire() as two,
    ):
        for conn in (one, two):
            assert await conn.fetchval("SELECT $1::jsonb", value) == value
            assert await conn.fetchval("SELECT $1::json", value) == value
            assert await conn.fetchval("SHOW application_name") == "pool"
            assert await conn.fetchval("SHOW lock_timeout") == "3s"
            assert await conn.fetchval("SHOW idle_in_transaction_session_timeout") == "10s"


async def test_a_statement_that_takes_too_long_is_ended(empty_database: str) -> None:
    """The server ends it, even if we were gone."""
    async with await open_pool(
        empty_database, application_name="slow", statement_timeout_s=0.05
    ) as pool:
        with pytest.raises(asyncpg.QueryCanceledError):
            await pool.fetchval("SELECT pg_sleep(10)")
