"""A conversation is exported whole, by those who may, and every export is noted."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import orjson

from gateway import auth
from gateway.chat import export
from gateway.context import Context
from gateway.protocol.frame import MAX_INT
from tests.support.desk import DIRECTOR, OKSANA, PETRO, Desk, eventually


def path(conversation_id: int) -> str:
    return f"/v1/messenger/conversations/{conversation_id}/export"


async def room(desk: Desk, *people: int, messages: int) -> int:
    """Make a group in which the first has written so much."""
    rows = await desk.sql(
        """
        WITH made AS (
            INSERT INTO realtime.conversations (kind, title, last_seq, last_change)
            VALUES ('group', 'Room', $2::bigint, $2::bigint + 1)
         RETURNING id
        ), joined AS (
            INSERT INTO realtime.conversation_participants (conversation_id, employee_id, change)
            SELECT made.id, person, 1 FROM made, unnest($1::bigint[]) AS person
        ), written AS (
            INSERT INTO realtime.messages
                   (conversation_id, seq, change, sender_id, body, created_at)
            SELECT made.id, n, n + 1, ($1::bigint[])[1], 'message ' || n, now()
              FROM made, generate_series(1, $2::bigint) AS n
        )
        SELECT id FROM made
        """,
        list(people),
        messages,
    )
    conversation_id: int = rows[0]["id"]
    return conversation_id


async def exported(desk: Desk, conversation_id: int, employee_id: int = DIRECTOR) -> list[Any]:
    """Return the lines of an export."""
    found = await desk.http(employee_id).get(path(conversation_id))
    assert found.status_code == 200
    assert found.headers["content-type"].startswith("application/x-ndjson")
    assert f'"conversation-{conversation_id}.jsonl"' in found.headers["content-disposition"]
    return [orjson.loads(line) for line in found.content.splitlines()]


async def audit(desk: Desk) -> list[Any]:
    return await desk.sql("SELECT * FROM realtime.audit ORDER BY id")


async def test_an_export_is_whole_in_order_and_noted(small_desk: Desk) -> None:
    """Three pages of messages, once each, as history shows them; who took them is known."""
    conversation_id = await room(small_desk, OKSANA, DIRECTOR, messages=2 * export.PAGE + 50)

    first, *messages, last = await exported(small_desk, conversation_id)

    assert first["conversation"]["id"] == conversation_id
    assert last == {"messages": 450}
    assert [line["message"]["seq"] for line in messages] == list(range(1, 451))
    history = await small_desk.http(OKSANA).get(
        f"/v1/messenger/conversations/{conversation_id}/messages", params={"after": 0}
    )
    assert [line["message"] for line in messages[:50]] == history.json()["messages"]
    (noted,) = await audit(small_desk)
    assert (noted["act"], noted["actor_id"]) == ("conversation.export", DIRECTOR)
    assert noted["conversation_id"] == conversation_id
    assert json.loads(noted["details"]) == {"after": 0, "to": 450}


async def test_who_may_not_export_gets_nothing(small_desk: Desk) -> None:
    """A member without the permission, and a director in somebody else's conversation."""
    mine = await room(small_desk, OKSANA, PETRO, messages=1)

    answers = [
        await small_desk.http(employee_id).get(path(conversation_id))
        for employee_id, conversation_id in (
            (OKSANA, mine), (DIRECTOR, mine), (DIRECTOR, mine + 1), (DIRECTOR, MAX_INT),
            (DIRECTOR, 0), (None, mine),
        )
    ]  # fmt: skip

    assert [answer.json()["error"]["code"] for answer in answers] == [
        "permission.denied", "conversation.not_found", "conversation.not_found",
        "conversation.not_found", "command.invalid", "token.missing",
    ]  # fmt: skip
    assert await audit(small_desk) == []


async def test_what_came_before_a_member_stays_out_of_their_export(small_desk: Desk) -> None:
    """With history 'joined', an export begins where its taker did."""
    conversation_id = await room(small_desk, OKSANA, DIRECTOR, messages=5)
    await small_desk.sql("UPDATE realtime.conversations SET history = 'joined'")
    await small_desk.sql(
        "UPDATE realtime.conversation_participants SET joined_seq = 3 WHERE employee_id = $1",
        DIRECTOR,
    )

    _, *messages, last = await exported(small_desk, conversation_id)

    assert [line["message"]["seq"] for line in messages] == [4, 5]
    assert last == {"messages": 2}


async def begun(desk: Desk, conversation_id: int) -> AsyncGenerator[bytes, None]:
    """Begin an export as the route does; the caller reads it as slowly as they like."""
    services = desk.nodes[0].node.services
    async with services.connection() as conn:
        identity = await auth.identify(conn, desk.tokens.verify(desk.token(DIRECTOR)))
    return await export.start(Context(identity, services), conversation_id)


async def test_who_is_removed_during_an_export_gets_no_more(desk: Desk) -> None:
    """Each page asks again; what was begun ends by saying why."""
    conversation_id = await room(desk, OKSANA, DIRECTOR, messages=export.PAGE + 1)
    lines = await begun(desk, conversation_id)
    await anext(lines)
    first_page = (await anext(lines)).splitlines()
    await desk.sql(
        "UPDATE realtime.conversation_participants SET left_seq = 1 WHERE employee_id = $1",
        DIRECTOR,
    )

    (last,) = [orjson.loads(chunk) async for chunk in lines]

    assert len(first_page) == export.PAGE
    assert last["error"]["code"] == "conversation.not_found"


async def test_a_reader_who_stops_holds_no_connection(desk: Desk) -> None:
    """More exports than the pool has connections, begun and left there: everyone else is served."""
    conversation_id = await room(desk, OKSANA, DIRECTOR, messages=export.PAGE + 1)
    exports = [await begun(desk, conversation_id) for _ in range(10)]
    for lines in exports:
        await anext(lines)
        assert (await anext(lines)).count(b"\n") == export.PAGE

    pool = desk.nodes[0].node.services.pool
    await eventually(lambda: pool.get_idle_size() == pool.get_size())

    for lines in exports:
        await lines.aclose()
