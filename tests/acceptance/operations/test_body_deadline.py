"""A REST body that does not come to its end in time, or comes in pieces."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from tests.support.desk import OKSANA, PETRO, Desk


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
