"""How connections end, on real sockets: every way out leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import orjson
import pytest

from gateway.sockets.listener import websocket
from gateway.sockets.outgoing.sender import HIGH_WATER
from tests.conformance.echo_server import echo_settings, serving
from tests.conformance.frames import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    UPGRADE,
    close_frame,
    frame,
    head,
    heard,
)
from tests.support.amounts import tries
from tests.support.desk import OKSANA, PETRO, Desk, eventually

AT_ONCE = 50


class Raw:
    """A TCP connection that has become a WebSocket, and says what it wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.refused = False
        """The server ended it during the hello: a machine this slow was waited for long enough."""

    def say(self, data: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(data)

    async def hello(self, token: str) -> None:
        """Say who this is until there is a welcome: a busy database may ask for patience."""
        said = frame(TEXT, orjson.dumps({"type": "hello", "id": 1, "token": token}))
        async with asyncio.timeout(60):
            self.say(said)
            while True:
                if (said_back := await self._next()) is None:
                    self.refused = True
                    return
                answer = orjson.loads(said_back)
                if "ok" in answer:
                    return
                if "error" not in answer:  # a ping passes by
                    continue
                assert answer["error"]["code"] == "overloaded", answer
                await asyncio.sleep(0.1)
                self.say(said)

    async def _next(self) -> bytes | None:
        """Return what the next frame says; None when it is a goodbye, as a slow machine gives."""
        start = await self.reader.readexactly(2)
        if start[0] & 0x0F == CLOSE:
            await self.reader.readexactly(start[1])
            return None
        size = start[1]
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        return await self.reader.readexactly(size)

    async def read_to_the_end(self) -> bytes:
        """Read until the server closes the TCP connection; a reset would lose its last words."""
        async with asyncio.timeout(30):
            return await self.reader.read()

    def end(self) -> None:
        """Say no more, and go on reading."""
        if not self.writer.is_closing():
            self.writer.write_eof()

    def reset(self) -> None:
        """Vanish without FIN: the server's next read fails."""
        end = self.writer.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@asynccontextmanager
async def upgraded(port: int, *, with_it: bytes = b"") -> AsyncIterator[Raw]:
    """Connect and upgrade; with_it goes out in the same segment as the request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(UPGRADE + with_it)
        async with asyncio.timeout(30):
            answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


async def ends(client: Raw, code: int) -> None:
    frames = heard(await client.read_to_the_end())
    assert client.refused or frames[-1].code == code


async def say_goodbye(client: Raw) -> None:
    client.say(close_frame(1000))
    await ends(client, 1000)


async def break_the_protocol(client: Raw) -> None:
    client.say(frame(TEXT, b"{}", mask=None))
    await ends(client, 1002)


async def say_too_much(client: Raw) -> None:
    client.say(head(TEXT, 2**40))
    await ends(client, 1009)


async def be_refused_and_stay(client: Raw) -> None:
    client.say(frame(BINARY, b"{}"))
    async with asyncio.timeout(30):
        while await client._next() is not None:  # a ping passes by
            pass
    client.say(close_frame(1003))
    await client.read_to_the_end()


async def stop_speaking(client: Raw) -> None:
    client.end()
    await client.read_to_the_end()


async def vanish(client: Raw) -> None:
    client.reset()


async def vanish_amid_a_frame(client: Raw) -> None:
    client.say(head(TEXT, 60_000) + b"{" * 1_000)
    await client.writer.drain()
    client.reset()


async def vanish_amid_a_command(client: Raw) -> None:
    client.say(frame(TEXT, b'{"type":"conversation.list","id":2}') * 5)
    await client.writer.drain()
    client.reset()


ENDINGS: list[Callable[[Raw], Awaitable[None]]] = [
    say_goodbye, break_the_protocol, say_too_much, be_refused_and_stay, stop_speaking, vanish,
    vanish_amid_a_frame, vanish_amid_a_command,
]  # fmt: skip


@pytest.mark.slow
async def test_four_hundred_connections_leave_nothing_behind(empty_desk: Desk) -> None:
    """However they end: no session, topic, stream, watcher, address, deadline or task remains."""
    started = await empty_desk.start_node(
        head_s=1.0, hello_s=2.0, ping_s=1.0, database_pool=10, connections_per_address=10_000
    )
    node = started.node
    async with empty_desk.http(OKSANA) as http:
        await http.post("/v1/conversations", json={"employee_id": PETRO})
    await eventually(lambda: len(node.wheel) == 0)
    tasks = len(asyncio.all_tasks())
    token = empty_desk.token(OKSANA)
    kept, welcomed = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(8)

    async def visit(number: int) -> None:
        async with kept, upgraded(started.port) as client:
            if number % 3 == 0:  # the others never say who they are
                async with welcomed:
                    await client.hello(token)
            await ENDINGS[number % len(ENDINGS)](client)

    await asyncio.gather(*(visit(number) for number in range(400)))

    assert node.metrics.opened == 400
    await eventually(lambda: not node.sessions)
    await eventually(lambda: not node.admission.addresses)
    await eventually(lambda: not started.server.server_state.connections)
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks)
    assert not node.delivery.hub.topics()
    assert len(node.delivery.streams) == 0
    assert not node.presence_watches._watchers
    await eventually(lambda: len(node.wheel) == 0, timeout_s=40)


@tries(300, 3_000)
async def test_random_bytes_on_real_sockets_break_nothing(tries: int) -> None:
    """Many streams of shreds; every answer is well-formed, and a client is still served.

    Without a database: nobody says hello.
    """
    chance = random.Random(20)
    async with serving(echo_settings(max_frame_bytes=4_096, head_s=0.5, hello_s=20.0)) as (
        node,
        port,
    ):
        kept = asyncio.Semaphore(AT_ONCE)
        ended: list[int | None] = []

        async def visit() -> None:
            async with kept, upgraded(port) as client:
                for _ in range(chance.randrange(1, 6)):
                    client.say(shred(chance))
                    await asyncio.sleep(0)
                if chance.random() < 0.5:
                    client.say(close_frame(1000) + b"\x81\x85more")
                    client.end()
                    # A reset answers who goes on after a close frame of its own: shreds may be one.
                    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                        said = heard(await client.read_to_the_end())
                        assert all(one.opcode != CLOSE for one in said[:-1])
                        ended.append(said[-1].opcode if said else None)

        await asyncio.gather(*(visit() for _ in range(tries)))

        assert ended.count(CLOSE) > tries // 3
        await eventually(lambda: not node.sessions)
        await eventually(lambda: not node.admission.addresses)
        async with upgraded(port) as client:
            client.say(frame(PING, b"still here") + close_frame(1000))
            said = heard(await client.read_to_the_end())
        assert said[0].payload == b"still here"


def shred(chance: random.Random) -> bytes:
    """Return something that may or may not be a frame."""
    kind = chance.randrange(4)
    if kind == 0:
        return chance.randbytes(chance.randrange(1, 200))
    if kind == 1:
        return head(chance.randrange(16), chance.getrandbits(chance.choice((6, 16, 31, 63))))
    made = frame(
        chance.choice((TEXT, TEXT, PING, chance.randrange(16))),
        chance.choice((b'{"type":"ping","id":1}', b"[[]]", chance.randbytes(60))),
        fin=chance.random() < 0.8,
        rsv=chance.choice((0, 0, 0, 0, chance.randrange(8))),
    )
    return made if kind == 2 else made[: chance.randrange(len(made) + 1)]


async def test_a_flood_of_pings_without_reading_costs_no_memory() -> None:
    """A hundred thousand pings, nothing read: the pongs that wait stay below a bound."""
    async with serving(echo_settings(max_frame_bytes=4_096)) as (node, port):
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, ("127.0.0.1", port))
        try:
            await loop.sock_sendall(slow, UPGRADE)
            (session,) = await eventually(lambda: list(node.sessions))
            flood = frame(PING, b"x" * 125) * 1_000
            before = resident_bytes()
            for _ in range(100):
                await loop.sock_sendall(slow, flood)

            buffered = session._socket._transport.get_write_buffer_size()
            assert HIGH_WATER < buffered < HIGH_WATER + 2**19, "of 12.7 MB of pongs"
            assert session.sender.waiting_bytes == 0
            assert resident_bytes() - before < 2**24
        finally:
            slow.close()


def resident_bytes() -> int:
    """Return how much memory this process holds."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        pytest.skip("no /proc here")


async def test_a_client_in_the_middle_of_its_frame_learns_why_it_is_closed() -> None:
    """Closing at once would reset the line under a client that still sends, and lose the 1009."""
    async with serving(echo_settings(max_frame_bytes=4_096)) as (_node, port):
        for _ in range(20):
            async with upgraded(port) as client:
                client.say(head(TEXT, 2**22) + bytes(2**22))
                said = heard(await client.read_to_the_end())

            assert [one.code for one in said] == [1009]


async def test_what_comes_with_the_upgrade_request_is_not_lost() -> None:
    """A client that does not wait for 101 (RFC 6455, 4.1 says it must) is heard all the same."""
    async with serving(echo_settings()) as (_node, port):
        both = frame(PING, b"early") + close_frame(1000)
        async with upgraded(port, with_it=both) as client:
            said = heard(await client.read_to_the_end())

    assert [one.payload for one in said] == [b"early", b"\x03\xe8"]


async def test_nothing_follows_the_close_frame_of_a_slow_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Replies and events of a connection that is closing are not sent, however slowly it reads."""
    monkeypatch.setattr(websocket, "LINGER_S", 60.0)  # the cut is not what this is about
    async with serving(echo_settings()) as (node, port):
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, ("127.0.0.1", port))
        try:
            await loop.sock_sendall(slow, UPGRADE)
            (session,) = await eventually(lambda: list(node.sessions))
            session.sender.send(b"\x82\x7f" + (2**23).to_bytes(8, "big") + bytes(2**23), 0)
            transport = session._socket._transport
            await eventually(lambda: transport.get_write_buffer_size() > 0)
            await loop.sock_sendall(slow, close_frame(1000))
            await eventually(transport.is_closing)
            session.sender.send_payload(b"event", 0)
            session.drain()

            received = bytearray()
            async with asyncio.timeout(60):
                while piece := await loop.sock_recv(slow, 2**18):
                    received += piece
        finally:
            slow.close()

    said = heard(bytes(received[received.index(b"\r\n\r\n") + 4 :]))
    assert [one.opcode for one in said] == [BINARY, CLOSE]
