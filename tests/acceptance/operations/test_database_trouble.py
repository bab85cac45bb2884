"""PostgreSQL goes away or stalls: connections stay, nothing is lost, and the light goes first."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from gateway import context
from gateway.limits.load_shedding import SHED_AT
from tests.faults.proxy import Proxy
from tests.support.desk import OKSANA, PETRO, Desk, RunningNode, eventually
from tests.support.detours import to_database
from tests.support.raw import RawSocket, raw

STATEMENT_S = 1.0


@pytest.fixture
async def detour(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Proxy, RunningNode]]:
    """Give a node, and the way to its database."""
    monkeypatch.setattr(context, "ACQUIRE_S", 2.0)
    async with to_database(empty_desk.database) as (proxy, dsn):
        node = await empty_desk.start_node(
            database_url=dsn, database_pool=2, database_timeout_s=STATEMENT_S, max_in_flight=1
        )
        yield proxy, node
        proxy.set("open")
        await empty_desk.close()


@asynccontextmanager
async def sockets(desk: Desk, node: RunningNode, count: int) -> AsyncIterator[list[RawSocket]]:
    """Give connections of one person, signed in."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(raw(node.socket_url)) for _ in range(count)]
        for one in opened:
            assert "ok" in await one.hello(desk.token(OKSANA))
        yield opened


async def room_of(socket: RawSocket) -> int:
    said = await socket.ask({"type": "conversation.open", "id": 2, "employee_id": PETRO})
    room: int = said["ok"]["conversation"]["id"]
    return room


def send(room: int, key: uuid.UUID | None = None) -> dict[str, Any]:
    return {
        "type": "message.send",
        "id": 3,
        "conversation_id": room,
        "client_key": str(key or uuid.uuid4()),
        "text": "hi",
    }


def history(room: int) -> dict[str, Any]:
    return {"type": "message.history", "id": 4, "conversation_id": room}


def watch() -> dict[str, Any]:
    return {"type": "presence.watch", "id": 5, "employee_ids": [PETRO]}


async def stored(desk: Desk) -> set[str]:
    rows = await desk.sql("SELECT client_key FROM realtime.messages WHERE client_key IS NOT NULL")
    return {str(row["client_key"]) for row in rows}


async def is_ready(desk: Desk) -> bool:
    return (await desk.http().get("/readyz")).status_code == 200


async def test_without_its_database_a_node_keeps_its_clients(
    empty_desk: Desk, detour: tuple[Proxy, RunningNode]
) -> None:
    """Commands are refused with when to come back; the same keys store once, on the same socket."""
    proxy, node = detour
    async with sockets(empty_desk, node, 1) as [oksana]:
        room = await room_of(oksana)
        keys = [uuid.uuid4() for _ in range(5)]
        proxy.set("cut")

        refusals = [(await oksana.ask(send(room, key)))["error"] for key in keys]
        reading = (await oksana.ask(history(room)))["error"]
        ready = (await empty_desk.http().get("/readyz")).status_code
        kept = await stored(empty_desk)
        proxy.set("open")
        acknowledged = [(await oksana.ask(send(room, key)))["ok"]["message"] for key in keys]

        assert {each["code"] for each in (*refusals, reading)} == {"database.unavailable"}
        assert all(each["retry_after"] > 0 for each in (*refusals, reading))
        assert ready == 503
        assert kept == set()
        assert [each["seq"] for each in acknowledged] == [1, 2, 3, 4, 5]
        assert await stored(empty_desk) == {str(key) for key in keys}
        await eventually(lambda: is_ready(empty_desk))  # its answer is kept for half a second


async def test_while_the_database_stalls_the_light_goes_first(
    empty_desk: Desk, detour: tuple[Proxy, RunningNode], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Presence, then reads, then writes are refused, at once, and all come back with it."""
    monkeypatch.setattr("gateway.limits.load_shedding.CALM_S", 0.2)
    proxy, node = detour
    pressure = node.node.services.shedder
    async with sockets(empty_desk, node, 8) as [*writers, asking]:
        room = await room_of(asking)
        proxy.set("stall")
        for one in writers:
            await one.say(history(room))
        refused: list[str] = []
        lightest_first = {"passing": watch(), "read": history(room), "write": send(room)}

        async def try_all() -> bool:
            """Ask for what is refused at this level: the answer comes at once."""
            for cost, asked in lightest_first.items():
                if cost not in refused and pressure.level >= SHED_AT[cost]:
                    began = asyncio.get_running_loop().time()
                    assert await asking.code_of(asked) == "overloaded"
                    assert asyncio.get_running_loop().time() - began < 1.0
                    refused.append(cost)
            return len(refused) == 3

        await eventually(try_all)
        answers = [await one.hear() for one in writers]
        proxy.set("open")
        await eventually(lambda: pressure.level == 0)
        served = [await asking.ask(each) for each in lightest_first.values()]

    assert refused == ["passing", "read", "write"]
    codes = {each["error"]["code"] for each in answers if "error" in each}
    assert codes <= {"database.unavailable", "overloaded"}
    assert all("ok" in each for each in served)


async def test_a_stalled_database_holds_a_command_for_a_bounded_time(
    empty_desk: Desk, detour: tuple[Proxy, RunningNode]
) -> None:
    """Nobody waits for longer than a connection and a statement may take together."""
    proxy, node = detour
    async with sockets(empty_desk, node, 6) as opened:
        room = await room_of(opened[0])
        proxy.set("stall")
        loop = asyncio.get_running_loop()
        began = loop.time()

        answers = await asyncio.gather(*(one.ask(send(room)) for one in opened))

        assert (
            loop.time() - began < 2.0 + STATEMENT_S + 2.0 + 1.0
        )  # connection, statement, giving it back
        assert {each["error"]["code"] for each in answers} <= {
            "database.unavailable", "overloaded",
        }  # fmt: skip
        assert node.node.services.shedder.waiting <= 8  # loops of the node's own
        proxy.set("open")

        async def works() -> bool:
            return "ok" in await opened[0].ask(send(room))

        await eventually(works)
        assert node.node.metrics.closes == {}
