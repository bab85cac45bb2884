"""A REST body that does not come to its end in time, or comes in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from gateway.rest import body_limit
from tests.support.desk import OKSANA, PETRO, Desk, eventually


@pytest.mark.parametrize("path", ["/v1/telephony/events", "/v1/messenger/conversations"])
async def test_a_body_that_does_not_end_is_given_up(empty_desk: Desk, path: str) -> None:
    """The rest never comes: 408 says so, and the server closes."""
    node = await empty_desk.start_node(body_s=0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc".encode())
    try:
        async with asyncio.timeout(5):
            answer = await reader.read()  # to its end
    finally:
        writer.close()

    head, _, said = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in head.lower()
    assert orjson.loads(said)["error"]["code"] == "limit.too_slow"


async def test_a_body_that_trickles_gains_no_time(empty_desk: Desk) -> None:
    """The deadline is the whole body's: a byte now and then does not move it."""
    node = await empty_desk.start_node(body_s=0.3)
    _reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(b"POST /v1/telephony/events HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n")

    # Not what is answered: a byte that crosses the server's close makes it a reset.
    async with asyncio.timeout(10):
        while not writer.is_closing():  # asyncio closes it once the server did
            writer.write(b" ")
            await asyncio.sleep(0.01)


async def test_a_body_in_pieces_within_its_time_is_whole(empty_desk: Desk) -> None:
    """The deadline does not end what is merely sent in pieces."""
    node = await empty_desk.start_node(body_s=5.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    body = orjson.dumps({"employee_id": OKSANA})
    writer.write(
        b"POST /v1/messenger/conversations HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\n"
        + f"Authorization: Bearer {empty_desk.token(PETRO)}\r\n".encode()
        + f"Content-Length: {len(body)}\r\n\r\n".encode()
    )
    for byte in body:
        writer.write(bytes([byte]))
        await writer.drain()
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 201 ")


async def begin_large(
    port: int, size: int, *, chunked: bool = False, sent: int = 0
) -> asyncio.StreamWriter:
    """Begin a large webhook, of whose body so many bytes come, and no more."""
    _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    writer.write(f"POST /v1/telephony/events HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n".encode())
    if chunked and sent:
        writer.write(f"{size:x}\r\n".encode())
    writer.write(b" " * sent)
    await writer.drain()
    return writer


@pytest.mark.parametrize("chunked", [False, True])
async def test_large_bodies_that_are_read_at_once_are_bounded(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch, *, chunked: bool
) -> None:
    """More of one address are told to come back; small ones, and later ones, are read."""
    monkeypatch.setattr(body_limit, "LARGE_OF_SITE_BYTES", 2_500_000)
    node = await empty_desk.start_node(body_s=60.0)
    http = empty_desk.http()
    large = b"[" + b" " * 900_000 + b"]"
    held = [
        await begin_large(node.port, 1_000_000, chunked=chunked, sent=999_999) for _ in range(2)
    ]

    async def status(content: bytes) -> int:
        return (await http.post("/v1/telephony/events", content=content)).status_code

    async def is_refused() -> bool:
        return await status(large) == 503

    await eventually(is_refused)
    busy = await http.post("/v1/telephony/events", content=large)
    assert busy.json()["error"]["code"] == "ingest.busy"
    assert int(busy.headers["retry-after"]) >= 1
    assert await status(b"[]") == 401  # read, and not signed

    for writer in held:
        writer.close()

    async def is_read() -> bool:
        return await status(large) == 401

    await eventually(is_read)


@pytest.mark.parametrize("chunked", [False, True])
async def test_what_is_only_declared_takes_no_room(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch, *, chunked: bool
) -> None:
    """Any number of connections that send nothing, or little, leave room for those that do."""
    monkeypatch.setattr(body_limit, "LARGE_OF_SITE_BYTES", 2_500_000)
    monkeypatch.setattr(body_limit, "LARGE_IN_ALL_BYTES", 2_500_000)
    node = await empty_desk.start_node(body_s=60.0)
    held = [
        await begin_large(node.port, 1_000_000, chunked=chunked, sent=sent)
        for sent in (0, 1, 1_000) * 10
    ]
    admission = node.node.admission
    await eventually(lambda: sum(admission.http_addresses.values()) == len(held))

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * 100_000

    http = empty_desk.http()
    for content in (b" " * 900_000, pieces()):
        answer = await http.post("/v1/telephony/events", content=content)
        assert answer.status_code == 401, answer.text
    for writer in held:
        writer.close()
