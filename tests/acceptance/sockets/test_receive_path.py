"""What one client asks for at the same time: who waits for whom, and what is left afterwards."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway import commands
from gateway.commands import Handler
from gateway.context import Context
from gateway.sockets.session.session import Session
from tests.support.desk import OKSANA, PETRO, Desk, eventually
from tests.support.raw import RawSocket, raw


class Slow:
    """A command that runs until it is let go, and counts how many run."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.running = 0
        self.most = 0

    async def serve(self, _ctx: Context, _command: Any) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> Slow:
    """Make message.history slow, on every node of this process."""
    slow = Slow()
    monkeypatch.setitem(commands.HANDLERS, "message.history", Handler("read", slow.serve))
    return slow


@asynccontextmanager
async def oksana_at(desk: Desk, **settings: Any) -> AsyncIterator[tuple[RawSocket, Session, int]]:
    """Give a raw client on a node of its own, its session, and a conversation with Petro."""
    node = await desk.start_node(**settings)
    async with raw(node.socket_url) as client:
        await client.hello(desk.token(OKSANA))
        opened = await client.ask({"type": "conversation.open", "id": 2, "employee_id": PETRO})
        (session,) = node.node.sessions
        yield client, session, opened["ok"]["conversation"]["id"]


def send(request_id: int, conversation_id: int) -> dict[str, Any]:
    return {
        "type": "message.send", "id": request_id, "conversation_id": conversation_id,
        "client_key": str(uuid.uuid4()), "text": f"message {request_id}",
    }  # fmt: skip


def history_of(request_id: int, conversation_id: int) -> dict[str, Any]:
    return {"type": "message.history", "id": request_id, "conversation_id": conversation_id}


async def replies(client: RawSocket, count: int) -> list[dict[str, Any]]:
    """Return so many answers, without the events between them."""
    heard: list[dict[str, Any]] = []
    while len(heard) < count:
        said = await client.hear()
        if "id" in said:
            heard.append(said)
    return heard


async def test_a_slow_history_holds_up_nothing(empty_desk: Desk, history: Slow) -> None:
    """A ping, a message, a token and another list behind it are answered while it is read."""
    async with oksana_at(empty_desk) as (client, session, conversation_id):
        await client.say(history_of(10, conversation_id))
        await eventually(lambda: history.running == 1)

        await client.say({"type": "ping", "id": 11})
        await client.say(send(12, conversation_id))
        fresh = empty_desk.token(OKSANA)
        await client.say({"type": "token.refresh", "id": 13, "token": fresh})
        await client.say({"type": "conversation.list", "id": 14})

        answered = await replies(client, 4)
        assert [one["id"] for one in answered] == [11, 12, 13, 14]
        assert all("ok" in one for one in answered)
        history.gate.set()
        assert (await replies(client, 1))[0]["id"] == 10
        await eventually(lambda: session._queue.running == 0)


async def test_what_changes_is_done_before_what_follows(empty_desk: Desk) -> None:
    """A client sees its own writes, and their answers come in their order, in frames or arrays."""
    async with oksana_at(empty_desk) as (client, _session, conversation_id):
        for start in range(100, 140, 4):
            said = [
                send(start, conversation_id), send(start + 1, conversation_id),
                history_of(start + 2, conversation_id), {"type": "unread.get", "id": start + 3},
            ]  # fmt: skip
            await client.say(said)
        answers = await replies(client, 40)

    by_id = {one["id"]: one["ok"] for one in answers}
    sends = [one["id"] for one in answers if "message" in one["ok"]]
    assert sends == sorted(sends)
    assert len(sends) == 20
    for start in range(100, 140, 4):
        newest = max(one["seq"] for one in by_id[start + 2]["messages"])
        assert newest >= by_id[start + 1]["message"]["seq"], "what was sent before it is there"


async def test_only_so_many_run_at_the_same_time(empty_desk: Desk, history: Slow) -> None:
    """max_in_flight bounds what one client makes the database do; the others wait their turn."""
    async with oksana_at(empty_desk, max_in_flight=3) as (client, session, conversation_id):
        await client.say([history_of(number, conversation_id) for number in range(10, 30)])
        await eventually(lambda: history.running == 3)
        await client.say({"type": "ping", "id": 30})
        assert (await replies(client, 1))[0]["id"] == 30
        assert session._queue.running == 3

        history.gate.set()

        assert {one["id"] for one in await replies(client, 20)} == set(range(10, 30))
        assert history.most == 3
        await eventually(lambda: session._queue.running == 0)
        assert session._queue._waiting is None, "an idle session keeps no queue"


