"""Thousands of clients in a process of their own, that can all be cut at one moment.

`python -m loadtests.client_process USERS.json`: every user in the file connects and sends hello;
"in" on standard output reports that all are connected. Killing the process ends all connections at
once: the kernel closes them, so that costs the measuring process no time. The process also ends
with its standard input.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import uvloop

from loadtests import fleet, test_users
from loadtests.fleet import FleetClient, allow_files
from loadtests.test_users import SignedInUser

ROOT = Path(__file__).parents[1]
FIRST = 1_000
"""Number of the first client: their addresses do not overlap with those of the starting process."""


class ClientProcess:
    """Clients in another process; use it as a context."""

    def __init__(self, players: Sequence[SignedInUser]) -> None:
        self._players = players
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> ClientProcess:
        """Start, and wait until all are connected; RuntimeError when one is not."""
        with tempfile.TemporaryDirectory(prefix="gateway-clients-") as directory:
            path = Path(directory) / "cast.json"
            test_users.write(path, self._players)
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "loadtests.client_process", str(path)),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            assert self._process.stdout is not None
            line = await self._process.stdout.readline()
        if line != b"in\n":
            await self.cut()
            raise RuntimeError("not all clients connected")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.cut()

    async def cut(self) -> None:
        """End every connection at once."""
        if self._process is None:
            return
        process, self._process = self._process, None
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def main(players: Sequence[SignedInUser]) -> None:
    """Connect all, and wait until standard input ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    members = [FleetClient(player) for player in players]
    await fleet.run_limited(len(members), lambda index: members[index].arrive(FIRST + index))
    print("in", flush=True)
    await ended.wait()


if __name__ == "__main__":
    everyone = test_users.read(Path(sys.argv[1]))
    allow_files(len(everyone))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(everyone))
