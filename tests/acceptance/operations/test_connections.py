"""Open connections: employees see and close their own, programs anybody's, on all nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.auth import scopes
from presence import StoreUnavailable
from tests.support.desk import OKSANA, PETRO, SUBJECTS, Desk, eventually
from tests.support.programs import code_of, program
from tests.support.raw import RawSocket, raw

CONNECTIONS = "/v1/connections"
AGENT = "Softphone/2.0 (Linux)"


@dataclass
class OpenSockets:
    """A desk, and what opens sockets on it as any employee."""

    desk: Desk
    stack: AsyncExitStack

    async def connect(
        self, who: int, *, node: int = 0, device: str | None = None, kind: str = "web",
        agent: str | None = AGENT,
    ) -> tuple[str, RawSocket]:  # fmt: skip
        """Return the session of a new socket, and the socket."""
        url = self.desk.nodes[node].socket_url
        socket = await self.stack.enter_async_context(raw(url, user_agent_header=agent))
        named = {} if device is None else {"device": {"id": device, "kind": kind}}
        welcome = await socket.hello(self.desk.token(who), **named)
        return welcome["ok"]["session"], socket

    async def sessions(self, who: int) -> list[str]:
        """Return the open connections of an employee, by what they see themselves."""
        answer = await self.desk.http(who).get(CONNECTIONS)
        assert answer.status_code == 200, answer.text
        assert answer.json()["unanswered"] == []
        return [one["session"] for one in answer.json()["connections"]]


@pytest.fixture
async def office(empty_desk: Desk) -> AsyncIterator[OpenSockets]:
    """Give two nodes."""
    for _ in range(2):
        await empty_desk.start_node(presence_grace_s=30.0)
    async with AsyncExitStack() as stack:
        yield OpenSockets(empty_desk, stack)


async def ended(socket: RawSocket, code: int) -> bool:
    """Return whether a socket is closed with this code, after a bye that says the same."""
    while (heard := await socket.hear()).get("type") != "bye":
        pass
    assert heard["code"] == code
    assert heard["resume"] == (code >= 4200)
    return await socket.closed_with() == code


async def test_somebody_sees_their_connections_on_all_nodes(office: OpenSockets) -> None:
    """The oldest first, whichever node is asked; and not those of others."""
    began = datetime.now(UTC)
    first, _ = await office.connect(OKSANA, device="d1", kind="softphone")
    second, _ = await office.connect(OKSANA, node=1, agent=None)
    await office.connect(PETRO)
    for node in range(2):
        answer = await office.desk.http(OKSANA, node=node).get(CONNECTIONS)
        shown = answer.json()["connections"]
        assert [one["session"] for one in shown] == [first, second]
        assert [one["node"] for one in shown] == [one.settings.node for one in office.desk.nodes]
        assert [(one["device_kind"], one["device_id"]) for one in shown] == [
            ("softphone", "d1"), ("web", None),
        ]  # fmt: skip
        assert [one["user_agent"] for one in shown] == [AGENT, None]
        assert [one["address"] for one in shown] == [None, None]
        for one in shown:
            at = datetime.fromisoformat(one["connected_at"])
            assert (began - at).total_seconds() < 1
            assert at <= datetime.now(UTC)


async def test_addresses_are_shown_where_the_operator_says_so(empty_desk: Desk) -> None:
    """To the employee, and to a program; a user agent is shown as far as it is kept."""
    await empty_desk.start_node(connection_addresses=True)
    async with AsyncExitStack() as stack:
        office = OpenSockets(empty_desk, stack)
        await office.connect(OKSANA, agent="x" * 5_000)
        own = (await empty_desk.http(OKSANA).get(CONNECTIONS)).json()["connections"]
        asked = await (await program(empty_desk)).get(CONNECTIONS, params={"employee_id": OKSANA})

    assert [one["address"] for one in own] == ["127.0.0.1"]
    assert [one["user_agent"] for one in own] == ["x" * 200]
    assert asked.json()["connections"] == own


async def test_a_program_sees_anybodys(office: OpenSockets) -> None:
    """By the number, or by the CRM's own id; of somebody who is not there it says so."""
    client = await program(office.desk, of=(scopes.CONNECTIONS_MANAGE,))
    session, _ = await office.connect(PETRO, node=1)

    for employee_id in {str(PETRO), SUBJECTS[PETRO] if PETRO > 100 else str(PETRO)}:
        answer = await client.get(CONNECTIONS, params={"employee_id": employee_id})
        assert [one["session"] for one in answer.json()["connections"]] == [session]
    answer = await client.get(CONNECTIONS, params={"employee_id": OKSANA})
    assert answer.json() == {"connections": [], "unanswered": []}
    assert code_of(await client.get(CONNECTIONS)) == (422, "command.invalid")
    for absent in (999_999, 2**63 - 1, "nobody"):
        answer = await client.get(CONNECTIONS, params={"employee_id": absent})
        assert code_of(answer) == (404, "employee.not_found")


