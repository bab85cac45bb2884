"""picows, a WebSocket library in Cython, with its call that copies nothing, on uvloop."""

from __future__ import annotations

import asyncio

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from loadtests.baselines.doorbell import answer, event_text, listener

HEADER_ROOM = 14
"""Bytes before a payload into which the library writes the frame's head."""

connected: set[WSTransport] = set()


class GreetingListener(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        connected.add(transport)
        transport.send(WSMsgType.TEXT, b"hi")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        connected.discard(transport)


def welcome(_request: WSUpgradeRequest) -> GreetingListener:
    return GreetingListener()


async def main() -> None:
    """Serve until standard input ends."""
    event = bytearray(HEADER_ROOM) + event_text().encode()

    async def send() -> None:
        for transport in connected:
            transport.send_reuse_external_bytearray(WSMsgType.TEXT, event, HEADER_ROOM)

    async with await ws_create_server(welcome, sock=listener()):
        await answer(send)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
