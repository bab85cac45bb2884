"""Standard input as a trigger: each line sends one event to all clients."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable

from loadtests.baselines import EVENT_BYTES

BACKLOG = 4_096


def event_text() -> str:
    """Return an event of as many bytes as the gateway's."""
    return '{"type":"benchmark.event","text":"' + "x" * (EVENT_BYTES - 36) + '"}'


def listener() -> socket.socket:
    """Listen on a free port and print it."""
    made = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    print(made.getsockname()[1], flush=True)
    return made


async def answer(send: Callable[[], Awaitable[None]]) -> None:
    """Send once for each line, until there are no more."""
    loop = asyncio.get_running_loop()
    rung = asyncio.Event()
    lines = 0
    ended = False

    def read() -> None:
        nonlocal lines, ended
        data = os.read(sys.stdin.fileno(), 4_096)
        lines += data.count(b"\n")
        ended = ended or not data
        rung.set()

    loop.add_reader(sys.stdin.fileno(), read)
    while not ended:
        await rung.wait()
        rung.clear()
        while lines:
            lines -= 1
            await send()
    loop.remove_reader(sys.stdin.fileno())
