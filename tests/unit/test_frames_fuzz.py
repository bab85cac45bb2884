"""Anything at all on the socket: the product's protocol class against random and hostile bytes.

Without a network (tests/conformance/frames.py), so that thousands of streams take seconds; the
same class on real sockets is in tests/acceptance/sockets/test_socket_endings.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.sockets.listener import websocket as product
from gateway.sockets.node import Node
from gateway.sockets.outgoing.sender import HIGH_WATER
from tests.conformance.echo_server import echo_settings, echoing, lone_node
from tests.conformance.frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    FrameConnection,
    ReceivedFrame,
    close_frame,
    frame,
    head,
)
from tests.support.desk import eventually

MAX = 4_096
"""Largest message of these tests."""

bounded = settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

thorough = settings(bounded, max_examples=600)

masks = st.binary(min_size=4, max_size=4)


@contextlib.asynccontextmanager
async def node_of(**changes: Any) -> AsyncIterator[Node]:
    """Run a node without database and Redis; what remains on it afterwards is a failure."""
    node = lone_node(echo_settings(max_frame_bytes=MAX, **changes))
    async with node.tasks:
        yield node
        await asyncio.sleep(0)
    assert not node.sessions
    assert not node.admission.addresses
    assert not node.delivery.hub.topics()
    assert len(node.delivery.streams) == 0


def connect(node: Node, *, reads: bool = True) -> FrameConnection:
    """Open one connection of the product's class."""
    state = SimpleNamespace(connections=set())
    return FrameConnection(product.SocketProtocol(node, state), reads=reads)


async def answers(pieces: Sequence[bytes]) -> list[ReceivedFrame]:
    """Say these to an echo; return what it said, having checked that it ended well."""
    with echoing():
        async with node_of() as node:
            line = connect(node)
            line.say(*pieces)
            await line.settle()
            said = line.heard()
            line.hang_up()
            await line.settle()
            assert not line.transport.after_close
            assert line.transport.lost
    closes = [n for n, one in enumerate(said) if one.opcode == CLOSE]
    assert closes in ([], [len(said) - 1]), "something followed the close frame"
    return said


def of(said: Sequence[ReceivedFrame], opcode: int) -> list[bytes]:
    return [one.payload for one in said if one.opcode == opcode]


# --- streams that are right ----------------------------------------------------------------


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, list[bytes], list[bytes]]:
    """Draw a valid stream: its bytes, the texts in it, the payloads of its pings."""
    stream, texts, pings = bytearray(), [], []

    def control() -> None:
        opcode = draw(st.sampled_from((None, None, PING, PONG)))
        if opcode is not None:
            payload = draw(st.binary(max_size=125))
            stream.extend(frame(opcode, payload, mask=draw(masks)))
            if opcode == PING:
                pings.append(payload)

    for text in draw(st.lists(st.text(max_size=200), min_size=1, max_size=6)):
        data = text.encode()
        cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
        parts = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        for number, part in enumerate(parts):
            control()
            last = number == len(parts) - 1
            stream.extend(frame(CONT if number else TEXT, part, fin=last, mask=draw(masks)))
        texts.append(data)
    return bytes(stream), texts, pings


Stream = tuple[bytes, list[bytes], list[bytes]]
"""Frames, the texts in them that come back, and the pings that are answered."""
cuts = st.lists(st.integers(0, 2**20), max_size=12)


def cut(data: bytes, at: Sequence[int]) -> list[bytes]:
    places = sorted(place % (len(data) + 1) for place in at)
    pieces = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
    return [piece for piece in pieces if piece]


async def cut_anywhere(stream: Stream, places: list[int]) -> None:
    data, texts, pings = stream

    said = await answers(cut(data, places))

    assert of(said, TEXT) == texts
    assert of(said, PONG) == pings
    assert not of(said, CLOSE)


@bounded
@given(messages(), cuts)
async def test_where_the_network_cuts_a_stream_changes_nothing(
    stream: Stream, places: list[int]
) -> None:
    """Messages come back whole and in order, pings are answered in order, wherever it is cut."""
    await cut_anywhere(stream, places)


@pytest.mark.slow
@thorough
@given(messages(), cuts)
async def test_where_the_network_cuts_many_streams_changes_nothing(
    stream: Stream, places: list[int]
) -> None:
    """The same with more streams."""
    await cut_anywhere(stream, places)


