"""How PostgreSQL goes about unread_of: what it touches depends on what was asked, not on the rest.

With custom and with generic plans: a prepared statement becomes generic after five runs, and a
bad plan may hide in either.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.chat.queries import receipts
from gateway.db import Conn
from tests.support.query_plans import Explaining

CONVERSATIONS, MEMBERS, MESSAGES = 20, 200, 600
STRANGER = 999_999

Pairs = list[tuple[int, int]]


@pytest.fixture(scope="module")
async def crowd(module_database: str) -> AsyncIterator[Conn]:
    """Give a database with 4,000 participants in 20 groups and 12,000 messages nobody has read."""
    conn = await asyncpg.connect(module_database)
    await conn.execute(
        f"""
        WITH made AS (
            INSERT INTO realtime.conversations (kind, title, last_seq, last_change)
            SELECT 'group', 'group ' || n, {MESSAGES}, {MESSAGES + 1}
              FROM generate_series(1, {CONVERSATIONS}) AS n
         RETURNING id
        )
        INSERT INTO realtime.conversation_participants (conversation_id, employee_id, change)
        SELECT made.id, member, 1 FROM made, generate_series(1, {MEMBERS}) AS member;
        INSERT INTO realtime.messages
               (conversation_id, seq, sender_id, body, change, created_at)
        SELECT c.id, n, {STRANGER}, 'x', n + 1, now()
          FROM realtime.conversations AS c, generate_series(1, {MESSAGES}) AS n;
        """
    )
    await conn.execute("VACUUM ANALYZE")
    yield conn
    await conn.close()


@pytest.fixture
async def changing_crowd(crowd: Conn) -> AsyncIterator[Conn]:
    """Give the crowd to a test that changes it: in a transaction, which is rolled back."""
    transaction = crowd.transaction()
    await transaction.start()
    yield crowd
    await transaction.rollback()


async def _some_pairs(conn: Conn, count: int) -> Pairs:
    rows = await conn.fetch(
        """
        SELECT employee_id, conversation_id FROM realtime.conversation_participants
         ORDER BY employee_id * 7919 % 211, conversation_id LIMIT $1
        """,
        count,
    )
    return [(row["employee_id"], row["conversation_id"]) for row in rows]


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("count", [1, 5, 20, 100, 500])
async def test_messages_are_looked_at_for_the_asked_pairs_only(
    crowd: Conn, count: int, mode: str
) -> None:
    """Each look into messages happens once for each pair, never for each of 4,000 participants."""
    pairs = await _some_pairs(crowd, count)
    explaining = Explaining(crowd, mode)

    await receipts.unread_of(explaining, pairs)  # type: ignore[arg-type]

    looks = [
        node["Actual Loops"]
        for node in explaining.nodes()
        if node.get("Relation Name") == "messages"
    ]
    assert looks == [count, count]  # unread, and mentions


async def test_the_counts_are_those_of_each_pair(changing_crowd: Conn) -> None:
    """Capped, at zero, of someone who left or never was: the answer is per (person, chat)."""
    (first, second) = [
        row["id"]
        for row in await changing_crowd.fetch(
            "SELECT id FROM realtime.conversations ORDER BY id LIMIT 2"
        )
    ]
    await changing_crowd.execute(
        """
        UPDATE realtime.conversation_participants SET last_read_seq = $3, read_version = 4
         WHERE conversation_id = $1 AND employee_id = $2
        """,
        first, 1, MESSAGES - 3,
    )  # fmt: skip
    await changing_crowd.execute(
        """
        UPDATE realtime.conversation_participants SET last_read_seq = $3
         WHERE conversation_id = $1 AND employee_id = $2
        """,
        first, 2, MESSAGES,
    )  # fmt: skip
    await changing_crowd.execute(
        """
        UPDATE realtime.conversation_participants SET left_seq = 1
         WHERE conversation_id = $1 AND employee_id = 3
        """,
        first,
    )
    await changing_crowd.execute(
        "UPDATE realtime.messages SET mention_ids = '{1}' WHERE conversation_id = $1 AND seq = $2",
        first, MESSAGES,
    )  # fmt: skip

    asked = [(1, first), (2, first), (3, first), (4, second), (STRANGER, first)]
    counts = {
        (employee_id, unread.conversation_id): (unread.unread, unread.mentions, unread.version)
        for employee_id, unread in await receipts.unread_of(changing_crowd, asked)
    }

    assert counts == {
        (1, first): (3, 1, MESSAGES + 5),
        (2, first): (0, 0, MESSAGES + 1),
        (4, second): (100, 0, MESSAGES + 1),
    }
