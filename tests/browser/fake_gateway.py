"""A gateway that says what a test tells it to: the other end for web/sdk/client.js.

It serves the modules of gateway/web and one WebSocket; the test reads each frame and writes each
answer itself, so that every turn of a conversation can be played.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from gateway.protocol import SUBPROTOCOL

WEB = Path(__file__).parents[2] / "gateway" / "web"
PAGE = b"<!doctype html><title>client</title>"
TIMEOUT_S = 10


class Visit:
    """One connection of the client."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.done = asyncio.Event()

    async def expect(self, type_: str) -> dict[str, Any]:
        """Return the client's next frame of this type; frames of other types are passed over."""
        while (frame := await self.receive())["type"] != type_:
            pass
        return frame

    async def receive(self) -> dict[str, Any]:
        """Return the client's next frame."""
        async with asyncio.timeout(TIMEOUT_S):
            frame: dict[str, Any] = json.loads(await self.socket.recv())
            return frame

    async def send(self, *frames: object) -> None:
        for frame in frames:
            await self.socket.send(json.dumps(frame))

    async def welcome(self, **fields: Any) -> dict[str, Any]:
        """Answer hello; return it."""
        hello = await self.expect("hello")
        await self.send({"id": hello["id"], "ok": WELCOME | fields})
        return hello

    async def close(self, code: int, reason: str = "") -> None:
        await self.socket.close(code, reason)

    async def drain(self) -> None:
        """Close as a node that drains, with a wait that is long enough to be seen."""
        bye = {"type": "bye", "code": 4601, "reason": "drain", "resume": True}
        await self.send({**bye, "retry_in": [8_000, 9_000]})
        await self.close(4601)


class FakeGateway:
    """Where the client connects to."""

    def __init__(self) -> None:
        self.visits: asyncio.Queue[Visit] = asyncio.Queue()
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Self]:
        fake = cls()
        async with serve(
            fake._serve,
            "127.0.0.1",
            0,
            process_request=fake._page,
            subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
            ping_interval=None,
        ) as server:
            fake.port = _port(server)
            yield fake

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    async def visit(self) -> Visit:
        """Wait for the client's next connection."""
        async with asyncio.timeout(TIMEOUT_S):
            return await self.visits.get()

    async def welcomed(self) -> Visit:
        """Return the next connection that stays for its welcome.

        Where the test moves the clock, a busy machine may be too slow for the first of them.
        """
        while True:
            visit = await self.visit()
            with contextlib.suppress(ConnectionClosed):
                await visit.welcome()
                return visit

    async def _serve(self, socket: ServerConnection) -> None:
        self.visits.put_nowait(Visit(socket))
        await socket.wait_closed()

    async def _page(self, _connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/v1/ws":
            return None
        if request.path in ("/", "/over"):
            return _response(PAGE if request.path == "/" else b"", "text/html")
        path = WEB / request.path.removeprefix("/web/")
        if request.path.startswith("/web/") and path.suffix == ".js" and path.is_file():
            return _response(path.read_bytes(), "text/javascript")
        return _response(b"", "text/plain", http.HTTPStatus.NOT_FOUND)


WELCOME: dict[str, Any] = {
    "session": "s1",
    "node": "n1",
    "user": {"id": 1, "name": "Oksana", "department": None, "position": None, "avatar_url": None},
    "permissions": [],
    "ping_s": 25,
    "token_expires_at": "2030-01-01T00:00:00Z",
    "conversations": [],
    "next": None,
    "unread": {
        "total": {"messages": 0, "conversations": 0, "mentions": 0},
        "conversations": [],
    },
    "calls": [],
    "changes": {},
    "reload": [],
}


def conversation(id_: int, *, seq: int, change: int) -> dict[str, Any]:
    """Describe a conversation as far as client.js looks at it."""
    return {"id": id_, "last_seq": seq, "last_change": change}


def created(seq: int, *, change: int, conversation_id: int = 17) -> dict[str, Any]:
    """Make a message.created event."""
    return {
        "type": "message.created",
        "conversation_id": conversation_id,
        "change": change,
        "message": message(seq, change=change, conversation_id=conversation_id),
    }


def message(seq: int, *, change: int, conversation_id: int = 17) -> dict[str, Any]:
    return {
        "conversation_id": conversation_id,
        "seq": seq,
        "change": change,
        "sender_id": 2,
        "client_key": None,
        "text": f"message {seq}",
        "created_at": "2026-01-01T00:00:00Z",
    }


def _response(
    body: bytes, content_type: str, status: http.HTTPStatus = http.HTTPStatus.OK
) -> Response:
    headers = Headers(
        {"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close"}
    )
    return Response(status, status.phrase, headers, body)


def _port(server: Server) -> int:
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port
