"""The floor: the least that a message from one worker to another can cost on this machine.

One INSERT in a transaction, one PUBLISH and its arrival, one WebSocket write and its arrival, one
after the other in one process, with the same libraries and servers as the gateway. No checks, no
numbering, no second process: the gateway's own cost is the difference.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from loadtests.queries import floor as queries

CHANNEL = "loadtest:floor"
WAIT_S = 5.0


class Floor:
    """Everything connected, so that a step costs only itself."""

    def __init__(
        self,
        conn: asyncpg.Connection[asyncpg.Record],
        redis: Redis,
        pubsub: PubSub,
        server_side: ServerConnection,
        client_side: ClientConnection,
    ) -> None:
        self._conn = conn
        self._redis = redis
        self._pubsub = pubsub
        self._server_side = server_side
        self._client_side = client_side

    async def step(self, text: str) -> float:
        """Store, announce and deliver one message; return the seconds it took."""
        key = uuid.uuid4()
        began = time.perf_counter()
        async with asyncio.timeout(WAIT_S):
            async with self._conn.transaction():
                number = await queries.insert(self._conn, client_key=key, text=text)
            publishing = asyncio.ensure_future(
                self._redis.publish(CHANNEL, _event(number, key, text))
            )
            await self._server_side.send(await self._heard(), text=True)
            await self._client_side.recv()
            took = time.perf_counter() - began
            await publishing  # its reply comes after the message to the listener
        return took

    async def _heard(self) -> bytes:
        while True:
            message: dict[str, Any] | None = await self._pubsub.get_message(
                ignore_subscribe_messages=True, timeout=WAIT_S
            )
            if message is not None:
                data: bytes = message["data"]
                return data


def _event(number: int, key: uuid.UUID, text: str) -> bytes:
    """Encode about as many bytes as a message.created has."""
    message = {
        "conversation_id": 1,
        "seq": number,
        "change": number,
        "sender_id": 1,
        "client_key": key,
        "text": text,
        "created_at": datetime.now(UTC),
    }
    event = {"type": "message.created", "conversation_id": 1, "change": number}
    return orjson.dumps({**event, "message": message})


@asynccontextmanager
async def floor(database_url: str, redis_url: str) -> AsyncIterator[Floor]:
    """Connect to the servers the gateway under test uses."""
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[ServerConnection] = loop.create_future()

    async def accept(connection: ServerConnection) -> None:
        accepted.set_result(connection)
        await connection.wait_closed()

    async with AsyncExitStack() as stack:
        conn = await asyncpg.connect(database_url)
        stack.push_async_callback(conn.close)
        await queries.make_table(conn)
        redis = Redis.from_url(redis_url)
        stack.push_async_callback(redis.aclose)
        pubsub = redis.pubsub()
        stack.push_async_callback(pubsub.aclose)
        await pubsub.subscribe(CHANNEL)
        options: dict[str, Any] = {"compression": None, "ping_interval": None}
        server = await stack.enter_async_context(serve(accept, "127.0.0.1", 0, **options))
        port = server.sockets[0].getsockname()[1]
        client = await stack.enter_async_context(connect(f"ws://127.0.0.1:{port}", **options))
        yield Floor(conn, redis, pubsub, await accepted, client)
