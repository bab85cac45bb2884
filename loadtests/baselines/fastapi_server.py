"""FastAPI's WebSocket with its manual's loop over connections, under uvicorn's defaults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from loadtests.baselines.doorbell import answer, event_text, listener

connected: list[WebSocket] = []


async def send() -> None:
    text = event_text()
    for connection in connected:
        await connection.send_text(text)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    answering = asyncio.create_task(answer(send), name="answer")
    answering.add_done_callback(lambda _: setattr(server, "should_exit", True))
    yield
    answering.cancel()


app = FastAPI(lifespan=lifespan)


@app.websocket("/")
async def welcome(connection: WebSocket) -> None:
    await connection.accept()
    connected.append(connection)
    await connection.send_text("hi")
    try:
        while True:
            await connection.receive_text()
    except WebSocketDisconnect:
        connected.remove(connection)


# No pings in the middle of a measurement: the gateway's are put off too.
server = uvicorn.Server(
    uvicorn.Config(app, log_level="error", ws_ping_interval=None, timeout_graceful_shutdown=1)
)

if __name__ == "__main__":
    server.run([listener()])
