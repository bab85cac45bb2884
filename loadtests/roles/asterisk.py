"""An Asterisk of its own process that plays calls on command: asyncio and gevent do not mix.

    Asterisk(port) ─▶ python -m loadtests.roles.asterisk PORT ─▶ the gateway's AMI connector

It prints a line when the gateway has connected; each line of its input is one part of one call.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from pathlib import Path

import orjson

from loadtests.ami_calls import AmiCall
from tests.fakes.asterisk import AsteriskConnection, FakeAsterisk

ROOT = Path(__file__).parents[2]


class Asterisk:
    """The side of the Locust process."""

    def __init__(self, port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loadtests.roles.asterisk", str(port)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

        self._connected = threading.Event()
        threading.Thread(target=self._read, name="asterisk-reader", daemon=True).start()

    def wait_for_gateway(self) -> bool:
        """Wait until a gateway has connected; False when the process ended."""
        self._connected.wait()
        return self._process.poll() is None

    def play(self, number: int, extension: str, part: str) -> None:
        """Send one part of a call; OSError when the process ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps([number, extension, part]) + b"\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """End the process: its input ends."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.stdin.close()
            self._process.wait(5)
        self._process.kill()

    def _read(self) -> None:
        """Wait for the line that says that a gateway is there, or for the end."""
        assert self._process.stdout is not None
        self._process.stdout.readline()
        self._connected.set()


async def serve(port: int) -> None:
    """Play what comes on stdin to the newest connection, until stdin ends."""
    loop = asyncio.get_running_loop()
    pbx = FakeAsterisk()
    pbx.port = port
    await pbx.start()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    line: AsteriskConnection | None = None
    while line is None:  # a gateway that waited long for its PBX tries again after half a minute
        with contextlib.suppress(TimeoutError):
            line = await pbx.next_connection()
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    try:
        while command := await commands.readline():
            number, extension, part = orjson.loads(command)
            await line.play(getattr(AmiCall(number, extension), part)())
    finally:
        await pbx.stop()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
