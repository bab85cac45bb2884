"""What a test leaves behind, no later test finds: rows, counters, tables, settings, locks."""

from __future__ import annotations

import os

import asyncpg
import pytest

from tests.support.servers import DATABASE_URL, Databases

pytestmark = pytest.mark.skipif(DATABASE_URL in os.environ, reason="a clone for each test there")

STATE = """
    SELECT jsonb_build_object(
        'people', (SELECT jsonb_agg(to_jsonb(s) ORDER BY id) FROM demo_crm.staff AS s),
        'words', (SELECT jsonb_agg(to_jsonb(d) ORDER BY code) FROM realtime.dispositions AS d),
        'talks', (SELECT count(*) FROM realtime.conversations),
        'payloads', (SELECT count(*) FROM realtime.call_event_payloads))::text
"""
NEXT = "INSERT INTO realtime.conversations (kind, title) VALUES ('group', 'x') RETURNING id"


async def ask(dsn: str, *statements: str) -> list[object]:
    conn = await asyncpg.connect(dsn)
    try:
        return [await conn.fetchval(statement) for statement in statements]
    finally:
        await conn.close()


async def test_rows_and_counters_are_as_in_a_new_database(databases: Databases) -> None:
    """What was changed, deleted and added, also in tables that were empty, and in partitions."""
    dsn = await databases.clone()
    [before, first] = await ask(dsn, STATE, NEXT)
    await ask(
        dsn,
        "UPDATE demo_crm.staff SET full_name = full_name || '!' WHERE id % 2 = 0",
        "DELETE FROM realtime.dispositions WHERE position > 1",
        "INSERT INTO realtime.call_event_payloads VALUES ('main', gen_random_uuid(), '{}', now())",
    )
    [changed] = await ask(dsn, STATE)

    await databases.give_back(dsn)

    assert await databases.borrow() == dsn
    [after, again] = await ask(dsn, STATE, NEXT)
    assert changed != before
    assert (after, again) == (before, first)
    await databases.give_back(dsn)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE realtime.extra ()",
        "ALTER TABLE realtime.messages ADD COLUMN extra int",
        "DROP INDEX realtime.messages_mentions",
        "CREATE FUNCTION realtime.extra() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE realtime.messages DISABLE TRIGGER ALL",
        "ALTER TABLE realtime.drafts ADD CHECK (true)",
        "GRANT SELECT ON realtime.drafts TO PUBLIC",
        "CREATE SCHEMA extra",
    ],
)
async def test_a_database_with_other_tables_is_not_lent_again(
    databases: Databases, change: str
) -> None:
    """Only rows and counters are restored: one that differs in more is dropped."""
    dsn = await databases.clone()
    await ask(dsn, change)

    await databases.give_back(dsn)

    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await ask(dsn, "SELECT 1")


async def test_a_connection_is_as_new_to_who_gets_it(database: str) -> None:
    """Settings, locks, listeners and transactions of its last user are gone."""
    last = await asyncpg.connect(database)
    pid = await last.fetchval("SELECT pg_backend_pid()")
    await last.add_listener("news", lambda *_: None)
    await last.execute("SET statement_timeout = '1s'; SELECT pg_advisory_lock(7)")
    await last.close()

    conn = await asyncpg.connect(database)

    assert await conn.fetchval("SELECT pg_backend_pid()") == pid
    assert await conn.fetchval("SHOW statement_timeout") == "0"
    assert await conn.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    assert await conn.fetchval("SELECT count(*) FROM pg_listening_channels()") == 0
    await conn.close()


async def test_a_connection_in_a_transaction_is_not_kept(database: str) -> None:
    """Nobody knows what it was about; the database rolls it back."""
    last = await asyncpg.connect(database)
    pid = await last.fetchval("SELECT pg_backend_pid()")
    await last.execute("BEGIN")
    await last.close()

    conn = await asyncpg.connect(database)

    assert await conn.fetchval("SELECT pg_backend_pid()") != pid
    await conn.close()


async def test_what_a_test_leaves_open_holds_nobody_up(databases: Databases) -> None:
    """Its connections are closed, with their transactions and locks, before rows are restored."""
    dsn = await databases.clone()
    forgotten = await asyncpg.connect(dsn)
    await forgotten.execute("BEGIN; LOCK TABLE realtime.messages")

    await databases.give_back(dsn)

    assert forgotten.is_closed()
    assert await databases.borrow() == dsn
    await databases.give_back(dsn)
