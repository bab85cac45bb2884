"""Which commands the SDKs send again when a connection was lost before the reply came."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import orjson
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from gateway.client import RequestRefused, connect, socket
from gateway.protocol import (
    REPEATABLE,
    SUBPROTOCOL,
    CallbackList,
    ConversationCreate,
    ConversationGet,
    ConversationParticipants,
    ReceiptReaders,
    javascript,
)
from gateway.protocol.declaration import COMMAND_DECLARATIONS
from tests.browser.fake_gateway import WELCOME

READS: list[Any] = [
    ConversationGet(conversation_id=1),
    ConversationParticipants(conversation_id=1),
    ReceiptReaders(conversation_id=1, seq=1),
    CallbackList(),
]
NOT_TWICE = ConversationCreate(title="x", employee_ids=[2])


def test_what_only_reads_may_be_repeated() -> None:
    """Without a word from the one who declares it."""
    reads = {name for name, declared in COMMAND_DECLARATIONS.items() if declared.cost == "read"}

    assert len(reads) > 10
    assert reads <= REPEATABLE


def test_what_would_be_done_twice_may_not_be_repeated() -> None:
    """A group would be made twice, a file declared twice; who has left is not in it any more."""
    assert REPEATABLE.isdisjoint(
        {"conversation.create", "conversation.leave", "attachment.create", "message.unschedule"}
    )


def test_javascript_has_the_same_list() -> None:
    """It is generated, so the two cannot differ."""
    written = re.search(r"REPEATABLE = new Set\(\[(.*?)\]\)", javascript.render(), re.DOTALL)

    assert written
    assert re.findall(r'"([a-z_.]+)"', written[1]) == sorted(REPEATABLE)


async def test_python_sends_again_what_only_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is lost before the replies costs these commands nothing."""
    monkeypatch.setattr(socket, "FIRST_WAIT_S", 0.01)
    received: list[list[str]] = []

    async def gateway(socket: ServerConnection) -> None:
        hello = orjson.loads(await socket.recv())
        await socket.send(orjson.dumps({"id": hello["id"], "ok": WELCOME}).decode())
        first = not received
        commands: list[str] = []
        received.append(commands)
        while len(commands) < len(READS) + first:
            asked = orjson.loads(await socket.recv())
            commands.append(asked["type"])
            if not first:
                refused = {"code": "conversation.not_found", "message": "."}
                await socket.send(orjson.dumps({"id": asked["id"], "error": refused}).decode())
        if first:
            await socket.close(1011)
        await socket.wait_closed()

    async with serve(gateway, "127.0.0.1", 0, subprotocols=[Subprotocol(SUBPROTOCOL)]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}", "token") as client:
            answers = await asyncio.gather(
                *(client.request(command) for command in [*READS, NOT_TWICE]),
                return_exceptions=True,
            )

    codes = [answer.code for answer in answers if isinstance(answer, RequestRefused)]
    assert codes == ["conversation.not_found"] * len(READS) + ["connection.lost"]
    assert received[1] == [command.type for command in READS]
