"""How PostgreSQL goes about storing messages: one plan for any number, and never a table scan."""

from __future__ import annotations

import uuid

import asyncpg
import pytest

from gateway import db
from gateway.chat.queries import messages
from gateway.chat.queries.messages import Mentions, NewMessage

GROUPS = 8


@pytest.fixture
def database(new_database: str) -> str:
    """Give a new database: what is tested here is planned by what a server remembers."""
    return new_database


async def seq_scans(conn: asyncpg.Connection[asyncpg.Record]) -> int:
    """Return how often all messages were read."""
    await conn.execute("SELECT pg_stat_force_next_flush()")
    found: int = await conn.fetchval(
        "SELECT seq_scan FROM pg_stat_all_tables"
        " WHERE schemaname = 'realtime' AND relname = 'messages'"
    )
    return found


@pytest.mark.parametrize("of_each", [1, 2], ids=["single", "several"])
@pytest.mark.parametrize("wait", [False, True], ids=["at once", "waiting"])
async def test_a_young_database_gets_the_plan_that_a_grown_one_needs(
    database: str, wait: bool, of_each: int
) -> None:
    """After a few sends the plan is kept, whatever their number, and it reads no other messages,
    although it was made when there were none.
    """
    conn = await db.connect(database, application_name="test")
    try:
        rooms = await conn.fetch(
            "INSERT INTO realtime.conversations (kind, title)"
            f" SELECT 'group', n::text FROM generate_series(1, {GROUPS}) AS n RETURNING id"
        )
        ids = [room["id"] for room in rooms]
        await conn.execute(
            "INSERT INTO realtime.conversation_participants (conversation_id, employee_id, change)"
            " SELECT unnest($1::bigint[]), 1, 1",
            ids,
        )

        async def send(count: int) -> None:
            said = [
                NewMessage(1, room, uuid.uuid4(), "hello", reply_to_seq=None, mentions=Mentions())
                for room in ids[:count]
                for _ in range(of_each)
            ]
            stored = await messages.insert(conn, said, wait=wait)
            assert all(stored)

        for number in range(8):
            await send(1 if wait else number % GROUPS + 1)
        scanned = await seq_scans(conn)
        for number in range(8):
            await send(1 if wait else number % GROUPS + 1)

        assert await seq_scans(conn) == scanned
        [plan] = await conn.fetch(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements"
            " WHERE statement LIKE '%-- messages' || '.insert_%'"
        )
        assert (plan["custom_plans"], plan["generic_plans"]) == (5, 11)
    finally:
        await conn.close()