async def test_one_connection_is_closed_wherever_it_is(office: OpenSockets) -> None:
    """By the employee, from the other node; the others go on."""
    here, _ = await office.connect(OKSANA)
    there, socket = await office.connect(OKSANA, node=1)
    client = office.desk.http(OKSANA)

    answer = await client.delete(CONNECTIONS, params={"session": there})

    assert answer.json() == {"sessions": [there], "unanswered": []}
    assert await ended(socket, 4012)
    assert await office.sessions(OKSANA) == [here]
    answer = await client.delete(CONNECTIONS, params={"session": there})
    assert code_of(answer) == (404, "connection.not_found")


async def test_all_others_are_closed(office: OpenSockets) -> None:
    """All but the one that is kept; then all. Colleagues are not concerned."""
    kept, socket = await office.connect(OKSANA)
    others = [await office.connect(OKSANA, node=node) for node in (0, 1, 1)]
    petro, _ = await office.connect(PETRO)
    client = office.desk.http(OKSANA, node=1)

    answer = await client.delete(CONNECTIONS, params={"keep": kept})
    assert answer.json()["sessions"] == sorted(session for session, _ in others)
    for _, other in others:
        assert await ended(other, 4012)
    assert await office.sessions(OKSANA) == [kept]

    assert (await client.delete(CONNECTIONS)).json()["sessions"] == [kept]
    assert await ended(socket, 4012)
    assert (await client.delete(CONNECTIONS)).json()["sessions"] == []
    assert await office.sessions(PETRO) == [petro]


async def test_clients_may_be_told_to_come_back(office: OpenSockets) -> None:
    """4602: at once. It is noted which program did it."""
    client = await program(office.desk)
    session, socket = await office.connect(PETRO, node=1)
    params: dict[str, Any] = {"employee_id": PETRO, "reconnect": "true"}

    assert (await client.delete(CONNECTIONS, params=params)).json()["sessions"] == [session]
    assert await ended(socket, 4602)
    [noted] = await office.desk.sql("SELECT act, actor_id, details::jsonb FROM realtime.audit"
                                    " WHERE act = 'connection.close'")  # fmt: skip
    assert noted["actor_id"] is None
    for text in ('"service": "crm0"', f'"employee_id": {PETRO}', '"reconnect": true'):
        assert text in noted["details"]


async def test_nobody_closes_what_is_anothers(office: OpenSockets) -> None:
    """Neither by the session nor by the employee; nor a program without the scope."""
    petros, _ = await office.connect(PETRO, node=1)
    await office.connect(OKSANA)
    oksana = office.desk.http(OKSANA)
    sending = await program(office.desk, of=(scopes.MESSAGES_SEND,))
    by_employee: dict[str, Any] = {"employee_id": PETRO}

    assert code_of(await oksana.delete(CONNECTIONS, params={"session": petros})) == (
        404, "connection.not_found",
    )  # fmt: skip
    for answer in (
        await oksana.get(CONNECTIONS, params=by_employee),
        await oksana.delete(CONNECTIONS, params=by_employee),
        await oksana.delete(CONNECTIONS, params=by_employee | {"session": petros}),
    ):
        assert code_of(answer) == (403, "permission.denied")
    for answer in (
        await sending.get(CONNECTIONS, params=by_employee),
        await sending.delete(CONNECTIONS, params=by_employee),
    ):
        assert code_of(answer) == (403, "service_key.scope_missing")
    assert code_of(await office.desk.http().delete(CONNECTIONS)) == (401, "token.missing")
    managing = await program(office.desk, node=1)
    own: dict[str, Any] = {"employee_id": OKSANA, "session": petros}
    assert code_of(await managing.delete(CONNECTIONS, params=own)) == (404, "connection.not_found")
    assert await office.sessions(PETRO) == [petros]


