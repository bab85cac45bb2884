"""The `websockets` library's own server and its broadcast(), on uvloop as the gateway."""

from __future__ import annotations

import asyncio

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

from loadtests.baselines.doorbell import answer, event_text, listener


async def main() -> None:
    """Serve until standard input ends."""
    connected: set[ServerConnection] = set()
    text = event_text()

    async def welcome(connection: ServerConnection) -> None:
        connected.add(connection)
        await connection.send("hi")
        await connection.wait_closed()
        connected.discard(connection)

    async def send() -> None:
        broadcast(connected, text)

    async with serve(welcome, sock=listener(), compression=None, ping_interval=None):
        await answer(send)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
