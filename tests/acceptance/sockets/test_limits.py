"""Rates on real sockets: each has its answer, holds across nodes, and costs others nothing."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from tests.conformance.frames import PING, PONG, TEXT, frame
from tests.support.desk import OKSANA, PETRO, Desk, eventually
from tests.support.raw import RawSocket, raw

FEW_ERRORS = {"max_errors": 5}


def send(conversation_id: int, number: int) -> dict[str, Any]:
    return {
        "type": "message.send", "id": number, "conversation_id": conversation_id,
        "client_key": str(uuid.uuid4()), "text": "hi",
    }  # fmt: skip


async def open_with_petro(client: RawSocket) -> int:
    opened = await client.ask({"type": "conversation.open", "id": 2, "employee_id": PETRO})
    found: int = opened["ok"]["conversation"]["id"]
    return found


# --- rates ---------------------------------------------------------------------------------------


FLOODS = {
    "pings": frame(TEXT, b'{"type":"ping"}'),
    "pings with an id": frame(TEXT, b'{"type":"ping","id":7}'),
    "pongs": frame(TEXT, b'{"type":"pong"}'),
    "pings of WebSocket": frame(PING, b""),
    "large ones": frame(PING, b"x" * 125),
    "its pongs": frame(PONG, b""),
    "empty messages": frame(TEXT, b""),
}


async def test_floods_of_next_to_nothing_are_ended(empty_desk: Desk) -> None:
    """They are passed over at first, then closed; what still comes is not even read."""
    node = await empty_desk.start_node(pings_per_s=1.0, pings_burst=5, **FEW_ERRORS)

    async def pour(flood: bytes) -> int:
        async with raw(node.socket_url) as client:
            await client.hello(empty_desk.token(OKSANA))
            transport = client.socket.transport
            for _ in range(400):
                if transport.is_closing():
                    break
                transport.write(flood * 500)
                await asyncio.sleep(0)
            return await client.closed_with()

    async with raw(node.socket_url) as other:
        await other.hello(empty_desk.token(PETRO))
        pouring = [asyncio.create_task(pour(flood)) for flood in FLOODS.values()]
        await eventually(lambda: sum(node.node.metrics.closes.values()) == len(FLOODS))
        assert "ok" in await other.ask({"type": "unread.get", "id": 3})
        codes = dict(zip(FLOODS, await asyncio.gather(*pouring), strict=True))

    # Who goes on writing may have its line reset before it reads why.
    expected = {name: 4004 if name == "empty messages" else 4402 for name in FLOODS}
    assert all(code in {1006, expected[name]} for name, code in codes.items()), codes
    assert node.node.metrics.closes == {4402: 6, 4004: 1}
    assert node.node.metrics.bytes_in < len(FLOODS) * 2**20, "of 16 MB"
    assert node.node.metrics.refusals["limit.too_fast"] >= 6 * 6


async def test_honest_pings_are_answered(empty_desk: Desk) -> None:
    """A burst is no flood, and the rate comes back."""
    node = await empty_desk.start_node(pings_per_s=50.0, pings_burst=5, **FEW_ERRORS)
    async with raw(node.socket_url) as client:
        await client.hello(empty_desk.token(OKSANA))
        for number in range(5):
            answer = await client.ask({"type": "ping", "id": number})
            assert answer == {"id": number, "ok": {"type": "pong"}}

        refused = 0
        while not refused:
            answer = await client.ask({"type": "ping", "id": 9})
            refused += "error" in answer
        assert answer["error"]["code"] == "limit.too_fast"
        assert 0 < answer["error"]["retry_after"] <= 0.02

        async def again() -> bool:
            return "ok" in await client.ask({"type": "ping", "id": 10})

        await asyncio.sleep(answer["error"]["retry_after"] + 0.005)
        assert await again()


async def test_writes_of_a_user_are_limited_over_all_connections(empty_desk: Desk) -> None:
    """A second connection has nothing left; reading, and other people, are not touched."""
    node = await empty_desk.start_node(writes_per_s=0.1, writes_burst=4)
    async with (
        raw(node.socket_url) as first,
        raw(node.socket_url) as second,
        raw(node.socket_url) as petro,
    ):
        await first.hello(empty_desk.token(OKSANA))
        await second.hello(empty_desk.token(OKSANA))
        await petro.hello(empty_desk.token(PETRO))
        conversation_id = await open_with_petro(first)
        for number in range(3):
            assert "ok" in await first.ask(send(conversation_id, number))

        answer = await second.ask(send(conversation_id, 9))
        assert answer["error"]["code"] == "limit.too_fast"
        assert 5 < answer["error"]["retry_after"] <= 10
        assert "ok" in await second.ask({"type": "message.history", "id": 10,
                                         "conversation_id": conversation_id})  # fmt: skip
        typing = {"type": "typing.start", "id": 11, "conversation_id": conversation_id}
        assert "ok" in await second.ask(typing)
        assert "ok" in await petro.ask(send(conversation_id, 12))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("reads", {"type": "unread.get", "id": 5}),
        ("passing", {"type": "presence.set", "id": 5, "status": "busy"}),
        ("passing", {"type": "presence.watch", "id": 5, "employee_ids": [2]}),
        ("writes", {"type": "receipt.read", "id": 5, "conversation_id": 1, "seq": 1}),
        ("commands", {"type": "unread.get", "id": 5}),
        ("commands", {"type": "token.refresh", "id": 5, "token": "x"}),
    ],
    ids=lambda value: value if isinstance(value, str) else value["type"],
)
async def test_each_kind_of_command_has_its_rate(
    empty_desk: Desk, setting: str, said: dict[str, Any]
) -> None:
    """The third of two is refused with when to come back, and counted."""
    bounds = {f"{setting}_per_s": 0.01, f"{setting}_burst": 3}
    node = await empty_desk.start_node(**bounds)
    async with raw(node.socket_url) as client:
        await client.hello(empty_desk.token(OKSANA))
        codes = []
        for _ in range(4):
            answer = await client.ask(said)
            codes.append(answer.get("error", {}).get("code"))

        granted = 2 if setting == "commands" else 3  # hello is a command, too
        assert "limit.too_fast" not in codes[:granted]
        assert codes[granted:] == ["limit.too_fast"] * (4 - granted)
        assert node.node.metrics.refusals["limit.too_fast"] == 4 - granted


async def test_a_user_who_writes_through_two_nodes_is_held_to_one_limit(desk: Desk) -> None:
    """Each node grants its burst at once; together they come down to the one rate."""
    rate = {"writes_per_s": 10.0, "writes_burst": 10, "max_errors": 1_000}
    nodes = [await desk.start_node(**rate), await desk.start_node(**rate)]
    loop = asyncio.get_running_loop()
    async with raw(nodes[0].socket_url) as left, raw(nodes[1].socket_url) as right:
        await left.hello(desk.token(OKSANA))
        await right.hello(desk.token(OKSANA))
        conversation_id = await open_with_petro(left)
        until = loop.time() + 3.0

        async def write(client: RawSocket) -> int:
            done = 0
            while loop.time() < until:
                answer = await client.ask(send(conversation_id, 5))
                done += "ok" in answer
                wait_s = answer.get("error", {}).get("retry_after", 0.0)
                await asyncio.sleep(min(wait_s, max(0.0, until - loop.time())))
            return done

        granted = sum(await asyncio.gather(write(left), write(right)))

    # Alone, each node would grant 10 at once and 10 a second: 80. One limit is 40, and what
    # both grant before they have heard of each other: a second burst, and half a second each.
    assert 25 <= granted <= 62


# --- limits of a cluster --------------------------------------------------------------------------
