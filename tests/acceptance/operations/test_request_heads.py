"""Heads of HTTP requests that are none: refused in the form of every refusal, and at once."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from gateway.sockets.listener.http import MAX_HEAD
from tests.support.desk import Desk, eventually

UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def answered(port: int, *pieces: bytes) -> tuple[int, dict[str, str], str]:
    """Send some bytes; return the status, the headers and the error's code of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(10):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    code = orjson.loads(body).get("error", {}).get("code", "") if body.startswith(b"{") else ""
    return int(first.split()[1]), headers, code


HOSTS = {
    "none": b"",
    "two": b"Host: a.example\r\nHost: b.example\r\n",
    "the same twice": b"Host: a.example\r\nhost: a.example\r\n",
    "empty": b"Host:\r\n",
    "two in one": b"Host: a.example, b.example\r\n",
    "a path": b"Host: a.example/x\r\n",
    "a user": b"Host: user@a.example\r\n",
    "a space": b"Host: a example\r\n",
    "a policy": b"Host: a.example;script-src\r\n",
}


@pytest.mark.parametrize("upgrade", [b"", UPGRADE + b"Sec-WebSocket-Version: 13\r\n"])
async def test_a_request_names_one_host(small_desk: Desk, upgrade: bytes) -> None:
    """Missing, doubled and broken ones are 400, for REST, the page and sockets."""
    port = small_desk.nodes[0].port
    target = b"/v1/ws" if upgrade else b"/healthz"

    for name, host in HOSTS.items():
        sent = b"GET " + target + b" HTTP/1.1\r\n" + host + upgrade + b"\r\n"
        status, headers, code = await answered(port, sent)
        assert (status, code) == (400, "request.invalid"), name
        assert headers["connection"] == "close", name
    await eventually(lambda: not small_desk.nodes[0].server.server_state.connections)


@pytest.mark.parametrize(
    "host", ["a.example", "a.example:8080", "127.0.0.1", "[::1]:8080", "node_1", "LOCALHOST"]
)
async def test_hosts_of_every_form_are_served(small_desk: Desk, host: str) -> None:
    """Names, addresses and ports; and HTTP/1.0 needs none."""
    port = small_desk.nodes[0].port
    sent = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()

    assert (await answered(port, sent))[0] == 200
    assert (await answered(port, b"GET /healthz HTTP/1.0\r\n\r\n"))[0] == 200


def pieces_of(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


LARGE = b"y" * (MAX_HEAD + 1)
HEADS = {
    "one header": b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + LARGE + b"\r\n\r\n",
    "a target": b"GET /" + LARGE + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * MAX_HEAD + b"\r\n",
    "without an end": b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + LARGE * 4,
    "of an upgrade": b"GET /v1/ws HTTP/1.1\r\nHost: x\r\n" + UPGRADE + b"X: " + LARGE + b"\r\n\r\n",
}


@pytest.mark.parametrize("size", [1_000_000, 1_000])
@pytest.mark.parametrize("name", HEADS)
async def test_a_head_that_is_too_large_is_told_so(small_desk: Desk, name: str, size: int) -> None:
    """431 in whatever pieces it comes, though the client is still sending; then the end."""
    node = small_desk.nodes[0]

    status, headers, code = await answered(node.port, *pieces_of(HEADS[name], size))

    assert (status, code, headers["connection"]) == (431, "limit.head", "close")
    assert node.node.metrics.rejected["limit.head"] == 1
    await eventually(lambda: not node.server.server_state.connections)


async def test_a_head_as_large_as_allowed_is_served(small_desk: Desk) -> None:
    """In pieces, and after another request on the same connection."""
    port = small_desk.nodes[0].port
    long = b"X-Long: " + b"y" * (MAX_HEAD - 200) + b"\r\n"
    sent = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + long + b"\r\n"
    last = sent.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces_of(sent * 3 + last, 5_000):
        writer.write(piece)
        await writer.drain()
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()

    assert answer.count(b"HTTP/1.1 200 ") == 4


@pytest.mark.parametrize("versions", [["12"], ["8"], ["13, 8"], ["13", "8"], ["x"], [""]])
async def test_another_version_of_the_websocket_is_told_ours(
    small_desk: Desk, versions: list[str]
) -> None:
    """426 with Sec-WebSocket-Version (RFC 6455, 4.4)."""
    named = "".join(f"Sec-WebSocket-Version: {version}\r\n" for version in versions).encode()
    sent = b"GET /v1/ws HTTP/1.1\r\nHost: x\r\n" + UPGRADE + named + b"\r\n"

    status, headers, code = await answered(small_desk.nodes[0].port, sent)

    assert (status, code) == (426, "socket.version")
    assert headers["sec-websocket-version"] == "13"
    assert headers["upgrade"] == "websocket"


@pytest.mark.parametrize(
    "sent", [b"NONSENSE\r\n\r\n", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"]
)
async def test_what_is_no_http_is_told_so(small_desk: Desk, sent: bytes) -> None:
    """400 in the form of every refusal, also to who speaks TLS to this port."""
    status, headers, code = await answered(small_desk.nodes[0].port, sent)

    assert (status, code) == (400, "request.invalid")
    assert headers["content-type"] == "application/json"
