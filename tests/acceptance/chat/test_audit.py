"""What moderators do is written down with it, and read by those who may."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.db import pool
from gateway.protocol import (
    ConversationClose,
    ConversationCreate,
    ConversationRemove,
    ConversationReopen,
    ConversationSetRole,
    ConversationUpdate,
)
from gateway.protocol.frame import MAX_INT
from tests.support.desk import DIRECTOR, IRYNA, OKSANA, PETRO, Desk, refused


async def read(desk: Desk, **asked: Any) -> dict[str, Any]:
    """Read a page as the director."""
    found = await desk.http(DIRECTOR).get("/v1/audit", params=asked)
    assert found.status_code == 200, found.text
    page: dict[str, Any] = found.json()
    return page


async def test_each_act_of_moderation_is_written_down_once(desk: Desk) -> None:
    """Who did what, where and to whom; what changed nothing, or was one's own, is not."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    made = await oksana.request(ConversationCreate(title="old", employee_ids=[PETRO, IRYNA]))
    room = made.conversation.id
    theirs, own = await petro.send(room, "theirs"), await oksana.send(room, "own")

    for _ in range(2):
        await oksana.delete(room, theirs.seq)
        await oksana.delete(room, own.seq)
        await oksana.request(ConversationUpdate(conversation_id=room, title="new"))
        await oksana.request(
            ConversationSetRole(conversation_id=room, employee_id=PETRO, role="admin")
        )
        await oksana.request(ConversationRemove(conversation_id=room, employee_id=IRYNA))
    for command in (ConversationClose, ConversationReopen):
        await oksana.request(command(conversation_id=room))
        await oksana.request(command(conversation_id=room))

    records = (await read(desk, conversation_id=room))["records"]
    assert [(one["act"], one["seq"], one["details"]) for one in reversed(records)] == [
        ("message.delete", theirs.seq, {"sender_id": PETRO}),
        ("conversation.update", None, {"title": ["old", "new"]}),
        (
            "conversation.set_role",
            None,
            {"employee_id": PETRO, "role": "admin", "before": "member"},
        ),
        ("conversation.remove", None, {"employee_id": IRYNA}),
        ("conversation.close", None, {}),
        ("conversation.reopen", None, {}),
    ]
    assert {one["actor_id"] for one in records} == {OKSANA}
    assert {one["conversation_id"] for one in records} == {room}


