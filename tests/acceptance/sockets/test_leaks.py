"""Whoever has gone is forgotten: nothing on the node is larger than before they came."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable

import orjson
import pytest
from websockets.protocol import Protocol

from gateway import topics
from gateway.bus import Announcement, RedisBus
from gateway.protocol import ConversationCreated
from gateway.sockets.listener.handshake import Handshake
from gateway.sockets.listener.http import HttpProtocol
from gateway.sockets.listener.websocket import SocketProtocol
from gateway.sockets.outgoing.sender import Sender
from gateway.sockets.session.command_queue import CommandQueue
from gateway.sockets.session.deadlines import Deadlines
from gateway.sockets.session.held_events import HeldEvents
from gateway.sockets.session.session import Session
from tests.acceptance.sockets.test_socket_endings import Raw, upgraded
from tests.conformance.frames import TEXT, UPGRADE, close_frame, frame, heard
from tests.support.census import alive, census, grown
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, RunningNode, eventually

VISITS = 160
AT_ONCE = 40
COUNTED = frozenset(
    {"closes", "client_closes", "rejected", "refusals", "latency", "counts", "_known"}
)
"""Metrics, which are to grow, and the last known presences, which have a bound of their own."""
LARGE = b'{"type":"test.large","text":"' + b"x" * 60_000 + b'"}'


class Visitor:
    """Someone with a socket, and a token to say hello with."""

    def __init__(self, node: RunningNode, client: Raw, token: str) -> None:
        self.node = node
        self.client = client
        self.token = token

    def say(self, **said: object) -> None:
        self.client.say(frame(TEXT, orjson.dumps(said)))


async def say_goodbye(visitor: Visitor) -> None:
    await visitor.client.hello(visitor.token)
    visitor.client.say(close_frame(1000))
    assert heard(await visitor.client.read_to_the_end())[-1].code == 1000


async def vanish(visitor: Visitor) -> None:
    await visitor.client.hello(visitor.token)
    visitor.client.reset()


async def vanish_before_hello(visitor: Visitor) -> None:
    visitor.client.reset()


async def vanish_amid_hello(visitor: Visitor) -> None:
    visitor.say(type="hello", id=1, token=visitor.token)
    await visitor.client.writer.drain()
    visitor.client.reset()


async def close_amid_hello(visitor: Visitor) -> None:
    visitor.say(type="hello", id=1, token=visitor.token)
    visitor.client.say(close_frame(1001))
    await visitor.client.read_to_the_end()


async def break_the_protocol(visitor: Visitor) -> None:
    await visitor.client.hello(visitor.token)
    visitor.client.say(frame(TEXT, b"{}", mask=None))
    assert heard(await visitor.client.read_to_the_end())[-1].code == 1002


async def watch_and_vanish(visitor: Visitor) -> None:
    await visitor.client.hello(visitor.token)
    visitor.say(type="presence.watch", id=2, employee_ids=[OKSANA, PETRO, IRYNA])
    await visitor.client.writer.drain()
    visitor.client.reset()


async def write_and_vanish(visitor: Visitor) -> None:
    await visitor.client.hello(visitor.token)
    for number in range(5):
        visitor.say(type="conversation.list", id=number)
        visitor.say(type="call.list", id=100 + number)
    await visitor.client.writer.drain()
    visitor.client.reset()


async def never_say_hello(visitor: Visitor) -> None:
    assert heard(await visitor.client.read_to_the_end())[-1].code == 4403


async def read_nothing(visitor: Visitor) -> None:
    """Take no more than the kernel's buffers hold, until the node gives up."""
    end = visitor.client.writer.get_extra_info("socket")
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    visitor.client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    visitor.say(type="hello", id=1, token=visitor.token)
    slow = visitor.node.node.metrics.closes
    before = slow[4401]
    for _ in range(1_000):
        visitor.node.node.delivery.publish([Announcement(topics.user(IRYNA), "test.large", LARGE)])
        if slow[4401] > before:
            break
        await asyncio.sleep(0.01)
    else:
        pytest.fail("a client that reads nothing was kept")


MANNERS: list[Callable[[Visitor], Awaitable[None]]] = [
    say_goodbye, vanish, vanish_before_hello, vanish_amid_hello, close_amid_hello,
    break_the_protocol, watch_and_vanish, write_and_vanish,
]  # fmt: skip


