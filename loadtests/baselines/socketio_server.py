"""python-socketio's AsyncServer and its emit() to everyone, under uvicorn's defaults."""

from __future__ import annotations

import asyncio
from typing import Any

import socketio  # type: ignore[import-untyped]
import uvicorn

from loadtests.baselines import EVENT_BYTES
from loadtests.baselines.doorbell import answer, listener

# No pings in the middle of a measurement: the gateway's are put off too.
hub = socketio.AsyncServer(async_mode="asgi", ping_interval=3_600, cors_allowed_origins="*")
ENVELOPE = '42["e",""]'
TEXT = "x" * (EVENT_BYTES - len(ENVELOPE))


async def send() -> None:
    await hub.emit("e", TEXT)


async def begin() -> None:
    answering = asyncio.create_task(answer(send), name="answer")
    answering.add_done_callback(lambda _: setattr(server, "should_exit", True))
    kept.append(answering)


kept: list[asyncio.Task[Any]] = []
app = socketio.ASGIApp(hub, on_startup=begin)
server = uvicorn.Server(
    uvicorn.Config(app, log_level="error", ws_ping_interval=None, timeout_graceful_shutdown=1)
)

if __name__ == "__main__":
    server.run([listener()])