async def test_what_is_refused_or_undone_is_not_written_down(desk: Desk) -> None:
    """The record is in the act's own statement: where that fails, neither is there."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    made = await oksana.request(ConversationCreate(title="old", employee_ids=[PETRO]))
    room = made.conversation.id
    await oksana.send(room, "a")

    assert await refused(petro.delete(room, 1)) == "permission.denied"
    command = ConversationRemove(conversation_id=room, employee_id=OKSANA)
    assert await refused(petro.request(command)) == "permission.denied"
    await desk.sql("ALTER TABLE realtime.audit ADD CHECK (act <> 'conversation.remove')")
    command = ConversationRemove(conversation_id=room, employee_id=PETRO)
    assert await refused(oksana.request(command)) == "internal"

    assert (await read(desk))["records"] == []
    assert (await petro.history(room)).messages[-1].text == "a"


async def test_the_audit_is_read_in_pages_and_by_what_one_looks_for(small_desk: Desk) -> None:
    """Newest first, each row once, by act, actor, conversation and time."""
    await small_desk.sql(
        """
        INSERT INTO realtime.audit (at, act, actor_id, conversation_id)
        SELECT '2026-01-01 12:00Z'::timestamptz + n * interval '1 hour',
               CASE n % 2 WHEN 0 THEN 'message.delete' ELSE 'retention.delete' END,
               CASE n % 2 WHEN 0 THEN n % 3 + 1 END, CASE n % 2 WHEN 0 THEN n % 5 + 1 END
          FROM generate_series(0, 29) AS n
        """
    )
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)

    for theirs, ours in (("cursor", "cursor"), ("before", "next")):
        seen: list[int] = []
        place: dict[str, Any] = {}
        while True:
            page = await read(small_desk, limit=7, **place)
            seen += [one["id"] for one in page["records"]]
            if page[ours] is None:
                break
            place = {theirs: page[ours]}

        assert seen == sorted(seen, reverse=True), theirs
        assert len(set(seen)) == 30, theirs
    for asked, count in (
        ({"act": "message.delete"}, 15),
        ({"actor_id": 2}, 5),
        ({"conversation_id": 3, "act": "message.delete"}, 3),
        ({"since": (noon + timedelta(hours=28)).isoformat()}, 2),
        ({"until": (noon + timedelta(hours=2)).isoformat()}, 2),
        ({"act": "nothing.such"}, 0),
        ({"before": 1}, 0),
        ({"before": MAX_INT, "limit": 100}, 30),
        ({"source": "sql"}, 0),
        ({"subject": "deal:9"}, 0),
    ):
        page = await read(small_desk, **asked)
        assert len(page["records"]) == count, asked
        assert page["next"] is None


async def test_the_audit_is_not_for_everyone(small_desk: Desk) -> None:
    """Not without the permission, not without a token, and not by nonsense."""
    for employee_id, status, code in (
        (OKSANA, 403, "permission.denied"),
        (None, 401, "token.missing"),
    ):
        found = await small_desk.http(employee_id).get("/v1/audit")
        assert (found.status_code, found.json()["error"]["code"]) == (status, code)
    director = small_desk.http(DIRECTOR)
    for name, value in (
        ("act", "no verb"),
        ("act", "a" * 200 + ".b"),
        ("act", "a.b\x00"),
        ("actor_id", "0"),
        ("actor_id", str(MAX_INT + 1)),
        ("conversation_id", "x"),
        ("since", "yesterday"),
        ("until", "2026-01-01T12:00:00"),
        ("since", "0001-01-01T00:00:00+14:00"),
        ("until", "9999-12-31T23:59:59-14:00"),
        ("before", "0"),
        ("limit", "101"),
        ("source", "elsewhere"),
        ("subject", ""),
        ("subject", "a\nb"),
        ("subject", "a\x00"),
        ("subject", "x" * 201),
        ("request_id", "short"),
        ("request_id", "two words"),
        ("request_id", "x" * 65),
    ):
        found = await director.get("/v1/audit", params={name: value})
        assert (found.status_code, found.json()["error"]["code"]) == (422, "command.invalid"), name
        assert found.json()["error"]["path"] == f"query.{name}"
    for cursor in ("x", "W10", "WyIyMDI2IiwxXQ", "WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiIsInQiXQ"):
        found = await director.get("/v1/audit", params={"cursor": cursor})
        assert (found.status_code, found.json()["error"]["path"]) == (422, "cursor"), cursor
    both = await director.get("/v1/audit", params={"cursor": "W10", "before": 1})
    assert (both.status_code, both.json()["error"]["path"]) == (422, "query.before")


async def test_acts_of_one_moment_are_paged_without_a_gap(small_desk: Desk) -> None:
    """Ids and times need not agree: a transaction's time is that of its beginning."""
    await small_desk.sql(
        """
        INSERT INTO realtime.audit (at, act)
        SELECT '2026-01-01 12:00Z'::timestamptz + (n * 7 % 5) * interval '1 hour', 'deal.win'
          FROM generate_series(0, 39) AS n
        """
    )
    rows = await small_desk.sql("SELECT id FROM realtime.audit ORDER BY at DESC, id DESC")

    for theirs, ours in (("cursor", "cursor"), ("before", "next")):
        seen: list[int] = []
        place: dict[str, Any] = {}
        while True:
            page = await read(small_desk, limit=3, **place)
            seen += [one["id"] for one in page["records"]]
            if page[ours] is None:
                break
            place = {theirs: page[ours]}
        assert seen == [row["id"] for row in rows], theirs

    gone = await small_desk.sql("DELETE FROM realtime.audit WHERE id = $1 RETURNING id", seen[9])
    page = await read(small_desk, before=gone[0]["id"], limit=100)
    assert {one["id"] for one in page["records"]} == {one for one in seen if one < seen[9]}


