"""A WebSocket without the SDK's manners: says anything, shows everything that comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed


class RawSocket:
    """Frames as they are."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, said: Any) -> None:
        """Send JSON of anything, or a text as it is."""
        await self.socket.send(said if isinstance(said, str) else json.dumps(said))

    async def hear(self, *, timeout_s: float = 10.0) -> dict[str, Any]:
        async with asyncio.timeout(timeout_s):
            heard: dict[str, Any] = orjson.loads(await self.socket.recv())
            return heard

    async def ask(self, said: Any) -> dict[str, Any]:
        """Send, and return the next frame that is no event."""
        await self.say(said)
        while "type" in (heard := await self.hear()):
            pass
        return heard

    async def code_of(self, said: Any) -> str:
        """Send, and return the error code that comes back."""
        code: str = (await self.ask(said))["error"]["code"]
        return code

    async def hello(self, token: str, **fields: Any) -> dict[str, Any]:
        return await self.ask({"type": "hello", "id": 1, "token": token, **fields})

    async def closed_with(self, *, timeout_s: float = 10.0) -> int:
        """Read on until the server closes; return its code."""
        async with asyncio.timeout(timeout_s):
            try:
                while True:
                    await self.socket.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006


@asynccontextmanager
async def raw(url: str, **options: Any) -> AsyncIterator[RawSocket]:
    """Open a socket."""
    async with connect(
        url, compression=None, ping_interval=None, max_size=2**24, close_timeout=2, **options
    ) as socket:
        yield RawSocket(socket)