async def test_a_stream_may_come_byte_by_byte() -> None:
    """The smallest pieces there are."""
    data = frame(TEXT, b"a" * 300) + frame(PING, b"p") + close_frame(1001, "бувай".encode())

    said = await answers([bytes((byte,)) for byte in data])

    assert said[:2] == [ReceivedFrame(TEXT, b"a" * 300), ReceivedFrame(PONG, b"p")]
    assert (said[2].opcode, said[2].code) == (CLOSE, 1001)


async def test_a_ping_amid_a_message_is_answered_before_the_message() -> None:
    """Also when all of it arrives in one read (RFC 6455, 5.5.2: as soon as is practical)."""
    pieces = frame(TEXT, b"be", fin=False) + frame(PING, b"!") + frame(CONT, b"fore")

    said = await answers([pieces])

    assert said == [ReceivedFrame(PONG, b"!"), ReceivedFrame(TEXT, b"before")]


# --- streams with one thing wrong ----------------------------------------------------------

WRONG = {
    "unmasked": (frame(TEXT, b"x", mask=None), 1002),
    "unmasked and empty": (frame(TEXT, mask=None), 1002),
    "an unmasked ping": (frame(PING, b"x", mask=None), 1002),
    **{f"RSV {bits}": (frame(TEXT, b"x", rsv=bits), 1002) for bits in range(1, 8)},
    **{f"RSV {bits} on a ping": (frame(PING, b"", rsv=bits), 1002) for bits in (1, 2, 4)},
    **{f"opcode {code}": (frame(code, b"x"), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a ping in fragments": (frame(PING, b"x", fin=False), 1002),
    "a close in fragments": (frame(CLOSE, b"", fin=False), 1002),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "the rest of nothing": (frame(CONT, b"x"), 1002),
    "text within a text": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
    "binary within a text": (frame(TEXT, b"x", fin=False) + frame(BINARY, b"y"), 1002),
    "a close of one byte": (frame(CLOSE, b"\x03"), 1002),
    **{
        f"close {code}": (close_frame(code), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    },
    "a close with bad UTF-8": (close_frame(1000, b"\xff"), 1007),
    "bad UTF-8": (frame(TEXT, b"a\xffb"), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "an overlong slash": (frame(TEXT, b"\xc0\xaf"), 1007),
    "beyond U+10FFFF": (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "half a letter": (frame(TEXT, "я".encode()[:1]), 1007),
    "half a letter, then another": (
        frame(TEXT, b"\xd0", fin=False) + frame(PING) + frame(CONT, b"\xd0"), 1007,
    ),
    "one byte too many": (frame(TEXT, b"x" * (MAX + 1)), 1009),
    "too much in fragments": (
        frame(TEXT, b"x" * MAX, fin=False) + frame(CONT, b"x", fin=False), 1009,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
async def test_each_wrong_frame_has_its_code(name: str) -> None:
    """What came before is answered, the error has its code, and what follows is not heard."""
    wrong, code = WRONG[name]

    said = await answers([frame(TEXT, b"before"), wrong, frame(TEXT, b"after") + frame(PING, b"?")])

    assert of(said, TEXT) == [b"before"]
    assert b"?" not in of(said, PONG)
    assert said[-1].code == code


@settings(bounded, max_examples=80)
@given(messages(), st.sampled_from(sorted(WRONG)), cuts)
async def test_an_error_is_found_wherever_it_stands(
    stream: Stream, name: str, places: list[int]
) -> None:
    """After any valid stream, cut anywhere, the code is the same and nothing is said after it."""
    wrong, code = WRONG[name]

    said = await answers(cut(stream[0] + wrong + frame(TEXT, b"after"), places))

    assert of(said, TEXT) == stream[1]
    assert said[-1].code == code


@pytest.mark.parametrize("size", [MAX + 1, 2**16, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_an_impossible_length_is_refused_by_its_head(size: int, opcode: int) -> None:
    """Nothing of the payload is waited for."""
    said = await answers([head(opcode, size)])

    assert said[-1].code == (1002 if size >= 2**63 and said[-1].code == 1002 else 1009)


async def test_binary_is_refused_whole_and_in_fragments() -> None:
    """The product, as it is: JSON is text."""
    for wrong in (
        frame(BINARY, b"{}"),
        frame(BINARY),
        frame(BINARY, b"{", fin=False) + frame(CONT, b"}"),
    ):
        async with node_of() as node:
            line = connect(node)
            line.say(wrong + frame(PING, b"?"))
            await line.settle()
            said = line.heard()
            line.hang_up()
            await line.settle()

        assert [one.opcode for one in said if one.opcode != PONG] == [CLOSE]
        assert said[-1].code == 1003


# --- streams that are nothing --------------------------------------------------------------

shreds = st.one_of(
    st.binary(max_size=60),
    st.builds(
        frame,
        st.integers(0, 15),
        st.binary(max_size=140),
        fin=st.booleans(),
        rsv=st.sampled_from((0, 0, 0, 0, 1, 2, 4)),
        mask=st.one_of(masks, masks, masks, st.none()),
    ),
    st.builds(head, st.integers(0, 15), st.integers(0, 2**64 - 1)),
    st.builds(frame, st.just(TEXT), st.sampled_from((b'{"type":"ping","id":1}', b"[", b"[[]]"))),
    st.builds(close_frame, st.integers(0, 65_535), st.binary(max_size=123)),
)


async def send_shreds(pieces: list[bytes], *, eof: bool) -> None:
    async with node_of() as node:
        line = connect(node)
        line.say(*pieces)
        if eof and not line.transport.is_closing():
            line.protocol.eof_received()
        await line.settle()
        said = line.heard()
        line.hang_up()
        await line.settle()
        assert not line.transport.after_close

    assert all(one.opcode in (TEXT, PONG, CLOSE) for one in said)
    assert CLOSE not in [one.opcode for one in said[:-1]]
    for one in said:
        if one.opcode == CLOSE and one.payload:
            assert 1000 <= one.code <= 4999
            one.payload[2:].decode()


@settings(bounded, max_examples=100)
@given(st.lists(shreds, max_size=12), st.booleans())
async def test_nothing_a_client_sends_breaks_the_server(pieces: list[bytes], eof: bool) -> None:
    """Every answer is well-formed, a close frame is the last, and no session is left behind."""
    await send_shreds(pieces, eof=eof)


@pytest.mark.slow
@settings(thorough, max_examples=2_000)
@given(st.lists(shreds, max_size=12), st.booleans())
async def test_nothing_of_much_that_a_client_sends_breaks_the_server(
    pieces: list[bytes], eof: bool
) -> None:
    """The same with more of it."""
    await send_shreds(pieces, eof=eof)


# --- the end -------------------------------------------------------------------------------

ENDS = {
    "the client closes": close_frame(1000),
    "the client breaks the protocol": frame(TEXT, b"x", mask=None),
    "the client says too much": head(TEXT, 2**31),
}


@pytest.mark.parametrize("reads", [True, False], ids=["reads", "reads nothing"])
@pytest.mark.parametrize("end", ENDS)
async def test_nothing_is_said_after_the_close_frame(end: str, reads: bool) -> None:
    """Not a reply under way, not an event, not the goodbye of a server that stops."""
    async with node_of() as node:
        line = connect(node, reads=reads)
        (session,) = node.sessions
        line.say(frame(TEXT, b'{"type":"unread.get","id":1}') + ENDS[end])
        session.sender.send(b"\x81\x05event", 0)
        session.drain()
        await line.settle()
        said = line.heard()
        line.hang_up()
        await line.settle()
        assert not line.transport.after_close

    assert [one.opcode for one in said][-1:] == [CLOSE]
    assert [one.opcode for one in said].count(CLOSE) == 1


@pytest.mark.parametrize("end", ENDS)
async def test_who_does_not_take_the_close_frame_is_cut_off(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that reads nothing keeps no session, although its last bytes never leave."""
    monkeypatch.setattr(product, "LINGER_S", 0.0)
    async with node_of() as node:
        node.wheel.start()
        line = connect(node, reads=False)
        line.say(frame(PING, b"x" * 125) * 600, ENDS[end])
        await eventually(lambda: line.transport.lost)
        await eventually(lambda: not node.sessions)
        node.wheel.stop()


async def test_pings_of_a_client_that_does_not_read_cost_no_memory() -> None:
    """A hundred thousand pings: the pongs of some wait, the others are dropped."""
    async with node_of() as node:
        line = connect(node, reads=False)
        (session,) = node.sessions
        flood = frame(PING, b"x" * 125) * 2_000
        for _ in range(50):
            line.say(flood)

        assert line.transport.get_write_buffer_size() <= HIGH_WATER + 2_000 * 127
        assert session.sender.waiting_bytes == 0
        line.hang_up()
        await line.settle()


async def test_fragments_without_end_are_refused() -> None:
    """Empty ones too: they weigh nothing, and would never be too much."""
    async with node_of() as node:
        line = connect(node)
        line.say(frame(TEXT, b"", fin=False), frame(CONT, b"", fin=False) * product.MAX_FRAGMENTS)
        await line.settle()
        said = line.heard()
        line.hang_up()
        await line.settle()

    assert struct.unpack("!H", said[-1].payload[:2]) == (1009,)
