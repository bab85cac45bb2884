"""One user of a timed conversation, on asyncio and the plain `websockets` client.

It does not use gateway.client: the time that it needs to decode and check would be in every figure.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from gateway.protocol import SUBPROTOCOL

REPLY_S = 10.0

OnMessage = Callable[[str, float], None]
"""Takes the client_key of a message somebody else wrote, and when it arrived."""


class TimedClient:
    """A connected employee."""

    def __init__(self, socket: ClientConnection, on_message: OnMessage) -> None:
        self._socket = socket
        self._on_message = on_message
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.user_id = 0

    async def request(self, type_: str, **fields: Any) -> dict[str, Any]:
        """Send a command and return its reply; RuntimeError when it was refused."""
        number = next(self._ids)
        answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answered
        try:
            async with asyncio.timeout(REPLY_S):
                frame = orjson.dumps({"type": type_, "id": number, **fields})
                await self._socket.send(frame, text=True)
                answer = await answered
        finally:
            del self._asked[number]
        if "error" in answer:
            raise RuntimeError(f"{type_}: {answer['error']['code']}")
        ok: dict[str, Any] = answer["ok"]
        return ok

    async def hello(self, token: str) -> None:
        self.user_id = (await self.request("hello", token=token))["user"]["id"]

    async def read(self) -> None:
        """Take in everything until the connection ends."""
        async for data in self._socket:
            at = time.perf_counter()
            frame = orjson.loads(data)
            for item in frame if isinstance(frame, list) else [frame]:
                await self._handle(item, at)

    async def _handle(self, frame: dict[str, Any], at: float) -> None:
        if (number := frame.get("id")) is not None:
            answered = self._asked.get(number)
            if answered is not None and not answered.done():
                answered.set_result(frame)
        elif frame["type"] == "message.created":
            if frame["message"]["sender_id"] != self.user_id:
                self._on_message(frame["message"]["client_key"], at)
        elif frame["type"] == "ping":
            await self._socket.send('{"type":"pong"}')


@asynccontextmanager
async def timed_client(url: str, token: str, on_message: OnMessage) -> AsyncIterator[TimedClient]:
    """Connect and say hello."""
    async with connect(
        url, subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None, ping_interval=None
    ) as socket:
        timed_client = TimedClient(socket, on_message)
        reading = asyncio.create_task(timed_client.read(), name="talker.read")
        try:
            await timed_client.hello(token)
            yield timed_client
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
