"""permessage-deflate (RFC 7692): offered, never with a memory of its own, and never a way in."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
)
from websockets.frames import Frame, Opcode

from gateway.delivery.shared_frame import (
    MAX_DEFLATED,
    SharedFrame,
    deflated_frame,
    text_frame,
)
from gateway.protocol import ConversationCreate
from tests.acceptance.sockets.test_socket_endings import resident_bytes
from tests.conformance.frames import CONT, PING, TEXT, frame
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, eventually
from tests.support.raw import RawSocket, raw

LONG = "Доброго дня! Ваше замовлення готове, його можна забрати сьогодні. " * 8


class Deflate(ClientPerMessageDeflateFactory):
    """Offers compression, and notes which frames came deflated."""

    def __init__(self, **offered: Any) -> None:
        super().__init__(**offered)
        self.agreed: PerMessageDeflate | None = None
        self.seen: list[tuple[bool, bytes]] = []
        """Of each text frame: whether it was deflated, and its bytes on the wire."""

    def process_response_params(self, *arguments: Any) -> PerMessageDeflate:
        agreed = self.agreed = super().process_response_params(*arguments)
        inflate = agreed.decode

        def decode(got: Frame, *, max_size: int | None = None) -> Frame:
            if got.opcode is Opcode.TEXT:
                self.seen.append((got.rsv1, bytes(got.data)))
            return inflate(got, max_size=max_size)

        agreed.decode = decode  # type: ignore[assignment, method-assign]
        return agreed


@asynccontextmanager
async def deflating(desk: Desk, offer: Deflate, *, node: int = 0) -> AsyncIterator[RawSocket]:
    """Open a socket that offers compression."""
    async with raw(desk.nodes[node].socket_url, extensions=[offer]) as socket:
        yield socket


async def hear_message(socket: RawSocket) -> dict[str, Any]:
    while (heard := await socket.hear()).get("type") != "message.created":
        pass
    return heard


async def test_long_events_come_deflated_and_short_ones_plain(desk: Desk) -> None:
    """The same deflated bytes to everyone who takes them, the plain ones to who does not."""
    oksana = await desk.client(OKSANA)
    group = ConversationCreate(title="Зміна", employee_ids=[PETRO, IRYNA])
    conversation = (await oksana.request(group)).conversation
    offers = [Deflate(), Deflate()]
    async with (
        deflating(desk, offers[0]) as petro,
        deflating(desk, offers[1]) as iryna,
        raw(desk.nodes[0].socket_url) as plain,
    ):
        await petro.hello(desk.token(PETRO))
        await iryna.hello(desk.token(IRYNA))
        await plain.hello(desk.token(PETRO))
        for offer in offers:
            offer.seen.clear()

        await oksana.send(conversation.id, LONG)
        heard = [await hear_message(one) for one in (petro, iryna, plain)]
        await petro.ask({"type": "ping", "id": 7})

    assert heard[0] == heard[1] == heard[2]
    assert heard[0]["message"]["text"].strip() == LONG.strip()
    messages = [
        [wire for deflated, wire in offer.seen if deflated and len(wire) > 150] for offer in offers
    ]
    assert messages[0][0] == messages[1][0], "built once"
    assert len(messages[0][0]) * 3 < len(orjson.dumps(heard[0]))
    # Not the last of them: the count that follows a message by itself may come behind it.
    assert (False, b'{"id":7,"ok":{"type":"pong"}}') in offers[0].seen


@pytest.mark.parametrize("bits", [9, 10, 15])
async def test_a_client_with_a_small_window_can_inflate_what_it_gets(desk: Desk, bits: int) -> None:
    """It says how far back it remembers; nothing refers further back than that."""
    offer = Deflate(server_max_window_bits=bits)
    async with deflating(desk, offer) as socket:
        welcome = await socket.hello(desk.token(OKSANA))

    assert "ok" in welcome
    assert offer.agreed is not None
    assert offer.agreed.remote_max_window_bits == bits
    assert any(deflated for deflated, _ in offer.seen)


async def test_no_side_keeps_a_memory_of_earlier_messages(desk: Desk) -> None:
    """Both are told not to: a context costs 44 KiB a connection, and frames could not be shared."""
    offer = Deflate()
    async with deflating(desk, offer):
        pass

    assert offer.agreed is not None
    assert offer.agreed.remote_no_context_takeover
    assert offer.agreed.local_no_context_takeover


async def test_deflated_commands_are_heard(desk: Desk) -> None:
    """A browser deflates what it sends as soon as both agreed."""
    async with deflating(desk, Deflate()) as socket:
        await socket.hello(desk.token(OKSANA))
        opened = await socket.ask({"type": "conversation.open", "id": 2, "employee_id": PETRO})
        sent = await socket.ask(
            {
                "type": "message.send",
                "id": 3,
                "conversation_id": opened["ok"]["conversation"]["id"],
                "client_key": "6f1c0000-0000-4000-8000-000000000001",
                "text": LONG,
            }
        )

    assert sent["ok"]["message"]["seq"] == 1


async def test_an_operator_can_switch_it_off(empty_desk: Desk) -> None:
    """Then it is not offered, and everything goes as it is."""
    await empty_desk.start_node(deflate=False)
    offer = Deflate()
    async with deflating(empty_desk, offer) as socket:
        assert "ok" in await socket.hello(empty_desk.token(OKSANA))

    assert offer.agreed is None


def bomb(size: int) -> bytes:
    """Return zeros, a thousand times smaller than they will be."""
    deflate = zlib.compressobj(9, wbits=-15)
    return deflate.compress(bytes(size)) + deflate.flush(zlib.Z_SYNC_FLUSH)


async def test_a_deflate_bomb_is_too_big_and_costs_no_memory(desk: Desk) -> None:
    """60 MB in 60 kB: closed with 1009 after 64 kB of it were inflated."""
    payload = bomb(60_000_000)
    assert len(payload) < 65_536
    before = resident_bytes()
    async with deflating(desk, Deflate()) as socket:
        socket.socket.transport.write(frame(TEXT, payload, rsv=4))
        code = await socket.closed_with()

    assert code == 1009
    assert resident_bytes() - before < 2**23


NOT_DEFLATED = {
    "noise": frame(TEXT, os.urandom(200), rsv=4),
    "plain text": frame(TEXT, b'{"type":"ping","id":1}', rsv=4),
    "a ping": frame(PING, b"", rsv=4),
    "nothing to continue": frame(CONT, b"", rsv=4),
    "another extension": frame(TEXT, b"", rsv=2),
}


@pytest.mark.parametrize("wrong", NOT_DEFLATED.values(), ids=NOT_DEFLATED)
async def test_what_is_not_deflated_as_it_says_is_an_error(desk: Desk, wrong: bytes) -> None:
    """1002 (or 1007 for text that is none), and nobody else notices."""
    async with deflating(desk, Deflate()) as socket:
        socket.socket.transport.write(wrong)
        assert await socket.closed_with() in (1002, 1007)

    await eventually(lambda: not desk.nodes[0].node.sessions)


def test_every_variant_of_a_frame_says_the_same() -> None:
    """Whatever the window and the length."""
    for size in (0, 1, 125, 126, 300, 5_000, 65_535, 65_536, 300_000):
        payload = (b"abcdefghijklmnopqrstuvwxyz-%d" % size * (size // 20 + 1))[:size]
        shared = SharedFrame(payload)
        for bits in range(9, 16):
            deflated = shared.deflated(bits)
            assert shared.deflated(bits) is deflated
            assert len(deflated) <= len(shared.plain)
            assert inflated(deflated, bits) == payload


def test_what_does_not_shrink_stays_plain() -> None:
    """Random bytes would grow by five."""
    noise = os.urandom(1_000)

    assert deflated_frame(noise, 15) == text_frame(noise)


def inflated(sent: bytes, bits: int) -> bytes:
    """Read an unmasked text frame as a client with such a window does."""
    size, start = sent[1], 2
    if size == 126:
        size, start = int.from_bytes(sent[2:4], "big"), 4
    elif size == 127:
        size, start = int.from_bytes(sent[2:10], "big"), 10
    assert len(sent) == start + size
    if sent[0] == 0x81:
        return sent[start:]
    assert sent[0] == 0xC1
    return zlib.decompress(sent[start:] + b"\x00\x00\xff\xff\x01\x00\x00\xff\xff", wbits=-bits)


def test_no_payload_holds_the_loop_while_it_is_deflated() -> None:
    """The longest that is deflated takes below 20 ms of CPU; a longer one is sent plain."""
    varied = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(400_000)).encode()
    longest = varied[:MAX_DEFLATED]

    began = time.thread_time()
    deflated, plain = deflated_frame(longest, 15), deflated_frame(varied, 15)
    took_ms = (time.thread_time() - began) * 1_000

    assert len(deflated) < len(longest)
    assert plain == text_frame(varied)
    assert took_ms < 20