BAD: list[dict[str, Any]] = [
    {"session": ""}, {"session": "x"}, {"session": "A" * 16}, {"session": "0" * 17},
    {"session": "0" * 10_000}, {"session": "\0" * 16}, {"keep": "x"},
    {"session": "0" * 16, "keep": "0" * 16}, {"employee_id": 0}, {"employee_id": -1},
    {"employee_id": 2**63}, {"employee_id": "a\0"}, {"employee_id": "1.5"}, {"employee_id": ""},
    {"reconnect": "perhaps"},
]  # fmt: skip


async def test_bad_input_closes_nothing(office: OpenSockets) -> None:
    """Of an employee and of a program alike."""
    session, _ = await office.connect(OKSANA)
    client = await program(office.desk)
    for params in BAD:
        for http, own in ((office.desk.http(OKSANA), {}), (client, {"employee_id": OKSANA})):
            answer = await http.delete(CONNECTIONS, params={**own, **params})
            assert code_of(answer) == (422, "command.invalid"), (params, answer.text)
    assert await office.sessions(OKSANA) == [session]


async def test_a_node_that_does_not_answer_is_named(
    office: OpenSockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that presence still knows, and that has died: the others' connections are there."""
    session, _ = await office.connect(OKSANA, node=1)
    asked = office.desk.nodes[0].node
    monkeypatch.setattr(asked.connections, "_answer_s", 0.3)
    nodes_of = asked.services.presence.nodes_of

    async def with_a_dead_one(user_id: int) -> set[str]:
        return {*await nodes_of(user_id), "dead"}

    monkeypatch.setattr(asked.services.presence, "nodes_of", with_a_dead_one)
    client = office.desk.http(OKSANA)

    shown = (await client.get(CONNECTIONS)).json()
    assert [one["session"] for one in shown["connections"]] == [session]
    assert shown["unanswered"] == ["dead"]
    absent = await client.delete(CONNECTIONS, params={"session": "0" * 16})
    assert code_of(absent) == (503, "connection.unavailable")
    assert absent.headers["Retry-After"] == "2"
    assert (await client.delete(CONNECTIONS)).json() == {
        "sessions": [session], "unanswered": ["dead"],
    }  # fmt: skip


async def test_without_redis_nobody_can_say(
    office: OpenSockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with a time to come back, and nothing is closed."""
    session, _ = await office.connect(OKSANA)
    asked = office.desk.nodes[0].node

    async def unknown(_user_id: int) -> set[str]:
        raise StoreUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(asked.services.presence, "nodes_of", unknown)
        client = office.desk.http(OKSANA)
        for answer in (await client.get(CONNECTIONS), await client.delete(CONNECTIONS)):
            assert code_of(answer) == (503, "connection.unavailable")
    assert await office.sessions(OKSANA) == [session]


async def test_many_close_at_once(office: OpenSockets) -> None:
    """Each connection is closed once, and is in one answer; nothing is left behind."""
    opened = [await office.connect(OKSANA, node=number % 2) for number in range(6)]
    clients = [office.desk.http(OKSANA, node=number % 2) for number in range(4)]

    answers = await asyncio.gather(*(client.delete(CONNECTIONS) for client in clients))

    closed = [session for answer in answers for session in answer.json()["sessions"]]
    assert sorted(closed) == sorted(session for session, _ in opened)
    for _, socket in opened:
        assert await ended(socket, 4012)
    await eventually(lambda: all(not one.node.connections._peers for one in office.desk.nodes))
    assert all(not one.node.connections._questions for one in office.desk.nodes)
