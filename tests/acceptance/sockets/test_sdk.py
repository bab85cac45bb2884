"""The Python SDK when things go wrong: refusals, silence, gaps, its own mistakes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import connect as open_socket
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from gateway.client import Connection, ConnectionEnded, TooFarBehind, connect, events, socket
from gateway.protocol import (
    SUBPROTOCOL,
    ConversationCreate,
    ConversationCreated,
    MessageCreated,
    UnreadGet,
)
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, eventually

NO_LONGER_ACTIVE = 20

Answer = Callable[[ServerConnection], Awaitable[None]]


class Middleman:
    """Stands between a client and a node: notes each hello, and may answer in the node's place.

    The first connections get `answers`, one each; all that follow are passed on to the node.
    """

    def __init__(self, target: str, answers: list[Answer]) -> None:
        self._target = target
        self._answers = answers
        self.hellos: list[dict[str, Any]] = []
        self.url = ""

    async def serve_one(self, client: ServerConnection) -> None:
        hello = await client.recv()
        self.hellos.append(orjson.loads(hello))
        if self._answers:
            await self._answers.pop(0)(client)
            return
        async with open_socket(
            self._target, subprotocols=[Subprotocol(SUBPROTOCOL)], max_size=2**24
        ) as node:
            await node.send(hello)
            both = [
                asyncio.create_task(_pass_on(a, b)) for a, b in ((client, node), (node, client))
            ]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)


async def _pass_on(source: Any, target: Any) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for data in source:
            await target.send(data)


@contextlib.asynccontextmanager
async def between(target: str, *answers: Answer) -> AsyncIterator[Middleman]:
    """Put a Middleman before a node."""
    middleman = Middleman(target, list(answers))
    async with serve(
        middleman.serve_one,
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        max_size=2**24,
        close_timeout=1,
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        middleman.url = f"ws://127.0.0.1:{port}/v1/ws"
        yield middleman


def refuses(code: str, **more: Any) -> Answer:
    """Answer a hello with this refusal."""

    async def refuse(client: ServerConnection) -> None:
        error = {"code": code, "message": "No.", **more}
        await client.send(orjson.dumps({"id": 0, "error": error}).decode())
        await client.wait_closed()

    return refuse


def says(text: str) -> Answer:
    """Answer a hello with this."""

    async def say(client: ServerConnection) -> None:
        await client.send(text)
        await client.wait_closed()

    return say


async def says_goodbye(client: ServerConnection) -> None:
    """Say bye, with a window of 1.5 to 4 s, and close."""
    bye = {"type": "bye", "code": 4601, "reason": "drain", "retry_in": [1_500, 4_000]}
    await client.send(orjson.dumps({**bye, "resume": True}).decode())
    await client.close(4601, "drain")


async def says_nothing(client: ServerConnection) -> None:
    """Leave a hello without an answer."""
    await client.wait_closed()


class Gate:
    """Gives the client its token when the gate is open: holds it away for as long as needed."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._open = asyncio.Event()
        self._open.set()
        self.waiting = False

    async def __call__(self) -> str:
        self.waiting = not self._open.is_set()
        await self._open.wait()
        return self._token

    async def shut_out(self, client: Connection) -> None:
        """Cut the client off; return when it stands before the gate."""
        self._open.clear()
        await client.drop()
        await eventually(lambda: self.waiting)

    def open(self) -> None:
        self.waiting = False
        self._open.set()


# --- refusals at hello -------------------------------------------------------------------------


async def test_an_expired_token_is_replaced_by_a_fresh_one(desk: Desk) -> None:
    """Refused at hello for an expired token, the SDK asks for the next one and is in."""
    expired = desk.token(PETRO, ttl=timedelta(seconds=-60))
    tokens = [expired, expired, desk.token(PETRO)]

    async with connect(desk.nodes[0].socket_url, lambda: tokens.pop(0)) as petro:
        assert petro.welcome.user.id == PETRO
        assert petro.reconnects == 2


async def test_an_expired_token_without_a_fresh_one_ends_it(desk: Desk) -> None:
    """A token given as text cannot be renewed: asking again with it would never end."""
    expired = desk.token(PETRO, ttl=timedelta(seconds=-60))

    with pytest.raises(ConnectionEnded) as ended:
        async with connect(desk.nodes[0].socket_url, expired):
            pass

    assert ended.value.code == 4201


