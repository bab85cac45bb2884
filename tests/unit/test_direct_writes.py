"""Frames that are written past the transport: in their order, whole, and to nobody else.

The sockets are real, with send buffers that a few frames fill.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.bus import Announcement
from gateway.delivery import lanes
from gateway.delivery.hub import ROOM_FROM, Hub
from gateway.delivery.shared_frame import SharedFrame, text_frame
from gateway.delivery.small_set import SmallSet
from gateway.sockets.outgoing.sender import Cork, Sender
from tests.support.tls import Authority

TOPIC = "conversation:1"
OTHER = "conversation:2"
ENOUGH = 2**30


class RoomMember(asyncio.Protocol):
    """A listener with the product's Sender on a real transport, and the client's end of it."""

    user_id = 0
    held: list[SharedFrame] | None = None

    def __init__(self, cork: Cork, end: socket.socket) -> None:
        self.topics: SmallSet[str] = SmallSet()
        self.cork = cork
        self.expected = bytearray()
        self.received = bytearray()
        self.overflowed = False
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.end = end
        """The client's end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.sender = Sender(
            self.transport, self.cork, limit_bytes=ENOUGH, on_overflow=self.overflow
        )

    def overflow(self) -> None:
        self.overflowed = True

    def pause_writing(self) -> None:
        self.sender.pause()

    def resume_writing(self) -> None:
        self.sender.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self.sender.detach()
        self.lost.set_result(exc)

    def topic_counted(self, topic: str, step: int) -> None: ...

    def deliver(self, frame: SharedFrame) -> None:
        if self.held is None:
            self.sender.send_shared(frame)
        else:
            self.held.append(frame)

    def hold(self) -> None:
        self.held, self.sender.held = [], True

    def release(self) -> None:
        held, self.held, self.sender.held = self.held or [], None, False
        for frame in held:
            self.sender.send_shared(frame)

    def read(self, limit: int) -> None:
        """Read what has come, at most this much."""
        with suppress(BlockingIOError):
            self.received += self.end.recv(limit)


async def seat(cork: Cork, *, buffer: int = 4_096, tls: Any = None) -> RoomMember:
    """Connect a member whose kernel buffers are small."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    theirs.setblocking(False)
    member = RoomMember(cork, theirs)
    loop = asyncio.get_running_loop()
    if tls is None:
        await loop.connect_accepted_socket(lambda: member, ours)
    else:
        server, client = tls
        connecting = asyncio.create_task(
            asyncio.open_connection(sock=theirs, ssl=client, server_hostname="127.0.0.1")
        )
        await loop.connect_accepted_socket(lambda: member, ours, ssl=server)
        member.reader, member.writer = await connecting  # type: ignore[attr-defined]
    return member


@asynccontextmanager
async def a_room(count: int = ROOM_FROM, **options: Any) -> AsyncIterator[tuple[Hub, Cork, Any]]:
    """Seat people in one conversation."""
    cork = Cork()
    hub = Hub(opened=lambda _: None, closed=lambda _: None)
    hub.send_to_room = cork.send_to_room
    members = [await seat(cork, **options) for _ in range(count)]
    for member in members:
        hub.join(cast(Any, member), [TOPIC])
    try:
        yield hub, cork, members
    finally:
        for member in members:
            member.transport.abort()
            await member.lost
            member.end.close()


def event(number: int, size: int, topic: str = TOPIC) -> Announcement:
    return Announcement(topic, "message.created", b"%d " % number + b"x" * size, number)


async def read_all(members: list[RoomMember]) -> None:
    """Read on until each has what is expected."""
    async with asyncio.timeout(60):
        while any(len(one.received) < len(one.expected) for one in members):
            for member in members:
                member.read(1 << 20)
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(6))
async def test_frames_arrive_whole_and_in_their_order(seed: int) -> None:
    """Whatever sizes, two rooms and frames for one come in a turn, however clients read.

    All frames are of one lane, so each client must receive exactly what was sent, in that order.
    """
    chance = random.Random(seed)
    async with a_room(12) as (hub, _cork, members):
        for member in members[3:]:
            hub.join(cast(Any, member), [OTHER])
        for number in range(1, 150):
            kind = chance.choice(("room", "room", "room", "one", "one", "other", "hold"))
            size = chance.choice((3, 100, 1_000, 5_000, chance.randrange(1, 60_000)))
            one = chance.choice(members)
            if kind in ("room", "other"):
                announcement = event(number, size, TOPIC if kind == "room" else OTHER)
                hub.deliver(announcement)
                for member in members if kind == "room" else members[3:]:
                    member.expected += text_frame(announcement.payload)
            elif kind == "one":
                payload = b"%d only" % number + b"y" * size
                one.sender.send_payload(payload, lanes.MESSAGE)
                one.expected += text_frame(payload)
            elif kind == "hold":
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                one.hold()
                hub.deliver(event(number, size))
                for member in members:
                    member.expected += text_frame(event(number, size).payload)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                one.release()
            if chance.random() < 0.4:
                await asyncio.sleep(0)
            for member in chance.sample(members, 5):
                member.read(chance.choice((1, 100, 4_096, 100_000)))
        await read_all(members)

    for member in members:
        assert bytes(member.received) == bytes(member.expected)
        assert not member.overflowed


def hold_or_release(one: RoomMember, held: dict[RoomMember, bytes]) -> None:
    """Have a member do what it does not do now."""
    if one in held:
        one.expected += held.pop(one)
        one.release()
    else:
        held[one] = b""
        one.hold()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [ROOM_FROM - 1, ROOM_FROM + 4])
async def test_an_event_is_held_or_sent_as_its_receiver_was_when_it_came(
    seed: int, size: int
) -> None:
    """Whoever begins or ceases to hold, drops what is held, joins or leaves in the same turn."""
    chance = random.Random(seed)
    async with a_room(size, buffer=65_536) as (hub, cork, members):
        hub.join(cast(Any, members[0]), [OTHER])
        held: dict[RoomMember, bytes] = {}
        for number in range(1, 400):
            one = chance.choice(members[:4])
            kind = chance.choice(("room", "room", "room", "one", "hold", "hold", "drop", "move"))
            if kind == "room":
                announcement = event(number, chance.choice((3, 300)))
                frame = text_frame(announcement.payload)
                for member in hub.listeners(TOPIC):
                    if member in held:
                        held[member] += frame
                    else:
                        member.expected += frame
                hub.deliver(announcement)
            elif kind == "one":
                one.sender.send_payload(b"%d only" % number, lanes.MESSAGE)
                one.expected += text_frame(b"%d only" % number)
            elif kind == "hold":
                hold_or_release(one, held)
            elif kind == "drop" and one in held:
                held[one] = b""
                one.held.clear()
            elif kind == "move":
                (hub.leave if TOPIC in one.topics else hub.join)(one, [TOPIC])
            if chance.random() < 0.2:
                await asyncio.sleep(0)
            for member in members:
                member.read(1 << 20)
        for member, frames in held.items():
            member.expected += frames
            member.release()
        await read_all(members)

    assert [bytes(one.received) for one in members] == [bytes(one.expected) for one in members]
    assert cork.holders == 0


async def test_a_room_that_cannot_be_written_to_stops_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What others have to send in that turn leaves, and so do the events after it."""

    def fail(*_: object) -> None:
        raise MemoryError

    async with a_room(ROOM_FROM) as (hub, cork, members):
        with monkeypatch.context() as failing:
            failing.setattr(cork.sockets, "write", fail)
            hub.deliver(event(1, 10))
            members[0].sender.send_payload(b"mine")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        hub.deliver(event(2, 10))
        members[0].expected += text_frame(b"mine")
        for member in members:
            member.expected += text_frame(event(2, 10).payload)
        await read_all(members)

    assert all(member.received == member.expected for member in members)