async def half_a_request(node: RunningNode) -> None:
    """Begin an upgrade and vanish."""
    _, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(UPGRADE[:60])
    await writer.drain()
    end = writer.get_extra_info("socket")
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.slow
async def test_visitors_leave_nothing_on_the_node(
    empty_desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """In every manner of going: sessions, topics, streams, watchers, deadlines, tasks, maps."""
    started = await empty_desk.start_node(
        hello_s=1.0, head_s=1.0, ping_s=1.0, pong_s=1.0, outgoing_bytes=65_536,
        send_buffer_bytes=4_096, max_errors=1_000,
    )  # fmt: skip
    await empty_desk.start_node()  # so that announcements travel
    oksana = await empty_desk.client(OKSANA, node=1)
    for _ in range(3):
        await oksana.open(PETRO)
    await oksana.next(ConversationCreated)
    await visit(empty_desk, started, range(2 * len(MANNERS)))
    await quiet(started)
    before, tasks = census(started.node, without=COUNTED), len(asyncio.all_tasks())

    await visit(empty_desk, started, range(VISITS))

    await quiet(started)
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks)
    assert await left_over(started, before) == {}
    assert not [line for line in caplog.records if "failed" in line.getMessage()]
    here = alive(Session, Sender, SocketProtocol, HttpProtocol)
    there = len(empty_desk.nodes[1].node.sessions)
    assert (here["Session"], here["Sender"], here["SocketProtocol"]) == (there, there, there)


@pytest.mark.slow
async def test_who_is_gone_does_not_wait_for_the_garbage_collector(empty_desk: Desk) -> None:
    """Nothing of a connection refers to itself: it is freed where its last deadline passes."""
    started = await empty_desk.start_node(
        hello_s=1.0, head_s=1.0, ping_s=1.0, pong_s=1.0, outgoing_bytes=65_536,
        send_buffer_bytes=4_096, max_errors=1_000,
    )  # fmt: skip
    await visit(empty_desk, started, range(len(MANNERS)))
    await quiet(started)
    gc.collect()
    gc.disable()
    try:
        await visit(empty_desk, started, range(2 * len(MANNERS)))
        await quiet(started)
        left = Counter(map(type, gc.get_objects()))
    finally:
        gc.enable()

    kinds = (
        Session, Sender, SocketProtocol, HttpProtocol, Handshake, Protocol, CommandQueue, Deadlines,
        HeldEvents,
    )  # fmt: skip
    assert {kind.__name__: left[kind] for kind in kinds if left[kind]} == {}


async def visit(desk: Desk, node: RunningNode, numbers: range) -> None:
    """Come and go, so many at once, and two who take their time."""
    kept = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        manner = MANNERS[number % len(MANNERS)]
        async with kept, upgraded(node.port) as client:
            await manner(Visitor(node, client, desk.token(PETRO)))
        await half_a_request(node)

    async def slow(manner: Callable[[Visitor], Awaitable[None]]) -> None:
        async with upgraded(node.port) as client:
            await manner(Visitor(node, client, desk.token(IRYNA)))

    await asyncio.gather(
        slow(never_say_hello), slow(read_nothing), *(one(number) for number in numbers)
    )


OWN_TOPICS = {topics.JOBS, topics.OUTBOX, topics.EVENTS, topics.NEWS}
"""What a node is subscribed to without anybody."""


async def quiet(node: RunningNode) -> None:
    """Wait until nobody is here, and every deadline that was set has passed."""
    await eventually(lambda: not node.node.sessions)
    await eventually(lambda: not node.server.server_state.connections)
    await eventually(lambda: node.node.deadlines == 0, timeout_s=20.0)
    bus = node.node.delivery.bus
    assert isinstance(bus, RedisBus)
    await eventually(lambda: bus.topics == OWN_TOPICS)


async def left_over(node: RunningNode, before: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Return what stays larger than it was, given time."""
    with contextlib.suppress(pytest.fail.Exception):
        await eventually(lambda: not grown(before, census(node.node, without=COUNTED)))
    return grown(before, census(node.node, without=COUNTED))