async def test_someone_disabled_is_told_so_and_stays_away(small_desk: Desk) -> None:
    """`employee.disabled` at hello is close code 4010: the SDK does not come back."""
    with pytest.raises(ConnectionEnded, match=r"employee\.disabled") as ended:
        await small_desk.client(NO_LONGER_ACTIVE)

    assert ended.value.code == 4010


@pytest.mark.parametrize("code", ["token.missing", "token.invalid", "command.invalid"])
async def test_a_refusal_for_good_ends_it(desk: Desk, code: str) -> None:
    """Nothing would be different the next time: one hello, and the reason is raised."""
    async with between(desk.nodes[0].socket_url, refuses(code)) as middleman:
        with pytest.raises(ConnectionEnded, match=code) as ended:
            async with connect(middleman.url, lambda: desk.token(PETRO)):
                pass

    assert ended.value.code == 4001
    assert len(middleman.hellos) == 1


@pytest.mark.parametrize("token", ["", lambda: "", lambda: None])
async def test_an_empty_token_is_not_sent(desk: Desk, token: Any) -> None:
    """What should have made it made nothing: that is said, and nobody is asked."""
    async with between(desk.nodes[0].socket_url) as middleman:
        with pytest.raises(ConnectionEnded, match="The token is empty") as ended:
            async with connect(middleman.url, token):
                pass

    assert ended.value.code == 4001
    assert middleman.hellos == []


@pytest.mark.parametrize("code", ["database.unavailable", "employee.disabled"])
async def test_a_refusal_for_now_is_waited_out(desk: Desk, code: str) -> None:
    """Whatever says retry_after is tried again."""
    refusal = refuses(code, retry_after=0.1)
    async with (
        between(desk.nodes[0].socket_url, refusal, refusal) as middleman,
        connect(middleman.url, desk.token(PETRO)) as petro,
    ):
        assert petro.reconnects == 2
        assert petro.welcome.user.id == PETRO


async def test_a_mistake_of_the_gateways_does_not_end_it(desk: Desk) -> None:
    """It may be another node's next time, or none."""
    async with (
        between(desk.nodes[0].socket_url, refuses("internal")) as middleman,
        connect(middleman.url, desk.token(PETRO)) as petro,
    ):
        assert petro.reconnects == 1
        assert petro.welcome.user.id == PETRO


async def test_a_hello_without_an_answer_is_given_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that takes the connection and then hangs is left for another attempt."""
    monkeypatch.setattr(socket, "WELCOME_S", 0.2)

    async def hangs(client: ServerConnection) -> None:
        monkeypatch.undo()  # the other attempt has as long as it needs on a busy machine
        await says_nothing(client)

    async with (
        between(desk.nodes[0].socket_url, hangs) as middleman,
        connect(middleman.url, desk.token(PETRO)) as petro,
    ):
        assert petro.reconnects == 1
        assert len(middleman.hellos) == 2


# --- gaps ----------------------------------------------------------------------------------------


async def test_what_is_asked_while_away_is_asked_once(desk: Desk) -> None:
    """A command that may not be repeated, given while disconnected, is carried out once."""
    gate = Gate(desk.token(PETRO))
    async with connect(desk.nodes[0].socket_url, gate) as petro:
        await gate.shut_out(petro)
        command = ConversationCreate(title="once", employee_ids=[OKSANA, IRYNA])
        asked = asyncio.create_task(petro.request(command))
        await asyncio.sleep(0)  # the request is waiting now
        gate.open()
        await asked
        await petro.request(UnreadGet())  # whatever was sent before this has been carried out

    made = await desk.sql("SELECT id FROM realtime.conversations WHERE title = 'once'")
    assert len(made) == 1


@pytest.mark.parametrize("answer", ["no JSON", "[]", '{"id": 0, "ok": {"session": 1}}'])
async def test_an_answer_that_makes_no_sense_is_raised(desk: Desk, answer: str) -> None:
    """What nobody foresaw ends the connection with that error, at once and not as a timeout."""
    async with between(desk.nodes[0].socket_url, says(answer)) as middleman:
        with pytest.raises((ValueError, AttributeError, KeyError)):
            async with asyncio.timeout(5), connect(middleman.url, desk.token(PETRO)):
                pass


async def test_a_failure_while_reading_is_raised_everywhere(desk: Desk) -> None:
    """Iteration, a request that waits and every later request raise it; none waits for ever."""

    async def welcomes_then_babbles(client: ServerConnection) -> None:
        async with open_socket(
            desk.nodes[0].socket_url, subprotocols=[Subprotocol(SUBPROTOCOL)]
        ) as node:
            await node.send(
                orjson.dumps({"type": "hello", "id": 0, "token": desk.token(PETRO)}).decode()
            )
            await client.send(await node.recv())
        await client.recv()  # the request
        await client.send("no JSON")
        await client.wait_closed()

    async with (
        asyncio.timeout(10),
        between(desk.nodes[0].socket_url, welcomes_then_babbles) as middleman,
        connect(middleman.url, desk.token(PETRO)) as petro,
    ):
        with pytest.raises(orjson.JSONDecodeError):
            await petro.request(UnreadGet())
        with pytest.raises(orjson.JSONDecodeError):
            async for _event in petro:
                pass
        with pytest.raises(orjson.JSONDecodeError):
            await petro.request(UnreadGet())


async def test_a_token_that_cannot_be_made_is_raised(desk: Desk) -> None:
    """A mistake in the function that makes tokens is the caller's to see."""

    def broken() -> str:
        raise LookupError("no such employee")

    with pytest.raises(LookupError):
        async with asyncio.timeout(5), connect(desk.nodes[0].socket_url, broken):
            pass