async def test_beyond_what_may_wait_the_socket_is_not_read(empty_desk: Desk, history: Slow) -> None:
    """And read again once there is room: everything is answered, nothing piles up meanwhile."""
    async with oksana_at(empty_desk, max_pending=5) as (client, session, conversation_id):
        waiting: list[int] = []
        for number in range(10, 110):
            await client.say(history_of(number, conversation_id))
        await eventually(lambda: session.reading_paused)
        waiting.append(len(session._queue._waiting or ()))
        history.gate.set()

        assert len(await replies(client, 100)) == 100
        assert not session.reading_paused
        assert waiting[0] < 100


async def test_a_command_that_fails_frees_its_place(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of ours, or a cancellation, neither blocks nor miscounts what follows."""

    async def fails(_ctx: Context, command: Any) -> None:
        raise ZeroDivisionError

    async def is_cancelled(_ctx: Context, command: Any) -> None:
        raise asyncio.CancelledError

    async with oksana_at(empty_desk) as (client, session, conversation_id):
        monkeypatch.setitem(commands.HANDLERS, "unread.get", Handler("read", fails))
        answer = await client.ask([{"type": "unread.get", "id": 10}, send(11, conversation_id)])
        assert answer["error"]["code"] == "internal"
        assert "ok" in (await replies(client, 1))[0]

        monkeypatch.setitem(commands.HANDLERS, "unread.get", Handler("read", is_cancelled))
        many = [{"type": "unread.get", "id": number} for number in range(20, 30)]
        await client.say([*many, send(30, conversation_id)])
        assert (await replies(client, 1))[0]["id"] == 30
        await eventually(lambda: session._queue.running == 0)


async def test_a_client_that_leaves_amid_commands_leaves_no_count(
    empty_desk: Desk, history: Slow
) -> None:
    """What runs is finished for nobody; what waited is dropped."""
    node = await empty_desk.start_node()
    async with raw(node.socket_url) as client:
        await client.hello(empty_desk.token(OKSANA))
        (session,) = node.node.sessions
        await client.say([history_of(number, 1) for number in range(10, 40)])
        await eventually(lambda: history.running == 4)
        client.socket.transport.abort()
    await eventually(lambda: session.closed)
    assert session._queue._waiting is None

    history.gate.set()

    await eventually(lambda: session._queue.running == 0)
    assert history.most == 4
    assert node.node.limits.connections.held_here(OKSANA) == 0


async def test_commands_may_come_with_the_hello(empty_desk: Desk) -> None:
    """In one frame: they wait for it, and are served as its session's."""
    node = await empty_desk.start_node()
    async with raw(node.socket_url) as client:
        hello = {"type": "hello", "id": 1, "token": empty_desk.token(OKSANA)}
        await client.say([hello, {"type": "unread.get", "id": 2}, hello | {"id": 3}])

        first, *others = await replies(client, 3)
        assert "session" in first["ok"]
        by_id = {one["id"]: one for one in others}
        assert "ok" in by_id[2]
        assert by_id[3]["error"]["code"] == "session.hello_twice"


async def test_a_stopping_node_answers_what_runs_and_refuses_what_waits(
    empty_desk: Desk, history: Slow
) -> None:
    """Then it says goodbye: only once nothing is in flight."""
    node = await empty_desk.start_node()
    async with raw(node.socket_url) as client:
        await client.hello(empty_desk.token(OKSANA))
        await client.say([history_of(number, 1) for number in range(10, 20)])
        await eventually(lambda: history.running == 4)
        stopping = asyncio.create_task(node.stop())
        (session,) = node.node.sessions
        await eventually(lambda: session._queue.draining)
        await client.say({"type": "unread.get", "id": 20})
        assert await client.hear() == {
            "id": 20,
            "error": {
                "code": "draining", "retry_after": 0.5,
                "message": "This node is shutting down: reconnect to another one.",
            },
        }  # fmt: skip

        history.gate.set()

        answers = await replies(client, 10)
        assert {one["id"] for one in answers if "ok" in one} == {10, 11, 12, 13}
        assert {one["error"]["code"] for one in answers if "error" in one} == {"draining"}
        assert (await client.hear())["type"] == "bye"
        assert await client.closed_with() == 4601
        await stopping
