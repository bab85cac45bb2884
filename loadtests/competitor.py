"""A server to compare with, in its own process: start, connect clients, send events, stop.

rivals.py ─▶ Competitor ─▶ loadtests.baselines.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtests import fleet
from loadtests.process_cost import MeasuredProcess
from loadtests.raw_socket import LeanSocket, masked

ROOT = Path(__file__).parents[1]
STOP_S = 10.0
WS_URL = "ws://127.0.0.1:{port}/"


@dataclass(frozen=True, slots=True)
class Competitor:
    """A running baseline (loadtests/baselines/)."""

    process: MeasuredProcess
    url: str
    greeting: bytes
    opening: bytes
    """What a client must send to be greeted."""
    _bell: subprocess.Popen[bytes]

    async def connect(self, clients: int) -> list[LeanSocket]:
        """Connect this many clients, and wait until each was greeted."""
        sockets = [LeanSocket(greeting=self.greeting) for _ in range(clients)]

        async def arrive(index: int) -> None:
            await fleet.dial(sockets[index], self.url, index)
            if self.opening:
                sockets[index].write(masked(self.opening))
            await sockets[index].served

        await fleet.run_limited(clients, arrive)
        return sockets

    def send_events(self, events: int) -> None:
        """Make the server send this many events to every client."""
        assert self._bell.stdin is not None
        self._bell.stdin.write(b"\n" * events)
        self._bell.stdin.flush()


def baseline_process(
    module: str,
    *arguments: str,
    url: str = WS_URL,
    greeting: bytes = b"hi",
    opening: bytes = b"",
) -> AbstractContextManager[Competitor]:
    """Start `python -m loadtests.baselines.MODULE`; it ends with our end of its standard input."""
    command = [sys.executable, "-m", f"loadtests.baselines.{module}", *arguments]
    return competitor_process(command, url=url, greeting=greeting, opening=opening)


@contextmanager
def competitor_process(
    command: Sequence[str], *, url: str = WS_URL, greeting: bytes = b"hi", opening: bytes = b""
) -> Iterator[Competitor]:
    """Start a server that prints its port; it ends with our end of its standard input."""
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = process.stdout.readline().decode().strip()
            if not port:
                raise RuntimeError(f"{' '.join(command)} did not start")
            yield Competitor(
                MeasuredProcess(process.pid), url.format(port=port), greeting, opening, process
            )
        finally:
            process.stdin.close()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