async def test_leaving_ends_what_still_waits(desk: Desk) -> None:
    """A request that waits for the connection to come back ends when the client leaves."""
    gate = Gate(desk.token(PETRO))
    async with connect(desk.nodes[0].socket_url, gate) as petro:
        await gate.shut_out(petro)
        asked = asyncio.create_task(petro.request(UnreadGet()))
        await asyncio.sleep(0)

    async with asyncio.timeout(5):
        with pytest.raises(ConnectionEnded):
            await asked


async def test_nothing_is_heard_after_a_gap_that_the_reader_made(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too slow a reader gets all events before the overflow, then the error, never a hole."""
    monkeypatch.setattr(events, "MAX_EVENTS", 3)
    oksana, petro = await small_desk.client(OKSANA), await small_desk.client(PETRO)
    conversation = (await oksana.open(PETRO)).conversation
    await petro.next(ConversationCreated)
    sent = [(await oksana.send(conversation.id, f"{n}")).change for n in range(20)]
    await eventually(lambda: petro._socket.events._failure)

    heard: list[int] = []

    async def read_on() -> None:
        while True:
            event = await petro.next()
            if isinstance(event, MessageCreated):
                heard.append(event.change)
                await oksana.send(conversation.id, "there would be room for this one")

    with pytest.raises(TooFarBehind):
        await read_on()
    assert heard == sent[: len(heard)]
    assert petro.positions[conversation.id] == [1, *heard][-1]


async def test_a_gateway_that_falls_silent_is_left(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half-open lines show in nothing but the pings that do not come; the client comes back."""
    monkeypatch.setattr(socket, "SILENCE_S", 0.1)
    monkeypatch.setattr(socket, "FIRST_WAIT_S", 0.01)
    node = await empty_desk.start_node(ping_s=0.3)
    petro = await empty_desk.client(PETRO)

    node.node.wheel.stop()  # which pings

    await eventually(lambda: petro.reconnects)
    assert await petro.request(UnreadGet())


async def test_a_goodbye_says_when_to_be_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within that window, at random: a node that leaves does not send everyone back at once."""
    drawn: list[tuple[float, float]] = []

    def at_once(low: float, high: float) -> float:
        drawn.append((low, high))
        return 0.0

    # Of the client alone: the nodes in this process draw, too, when Redis is slow.
    monkeypatch.setattr(socket, "random", SimpleNamespace(uniform=at_once))
    async with (
        between(desk.nodes[1].socket_url, says_goodbye) as middleman,
        connect(middleman.url, desk.token(PETRO)) as petro,
    ):
        assert await petro.request(UnreadGet())
        assert petro.reconnects == 1

    assert drawn == [(1.5, 4.0)]
