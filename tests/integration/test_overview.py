"""What a welcome lists is what conversation.list lists, and PostgreSQL reads no more for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.db import Conn
from gateway.db.pool import configure
from gateway.hello import views
from gateway.hello.queries import overview
from gateway.hello.views import ViewRequest
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk
from tests.support.query_plans import Explaining
from tests.support.raw import raw

STRANGER = 4_040_404
"""In conversations, but no longer in the CRM."""

PEOPLE, SEATS = 2_000, 20


async def _furnish(desk: Desk) -> None:
    """Give Petro 60 conversations with everything in them that may be odd."""
    await desk.sql(
        """
        UPDATE demo_crm.staff SET full_name = E'Ірина "Ира" \\\\ \\t\U0001f600', job_title = ''
         WHERE id = $1
        """,
        IRYNA,
    )
    await desk.sql(
        """
        WITH made AS (
            INSERT INTO realtime.conversations
                   (kind, title, last_seq, last_change, last_message_at)
            SELECT 'group', CASE WHEN n % 7 > 0 THEN 'Group "' || n || '"' END, n % 9,
                   n % 9 + 1, now() - n * interval '1 minute'
              FROM generate_series(1, 60) AS n
         RETURNING id, last_seq, last_message_at
        ), seated AS (
            INSERT INTO realtime.conversation_participants
                   (conversation_id, employee_id, change, role, last_read_seq, left_seq,
                    read_version)
            SELECT made.id, e, 1,
                   CASE e WHEN $1 THEN 'owner' WHEN $2 THEN 'admin' ELSE 'member' END,
                   least(made.last_seq, e % 5), CASE WHEN e = $3 AND made.id % 3 = 0 THEN 1 END, e
              FROM made
             CROSS JOIN LATERAL (
                   SELECT unnest(ARRAY[$1::bigint, $2, $3, $4]) AS e
                    UNION SELECT generate_series(1, 17 + made.id % 5) WHERE made.id % 4 = 0
                   ) AS people
        )
        INSERT INTO realtime.messages
               (conversation_id, seq, sender_id, state, mention_ids, mention_all, body, change,
                created_at, client_key)
        SELECT made.id, n, CASE WHEN n % 4 > 0 THEN $3::bigint END, (n + made.id) % 3,
               CASE WHEN n % 2 = 0 THEN ARRAY[$2::bigint] END, n % 5 = 0, 'text "' || n || '"',
               n + 1, made.last_message_at - (made.last_seq - n) * interval '1 second'
                      - made.id % 2 * interval '1 microsecond',
               CASE WHEN n % 3 > 0 THEN gen_random_uuid() END
          FROM made, generate_series(1, made.last_seq) AS n
        """,
        OKSANA,
        PETRO,
        IRYNA,
        STRANGER,
    )


async def test_a_welcome_lists_what_conversation_list_does(empty_desk: Desk) -> None:
    """To the letter, and in the same order of fields: there is one way to write a conversation."""
    node = await empty_desk.start_node()
    await _furnish(empty_desk)
    await empty_desk.client(IRYNA)

    async with raw(node.socket_url) as petro:
        welcome = (await petro.hello(empty_desk.token(PETRO)))["ok"]
        listed = (await petro.ask({"type": "conversation.list", "id": 2}))["ok"]
        for one in (*welcome["conversations"], *listed["conversations"]):
            for presence in one["presences"]:  # it may move between the two
                presence |= {"since": None, "version": None}
        rest = await petro.ask({"type": "conversation.list", "id": 3, "cursor": welcome["next"]})
        counted = (await petro.ask({"type": "unread.get", "id": 4}))["ok"]

    assert json.dumps(welcome["conversations"]) == json.dumps(listed["conversations"])
    assert welcome["next"] == listed["next"]
    assert len(welcome["conversations"]) == 50
    assert len(rest["ok"]["conversations"]) == 10
    assert welcome["unread"] == counted
    assert 0 < len(counted["conversations"]) < 60
    assert any(one["mentions"] for one in counted["conversations"])
    # The material is as odd as it is meant to be:
    sizes = {
        item["participant_count"]: len(item["participants"]) for item in listed["conversations"]
    }
    assert {size: shown for size, shown in sizes.items() if size > 20} != {}
    assert max(sizes.values()) == 20
    assert any(item["last_message"] is None for item in listed["conversations"])
    shown = {
        who["employee"]["id"] for one in listed["conversations"] for who in one["participants"]
    }
    assert STRANGER not in shown
    assert {seen["status"] for one in listed["conversations"] for seen in one["presences"]} == {
        "online", "offline",
    }  # fmt: skip


async def test_someone_without_conversations_is_welcome(empty_desk: Desk) -> None:
    """Empty lists, no cursor, nothing to reload but what was never theirs."""
    node = await empty_desk.start_node()

    async with raw(node.socket_url) as petro:
        welcome = (await petro.hello(empty_desk.token(PETRO), resume={"5": 3, "6": 0}))["ok"]

    assert (welcome["conversations"], welcome["next"], welcome["changes"]) == ([], None, {})
    assert welcome["reload"] == [5, 6]


# --- how PostgreSQL goes about it ----------------------------------------------------------------


@pytest.fixture(scope="module")
async def company(module_database: str) -> AsyncIterator[Conn]:
    """Give 2,000 people, each in 20 groups of 20, with 10 messages in each, some unread."""
    conn = await asyncpg.connect(module_database)
    await configure(conn)
    await conn.execute(
        f"""
        INSERT INTO demo_crm.staff (id, full_name, department_id, job_title, role_id)
        SELECT 1000 + n, 'Person ' || n, 1, 'Agent', 1 FROM generate_series(0, {PEOPLE - 1}) AS n;
        WITH made AS (
            INSERT INTO realtime.conversations (kind, title, last_seq, last_change)
            SELECT 'group', 'group ' || n, 10, 11 FROM generate_series(0, {PEOPLE - 1}) AS n
         RETURNING id
        ), placed AS (
            SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM made
        )
        INSERT INTO realtime.conversation_participants
               (conversation_id, employee_id, change, last_read_seq)
        SELECT id, 1000 + (place + seat) % {PEOPLE}, 1, CASE WHEN seat % 8 = 0 THEN 7 ELSE 10 END
          FROM placed, generate_series(0, {SEATS - 1}) AS seat;
        INSERT INTO realtime.messages (conversation_id, seq, sender_id, body, change, created_at)
        SELECT c.id, n, 1, 'x', n + 1, now()
          FROM realtime.conversations AS c, generate_series(1, 10) AS n;
        INSERT INTO realtime.message_reactions (conversation_id, seq, employee_id, emoji, change)
        SELECT c.id, n, 1, '👍', n + 1
          FROM realtime.conversations AS c, generate_series(1, 10, 3) AS n;
        """
    )
    await conn.execute("VACUUM ANALYZE")
    yield conn
    await conn.close()


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("count", [1, 16])
async def test_a_list_touches_only_its_own_rows(company: Conn, mode: str, count: int) -> None:
    """No table is read from end to end, and no message of a conversation that has been read."""
    people = list(range(1500, 1500 + 7 * count, 7))
    explaining = Explaining(company, mode)

    await overview.lines(explaining, people, detailed=50, limit=2_000)  # type: ignore[arg-type]

    nodes = list(explaining.nodes())
    assert [node for node in nodes if node["Node Type"] == "Seq Scan"] == []
    rows = sum(
        node["Actual Rows"] * node["Actual Loops"]
        for node in nodes
        if node.get("Relation Name") == "messages" and node.get("Index Name") != "messages_mentions"
    )
    unread, newest = 3 * 3 * count, SEATS * count  # 3 of 20 conversations have 3 unread
    assert rows == unread + newest
    # 600 for one person: 22 of their own, 3 a conversation, 22 for its people, 3 for its message.
    assert (
        explaining.plan["Shared Hit Blocks"] + explaining.plan["Shared Read Blocks"] < 900 * count
    )


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_what_to_hear_is_read_from_one_index(company: Conn, mode: str) -> None:
    """The conversations of those who arrive cost no look at conversations at all."""
    explaining = Explaining(company, mode)

    await overview.newcomers(explaining, [1500, 1600, 1700], ["t"], 2_000)  # type: ignore[arg-type]

    relations = {node["Relation Name"] for node in explaining.nodes() if "Relation Name" in node}
    assert "conversation_participants" in relations
    assert relations.isdisjoint({"conversations", "messages"})
    assert [
        node
        for node in explaining.nodes()
        if node["Node Type"] == "Seq Scan"
        and node["Relation Name"] in {"conversation_participants", "staff"}
    ] == []


async def test_people_read_together_see_what_each_would_alone(company: Conn) -> None:
    """Sixteen in one look, some of them twice and from different positions: the same views."""
    asked = [
        ViewRequest(1500 + n // 2, dict.fromkeys(range(480, 520), 3 + n % 9)) for n in range(16)
    ]

    together = await views.read_views(company, asked, max_topics=2_000)
    alone = [(await views.read_views(company, [one], max_topics=2_000))[0] for one in asked]

    for each, same in zip(together, alone, strict=True):
        assert (each.lines, each.unread, each.positions) == (
            same.lines,
            same.unread,
            same.positions,
        )
        assert (each.next, each.reload) == (same.next, same.reload)
        assert {c: len(events) for c, events in each.changes.items()} == {
            c: len(events) for c, events in same.changes.items()
        }
        assert len(each.lines) == SEATS
    assert any(view.changes for view in together)


async def test_more_conversations_than_are_heard_are_still_counted(company: Conn) -> None:
    """Beyond max_topics nothing is heard live, but a welcome's page and unread counts are whole."""
    [view] = await views.read_views(company, [ViewRequest(1500, {})], max_topics=10)

    assert len(view.positions) == 10
    assert len(view.lines) == SEATS
    assert [one.unread for one in view.unread] == [3, 3, 3]
