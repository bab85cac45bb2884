"""Programs open conversations, say who is in them, and write as the system: by REST and by SQL."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import httpx2
import pytest

from gateway.auth import scopes
from gateway.chat import ownership
from gateway.client import Connection
from gateway.protocol import (
    ConversationCreated,
    ConversationGet,
    MessageCreated,
    ParticipantChanged,
    UnreadChanged,
)
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, employee, refused
from tests.support.programs import code_of, program

CONVERSATIONS = "/v1/service/conversations"
GROUP: dict[str, Any] = {
    "title": "Deal 17", "employee_ids": [OKSANA, PETRO], "external_key": "deal:17",
}  # fmt: skip
LONG_S = 3_600.0
OPEN = "SELECT * FROM realtime.open_conversation($1, $2, $3)"


@pytest.fixture
async def desk(empty_desk: Desk) -> Desk:
    """Give a desk whose two nodes find by themselves nothing of what is tested here."""
    for _ in range(2):
        await empty_desk.start_node(sweep_s=LONG_S, standing_s=LONG_S, upkeep_s=LONG_S)
    return empty_desk


def message(text: str, **more: Any) -> dict[str, Any]:
    return {"client_key": str(uuid.uuid4()), "text": text, **more}


async def opened(client: httpx2.AsyncClient, **changes: Any) -> int:
    answer = await client.post(CONVERSATIONS, json=GROUP | changes)
    assert answer.status_code in {200, 201}, answer.text
    found: int = answer.json()["conversation_id"]
    return found


async def message_and_count(socket: Connection) -> tuple[MessageCreated, UnreadChanged]:
    """Return the next message, and the count with it; either may be first."""
    message, counted = None, None
    while message is None or counted is None:
        event = await socket.next()
        if isinstance(event, MessageCreated):
            message = event
        elif isinstance(event, UnreadChanged) and event.conversations[0].unread:
            counted = event
    return message, counted


async def test_what_a_program_does_is_heard_at_once(desk: Desk) -> None:
    """On every node, though none of them looks for it: open, send, add, remove."""
    client = await program(desk)
    petro, iryna = await desk.client(PETRO, node=1), await desk.client(IRYNA, node=1)
    room = await opened(client)
    created = await petro.next(ConversationCreated)
    assert (created.conversation_id, created.title) == (room, "Deal 17")

    answer = await client.post(f"{CONVERSATIONS}/{room}/messages", json=message("It is won."))
    heard, counted = await message_and_count(petro)
    assert answer.json() == {
        "conversation_id": room, "seq": heard.message.seq, "change": heard.change,
    }  # fmt: skip
    assert (heard.message.text, heard.message.sender_id) == ("It is won.", None)
    assert [(one.conversation_id, one.unread) for one in counted.conversations] == [(room, 1)]

    answer = await client.post(
        f"{CONVERSATIONS}/{room}/participants", json={"employee_ids": [IRYNA, PETRO]}
    )
    assert answer.json() == {"employee_ids": [IRYNA]}
    assert (await iryna.next(ConversationCreated)).conversation_id == room
    assert (await petro.next(ParticipantChanged)).participant.employee.id == IRYNA

    answer = await client.delete(f"{CONVERSATIONS}/{room}/participants/{IRYNA}")
    assert answer.json() == {"employee_ids": [IRYNA]}
    gone = await iryna.next(ParticipantChanged)
    assert (gone.left, gone.participant.employee.id) == (True, IRYNA)
    assert await refused(iryna.request(ConversationGet(conversation_id=room))) == (
        "conversation.not_found"
    )
    answer = await client.delete(f"{CONVERSATIONS}/{room}/participants/{IRYNA}")
    assert answer.json() == {"employee_ids": []}


async def test_one_key_is_one_conversation(desk: Desk) -> None:
    """Whatever else is said the second time; another key is another one."""
    client = await program(desk)
    first = await client.post(CONVERSATIONS, json=GROUP)
    again = await client.post(
        CONVERSATIONS, json=GROUP | {"title": "Another", "employee_ids": [IRYNA]}
    )

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() | {"created": False}
    assert await opened(client, external_key="deal:18") != first.json()["conversation_id"]
    petro = await desk.client(PETRO)
    shown = await petro.request(ConversationGet(conversation_id=first.json()["conversation_id"]))
    assert shown.conversation.title == "Deal 17"
    assert {one.role for one in shown.conversation.participants} == {"member"}


async def test_a_direct_conversation_is_that_of_its_people(desk: Desk) -> None:
    """The same that one of them opens."""
    client = await program(desk)
    body = {"kind": "direct", "employee_ids": [PETRO, OKSANA]}

    answers = [(await client.post(CONVERSATIONS, json=body)).json() for _ in range(2)]
    by_hand = await desk.http(PETRO).post(
        "/v1/messenger/conversations", json={"employee_id": OKSANA}
    )

    assert [one["created"] for one in answers] == [True, False]
    assert len({one["conversation_id"] for one in answers}) == 1
    assert by_hand.status_code == 200
    assert by_hand.json()["conversation"]["id"] == answers[0]["conversation_id"]


async def test_many_open_one_key_at_once(database: str, desk: Desk, crm: Any) -> None:
    """Eight connections of the CRM, some of which roll back, and a program: one conversation."""
    client = await program(desk)

    async def by_sql(conn: Any, key: str, *, fails: bool) -> int | None:
        transaction = conn.transaction()
        await transaction.start()
        row = await conn.fetchrow(OPEN, "Deal", [OKSANA], key)
        await (transaction.rollback() if fails else transaction.commit())
        return None if fails else row["conversation_id"]

    async with AsyncExitStack() as stack:
        conns = []
        for _ in range(8):
            conns.append(await asyncpg.connect(database))
            stack.push_async_callback(conns[-1].close)
        for number in range(6):
            key = f"deal:{number}"
            found = await asyncio.gather(
                *(by_sql(conn, key, fails=place % 3 == 0) for place, conn in enumerate(conns)),
                opened(client, external_key=key),
            )
            assert len({one for one in found if one is not None}) == 1

    rows = await crm.fetch("SELECT id FROM realtime.conversations")
    keys = await crm.fetch("SELECT conversation_id FROM realtime.crm_conversations")
    assert {row["id"] for row in rows} == {row["conversation_id"] for row in keys}
    assert len(rows) == 6
    told = await crm.fetch("SELECT conversation_id FROM realtime.membership_changes")
    assert len(told) == 6


async def test_a_rollback_leaves_nothing(desk: Desk, crm: Any) -> None:
    """No row in any table, and nobody is told."""
    room = await opened(await program(desk))
    counted = " UNION ALL ".join(
        f"SELECT '{table}', count(*) FROM realtime.{table}"
        for table in ("conversations", "conversation_participants", "crm_conversations",
                      "membership_changes", "messages", "audit")
    )  # fmt: skip
    state = "SELECT last_seq, last_change FROM realtime.conversations WHERE id = $1"
    before = await crm.fetch(counted), await crm.fetch(state, room)

    transaction = crm.transaction()
    await transaction.start()
    await crm.fetch(OPEN, "Deal 18", [OKSANA], "deal:18")
    await crm.fetch("SELECT realtime.add_participants($1, $2)", room, [IRYNA])
    await crm.fetch("SELECT realtime.remove_participants($1, $2)", room, [PETRO])
    await transaction.rollback()

    assert (await crm.fetch(counted), await crm.fetch(state, room)) == before


async def test_a_conversation_of_programs_stays_theirs(desk: Desk, crm: Any) -> None:
    """Nobody owns it, and no owner is looked for; one that somebody owns gets another owner."""
    client = await program(desk)
    managed = await opened(client)
    owned = await opened(client, external_key="deal:18", created_by=OKSANA)
    roles = (
        "SELECT employee_id, role FROM realtime.conversation_participants"
        " WHERE conversation_id = $1 AND left_seq IS NULL ORDER BY employee_id"
    )
    services = desk.nodes[0].node.services
    await crm.execute("UPDATE demo_crm.staff SET dismissed_on = now() WHERE id = 1")
    await ownership.sweep(services, grace_s=0.0)
    await ownership.sweep(services, grace_s=0.0)

    assert {row["role"] for row in await crm.fetch(roles, managed)} == {"member"}
    assert [
        row["role"] for row in await crm.fetch(roles, owned) if row["employee_id"] == PETRO
    ] == ["owner"]
    answer = await desk.http(PETRO).post(
        f"/v1/messenger/conversations/{managed}/participants", json={"employee_ids": [IRYNA]}
    )
    assert code_of(answer) == (403, "permission.denied")


async def test_the_last_owner_who_is_removed_leaves_an_owner(desk: Desk, crm: Any) -> None:
    """An admin before a member, who is told of it as of any other role."""
    client = await program(desk)
    four = employee(4)
    room = await opened(client, employee_ids=[PETRO, IRYNA, four], created_by=OKSANA)
    await crm.execute(
        "UPDATE realtime.conversation_participants SET role = 'admin'"
        " WHERE conversation_id = $1 AND employee_id = $2", room, four
    )  # fmt: skip
    await client.delete(f"{CONVERSATIONS}/{room}/participants/{OKSANA}")

    rows = await crm.fetch(
        "SELECT employee_id FROM realtime.conversation_participants"
        " WHERE conversation_id = $1 AND role = 'owner' AND left_seq IS NULL", room
    )  # fmt: skip
    assert [row["employee_id"] for row in rows] == [four]
    events = await crm.fetch(
        "SELECT attrs::json ->> 'event' AS event FROM realtime.messages"
        " WHERE conversation_id = $1 ORDER BY seq", room
    )  # fmt: skip
    assert [row["event"] for row in events] == ["role_changed", "removed"]


async def test_a_message_is_stored_once(desk: Desk) -> None:
    """A repeated client_key returns the first one's place; with another text it is refused."""
    client = await program(desk)
    room = await opened(client)
    body = message("once", silent=True, attrs={"deal": 17})
    path = f"{CONVERSATIONS}/{room}/messages"

    answers = [(await client.post(path, json=body)).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert code_of(await client.post(path, json=body | {"text": "twice"})) == (
        409, "message.client_key_reused",
    )  # fmt: skip
    [row] = await desk.sql("SELECT body, state, kind, attrs FROM realtime.messages")
    assert tuple(row) == ("once", 1, "system", '{"deal": 17}')


async def test_each_scope_is_asked_for(desk: Desk) -> None:
    """Who may send may not open, and who may open may not send."""
    sending = await program(desk, node=0, of=(scopes.MESSAGES_SEND,))
    managing = await program(desk, node=1, of=(scopes.CONVERSATIONS_MANAGE,))
    room = await opened(managing)
    participants = f"{CONVERSATIONS}/{room}/participants"

    for answer in (
        await sending.post(CONVERSATIONS, json=GROUP),
        await sending.post(participants, json={"employee_ids": [IRYNA]}),
        await sending.delete(f"{participants}/{PETRO}"),
        await managing.post(f"{CONVERSATIONS}/{room}/messages", json=message("no")),
    ):
        assert code_of(answer) == (403, "service_key.scope_missing")
    assert code_of(await desk.http(OKSANA).post(CONVERSATIONS, json=GROUP)) == (
        403, "service_key.required",
    )  # fmt: skip


BAD_GROUPS: list[dict[str, Any]] = [
    {"title": ""}, {"title": None}, {"title": "x" * 201}, {"title": "a\nb"}, {"title": "\u200b"},
    {"title": "a\u202eb"}, {"title": 7}, {"title": "a\0b"}, {"employee_ids": []},
    {"employee_ids": [0]}, {"employee_ids": [-1]}, {"employee_ids": [2**63]},
    {"employee_ids": [None]}, {"employee_ids": ["a\0b"]}, {"employee_ids": [1.5]},
    {"employee_ids": [True]}, {"employee_ids": list(range(1, 1_002))}, {"employee_ids": "1"},
    {"external_key": ""}, {"external_key": "k" * 201}, {"external_key": "a\0b"},
    {"external_key": None}, {"external_key": 17}, {"kind": "client"}, {"kind": None},
    {"created_by": 0}, {"created_by": "a\0"}, {"history": "all"}, {"kind": "direct"},
    {"kind": "direct", "external_key": None}, {"kind": "direct", "title": None},
    {"kind": "direct", "title": None, "external_key": None, "employee_ids": [1]},
    {"kind": "direct", "title": None, "external_key": None, "employee_ids": [1, 2, 3]},
]  # fmt: skip


async def test_a_bad_conversation_is_refused(desk: Desk, crm: Any) -> None:
    """With 422 and the field's name; what is no active employee with 404. Nothing is stored."""
    client = await program(desk)
    for changes in BAD_GROUPS:
        answer = await client.post(CONVERSATIONS, json=GROUP | changes)
        assert code_of(answer) == (422, "command.invalid"), (changes, answer.text)
        assert "path" in answer.json()["error"], changes
    for changes in ({"employee_ids": [999_999]}, {"created_by": 999_999},
                    {"employee_ids": [2**63 - 1]}, {"employee_ids": ["nobody"]}):  # fmt: skip
        answer = await client.post(CONVERSATIONS, json=GROUP | changes)
        assert code_of(answer) == (404, "employee.not_found"), changes
    for body in (b"", b"[]", b"{", b"\xff", b'{"title": NaN}', b"null"):
        answer = await client.post(CONVERSATIONS, content=body)
        assert answer.status_code in {400, 422}, body
    assert await crm.fetch("SELECT * FROM realtime.conversations") == []
    assert await crm.fetch("SELECT * FROM realtime.crm_conversations") == []


async def test_a_bad_change_is_refused(desk: Desk) -> None:
    """Of conversations that are not there, ids of any size, and texts that show nothing."""
    client = await program(desk)
    room = await opened(client)
    base = f"{CONVERSATIONS}/{room}"
    expected: list[tuple[httpx2.Response, tuple[int, str]]] = []
    for wrong in ("0", "-1", str(2**63), "x", "%00"):
        answer = await client.post(f"{CONVERSATIONS}/{wrong}/messages", json=message("x"))
        expected.append((answer, (422, "command.invalid")))
        answer = await client.delete(f"{base}/participants/{wrong}")
        expected.append((answer, (404 if wrong == "x" else 422, "participant.not_found"
                                  if wrong == "x" else "command.invalid")))  # fmt: skip
    for absent in (room + 1, 2**63 - 1):
        for path, body in (("messages", message("x")), ("participants", {"employee_ids": [1]})):
            answer = await client.post(f"{CONVERSATIONS}/{absent}/{path}", json=body)
            expected.append((answer, (404, "conversation.not_found")))
    wrong_messages: list[dict[str, Any]] = [
        {"text": ""}, {"text": "\u200b"}, {"text": "x" * 8_001}, {"text": "a\0"}, {"text": 1},
        {"client_key": "x"}, {"client_key": None}, {"silent": 1}, {"attrs": []}, {"attrs": "x"},
        {"attrs": {"x": "a\0b"}}, {"attrs": {"a\0": 1}}, {"attrs": {"x": ["y" * 8_001]}},
        {"attrs": json.loads('{"a":' * 100 + "1" + "}" * 100)},
        {"attrs": json.loads('{"a":' * 300 + "1" + "}" * 300)},
        {"sender_id": 1}, {"reply_to_seq": 0}, {"reply_to_seq": 2**63},
    ]  # fmt: skip
    for changes in wrong_messages:
        answer = await client.post(f"{base}/messages", json=message("x") | changes)
        expected.append((answer, (422, "command.invalid")))
    answer = await client.post(f"{base}/messages", json=message("x", reply_to_seq=9))
    expected.append((answer, (404, "message.not_found")))
    wrong_people: list[dict[str, Any]] = [
        {"employee_ids": []}, {"employee_ids": [0]}, {"added_by": 0}, {"role": "owner"},
    ]  # fmt: skip
    for people in wrong_people:
        answer = await client.post(f"{base}/participants", json={"employee_ids": [IRYNA]} | people)
        expected.append((answer, (422, "command.invalid")))
    answer = await client.delete(f"{base}/participants/{IRYNA}")
    expected.append((answer, (404, "participant.not_found")))

    for answer, wanted in expected:
        assert code_of(answer) == wanted, (answer.request.url, answer.text)
    [row] = await desk.sql("SELECT last_change FROM realtime.conversations")
    assert row["last_change"] == 1


async def test_the_audit_says_who_removed_whom(desk: Desk, crm: Any) -> None:
    """By HTTP the program and its request, by SQL only that it was SQL."""
    client = await program(desk)
    room = await opened(client, employee_ids=[OKSANA, PETRO, IRYNA])
    asked = await client.delete(
        f"{CONVERSATIONS}/{room}/participants/{PETRO}",
        params={"removed_by": OKSANA},
        headers={"X-Request-Id": "remove-petro-17"},
    )
    assert asked.status_code == 200
    await crm.fetch("SELECT realtime.remove_participants($1, $2)", room, [IRYNA])

    rows = await crm.fetch(
        "SELECT act, actor_id, source, request_id, subject, details::jsonb ->> 'service' AS service"
        " FROM realtime.audit WHERE act = 'conversation.remove' ORDER BY id"
    )
    assert [tuple(row) for row in rows] == [
        ("conversation.remove", OKSANA, "rest", "remove-petro-17", f"conversation:{room}", "crm0"),
        ("conversation.remove", None, "sql", None, f"conversation:{room}", None),
    ]
