"""The tool that measures single callbacks (loadtests/callback_time.py) sees what it must."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest

from tests.support.callback_time import callback_times

HERE = "tests/unit/test_callback_time.py"
BUSY_MS = 15.0


def busy() -> None:
    """Take BUSY_MS of CPU, however long that lasts."""
    until = time.thread_time() + BUSY_MS / 1_000
    while time.thread_time() < until:
        pass


class Upper(asyncio.Protocol):
    """Answers in capitals, slowly."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        busy()
        self.transport.write(data.upper())  # type: ignore[attr-defined]


async def step() -> None:
    await asyncio.sleep(0)
    busy()


async def started_by(kind: str) -> None:
    """Let the loop run busy() in this way, and wait for its end."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run() -> None:
        busy()
        done.set()

    if kind == "soon":
        loop.call_soon(run)
    elif kind == "partial":
        loop.call_soon(partial(run))
    elif kind == "later":
        loop.call_later(0.001, run)
    elif kind == "at":
        loop.call_at(loop.time() + 0.001, run)
    elif kind == "thread":
        await loop.run_in_executor(None, loop.call_soon_threadsafe, run)
    elif kind == "task":
        return await asyncio.create_task(step())
    else:
        server = await loop.create_server(Upper, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"a")
        assert await reader.readexactly(1) == b"A"
        writer.close()
        server.close()
        return await server.wait_closed()
    await done.wait()
    return None


@pytest.mark.parametrize("kind", ["soon", "partial", "later", "at", "thread", "task", "protocol"])
async def test_every_way_to_hold_the_loop_is_seen(kind: str) -> None:
    """A callback, a timer, a step of a task, a protocol: each with its CPU, place and name."""
    with callback_times() as times:
        await started_by(kind)

    longest = times.longest(besides=())
    assert longest.cpu_ms >= BUSY_MS
    assert longest.path == HERE
    assert longest.name in {"started_by.<locals>.run", "step", "Upper.data_received"}
    assert longest.name in times.report()


async def test_waiting_is_not_holding() -> None:
    """A task that waits holds nobody; and a test's own callbacks are left out if not asked for."""
    with callback_times() as times:
        await asyncio.sleep(0.03)
        await started_by("soon")

    assert times.count > 1
    assert times.longest().path != HERE
    assert times.longest().cpu_ms < BUSY_MS


async def test_the_loop_is_as_before() -> None:
    """After the block nothing is measured, and the loop and the protocols have their methods."""
    loop, method = asyncio.get_running_loop(), Upper.data_received

    with callback_times() as times:
        assert Upper.data_received is not method
    await started_by("soon")

    assert Upper.data_received is method
    assert "call_soon" not in vars(loop)
    assert times.longest(besides=()).cpu_ms < BUSY_MS