async def test_an_act_names_its_source_its_request_and_its_subject(small_desk: Desk) -> None:
    """A command on a socket, a request with an id of the client's, and one of the CRM."""
    oksana = await small_desk.client(OKSANA)
    made = await oksana.request(ConversationCreate(title="a", employee_ids=[PETRO]))
    room = made.conversation.id
    await oksana.request(ConversationClose(conversation_id=room))
    await oksana.request(ConversationReopen(conversation_id=room))
    http = small_desk.http(DIRECTOR)
    await small_desk.sql(
        "INSERT INTO realtime.conversation_participants (conversation_id, employee_id, change)"
        " VALUES ($1, $2, 99)",
        room,
        DIRECTOR,
    )
    export = await http.get(
        f"/v1/messenger/conversations/{room}/export", headers={"X-Request-Id": "export-of-0001"}
    )
    assert (export.status_code, export.headers["X-Request-Id"]) == (200, "export-of-0001")
    await small_desk.sql("SELECT realtime.audit_event($1::bigint, 'deal.win', 'deal:9')", PETRO)

    event, exported, reopened, closed = (await read(small_desk))["records"]

    assert (event["source"], event["actor_id"], event["subject"]) == ("sql", PETRO, "deal:9")
    assert (exported["source"], exported["request_id"]) == ("rest", "export-of-0001")
    assert (closed["source"], closed["subject"]) == ("socket", f"conversation:{room}")
    (session,) = small_desk.nodes[0].node.sessions
    numbers = [one["request_id"].removeprefix(f"{session.id}-") for one in (closed, reopened)]
    assert int(numbers[1]) == int(numbers[0]) + 1
    for sought, found in (
        ({"source": "rest"}, [exported]),
        ({"subject": f"conversation:{room}"}, [exported, reopened, closed]),
        ({"request_id": "export-of-0001"}, [exported]),
        ({"request_id": closed["request_id"]}, [closed]),
        ({"request_id": "export-of-0002"}, []),
    ):
        assert (await read(small_desk, **sought))["records"] == found


@pytest.mark.parametrize(("said", "own"), [
    (None, False), ("a" * 64, True), ("x" * 65, False), ("a" * 8, True), ("short-1", False),
    ("A-Z_a-z-0-9", True), ("", False), ("two words 1", False), ("id\u00e9-latin-1", False),
    ("new;line=1", False),
])  # fmt: skip
async def test_every_answer_has_a_request_id(small_desk: Desk, said: str | None, own: bool) -> None:
    """The client's own where it is a short token; also of a refusal, and of a page."""
    headers = [] if said is None else [(b"X-Request-Id", said.encode("latin-1"))]
    http = small_desk.http()
    for path, status in (("/v1/audit", 401), ("/v1/nothing", 404), ("/healthz", 200), ("/", 200)):
        answer = await http.get(path, headers=headers)
        assert answer.status_code == status
        (named,) = answer.headers.get_list("X-Request-Id")
        assert (named == said) is own
        assert re.fullmatch(r"[A-Za-z0-9_-]{8,64}", named)


async def test_an_act_takes_no_statement_more_for_its_record(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is a part of the statement that does it."""
    asked: list[str] = []
    configure = pool.configure

    async def configure_and_listen(conn: Any) -> None:
        await configure(conn)
        conn.add_query_logger(lambda record: asked.append(record.query))

    monkeypatch.setattr(pool, "configure", configure_and_listen)
    await empty_desk.start_node()
    oksana, petro = await empty_desk.client(OKSANA), await empty_desk.client(PETRO)
    made = await oksana.request(ConversationCreate(title="a", employee_ids=[PETRO, IRYNA]))
    room = made.conversation.id
    theirs = await petro.send(room, "theirs")

    for command, statement in (
        (ConversationUpdate(conversation_id=room, title="b"), "members.update"),
        (ConversationSetRole(conversation_id=room, employee_id=PETRO, role="admin"),
         "members.set_role"),
        (ConversationRemove(conversation_id=room, employee_id=IRYNA), "members.leave"),
        (ConversationClose(conversation_id=room), "members.update"),
        (ConversationReopen(conversation_id=room), "members.update"),
        (None, "edits.delete"),
    ):  # fmt: skip
        asked.clear()
        if command is None:
            await oksana.delete(room, theirs.seq)
        else:
            await oksana.request(command)
        writing = [query for query in asked if "INTO realtime.audit" in query]
        assert [f"-- {statement}\n" in query for query in writing] == [True]
    assert len((await read(empty_desk))["records"]) == 6