async def test_a_client_that_has_hung_up_costs_the_others_nothing() -> None:
    """Its transport ends it as ever, and the room goes on."""
    async with a_room(10) as (hub, _cork, members):
        gone = members[4]
        gone.end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.end.close()
        for number in range(1, 20):
            hub.deliver(event(number, 900))
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert isinstance(await gone.lost, ConnectionError | None)

        others = [member for member in members if member is not gone]
        for member in others:
            member.expected += b"".join(
                text_frame(event(number, 900).payload) for number in range(1, 20)
            )
        await read_all(others)

    assert all(member.received == member.expected for member in others)


async def test_who_gets_the_descriptor_of_one_who_has_gone_gets_none_of_their_events() -> None:
    """The room still lists them: they are taken out of their topics in slices, later."""
    async with a_room(10) as (hub, cork, members):
        hub.deliver(event(1, 10))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gone = members[4]
        descriptor = gone.sender.descriptor
        hub.deliver(event(2, 10))  # waits for the end of the turn, in which the connection ends
        gone.transport.abort()
        await gone.lost
        hub.deliver(event(3, 10))

        successors = []
        async with asyncio.timeout(10):
            while True:  # the lowest free descriptor is given first
                successors.append(await seat(cork))
                if successors[-1].sender.descriptor == descriptor:
                    break
        hub.deliver(event(4, 10))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        others = [member for member in members if member is not gone]
        for member in others:
            member.expected += b"".join(text_frame(event(n, 10).payload) for n in (1, 2, 3, 4))
        await read_all(others)

        for member in successors:
            member.read(1_000)
            assert member.received == b"", "somebody else's event"
            member.transport.abort()
            await member.lost
            member.end.close()


async def test_nothing_is_written_past_tls(tmp_path: Path) -> None:
    """Its bytes are the transport's to encrypt."""
    authority = Authority(tmp_path)
    papers = authority.papers()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(papers.cert, papers.key)
    client = ssl.create_default_context(cafile=str(authority.cert))
    client.check_hostname = False
    async with a_room(ROOM_FROM) as (hub, cork, members):
        secret = await seat(cork, tls=(server, client))
        hub.join(cast(Any, secret), [TOPIC])
        assert (secret.sender.descriptor, secret.sender.number) == (-1, 0)
        sizes = (5, 50_000, 1, 200_000)
        for number, size in enumerate(sizes):
            hub.deliver(event(number, size))
        expected = b"".join(
            text_frame(event(number, size).payload) for number, size in enumerate(sizes)
        )
        for member in members:
            member.expected += expected
        await read_all(members)

        async with asyncio.timeout(10):
            received = await cast(Any, secret).reader.readexactly(len(expected))
        cast(Any, secret).writer.close()
        secret.transport.abort()
        await secret.lost

    assert received == expected


async def test_an_event_to_a_room_is_counted_as_what_it_is() -> None:
    """One write for the frames of a turn at each socket, all of their bytes."""
    async with a_room(10, buffer=65_536) as (hub, cork, members):
        for number in (1, 2, 3):
            hub.deliver(event(number, 100))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for member in members:
            member.expected += b"".join(text_frame(event(n, 100).payload) for n in (1, 2, 3))
        await read_all(members)

        sent = len(members[0].expected)
        assert (cork.writes, cork.frames, cork.bytes_out) == (10, 30, 10 * sent)
        assert os.fstat(members[0].sender.descriptor)
