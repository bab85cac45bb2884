"""Thousands of clients in one process, from several local addresses so that ports do not run out.

scenarios ─▶ fleet ─▶ LeanSocket. The server's cost is read from the operating system
(process_cost.py), so the clients' own CPU time is in no figure but latencies.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import orjson

from gateway.protocol import SUBPROTOCOL
from loadtests.raw_socket import LeanSocket, OnText, masked
from loadtests.test_users import SignedInUser

AT_ONCE = 32
"""Clients that connect at the same time: as many hellos as a worker serves at once."""
PER_ADDRESS = 500
START_S, EACH_S = 20.0, 0.05
"""How long clients may take to connect: 20 s and 50 ms each, ten times what they need."""
SPARE_FILES = 200
ANSWERED, WELCOMED = b'{"id":1,', b'{"id":1,"ok"'
NO_LIMITS = {
    "GATEWAY_CONNECTIONS_PER_ADDRESS": "1000000",
    "GATEWAY_COMMANDS_PER_S": "1000000",
    "GATEWAY_COMMANDS_BURST": "1000000",
    "GATEWAY_WRITES_PER_S": "1000000",
    "GATEWAY_WRITES_BURST": "1000000",
    "GATEWAY_READS_PER_S": "1000000",
    "GATEWAY_READS_BURST": "1000000",
    "GATEWAY_PASSING_PER_S": "1000000",
    "GATEWAY_PASSING_BURST": "1000000",
    "GATEWAY_CONNECTIONS_PER_USER": "1000000",
    "GATEWAY_ACCEPTS_PER_S": "1000000",
    "GATEWAY_ACCEPTS_BURST": "1000000",
}
"""One machine stands for many: the limits per address and connection are out of the way."""


def allow_files(sockets: int) -> None:
    """Raise the limit of open files to this many sockets; RuntimeError when that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = sockets + SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise RuntimeError(f"{sockets} clients need {needed} open files; the limit is {hard}.")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class FleetClient(LeanSocket):
    """A client of the gateway, signed in once it is served."""

    __slots__ = ("hello_s", "player", "put_off")

    def __init__(self, player: SignedInUser, on_text: OnText | None = None) -> None:
        super().__init__(greeting=ANSWERED, on_text=on_text)
        self.player = player
        self.hello_s = 0.0
        """From the TCP connection to the welcome."""
        self.put_off = 0
        """How often its hello was postponed."""

    async def arrive(self, index: int, resume: Mapping[str, int] | None = None) -> bytes:
        """Connect, say hello, and return the welcome; RuntimeError when there is none.

        A postponed hello is sent again on the same socket after the time in the reply.
        """
        began = time.perf_counter()
        await self.connect(index)
        hello = self.hello(resume)
        self.write(hello)
        while not (answer := await self.served).startswith(WELCOMED):
            wait_s = orjson.loads(answer)["error"].get("retry_after")
            if wait_s is None:
                raise RuntimeError(answer.decode())
            self.put_off += 1
            self.await_greeting_again()
            await asyncio.sleep(wait_s)
            self.write(hello)
        self.hello_s = time.perf_counter() - began
        return answer

    async def connect(self, index: int) -> None:
        """Become a WebSocket that has yet to say hello."""
        await dial(self, self.player.url, index, f"Sec-WebSocket-Protocol: {SUBPROTOCOL}")

    def hello(self, resume: Mapping[str, int] | None = None) -> bytes:
        """Return the frame of the hello command."""
        frame = {"type": "hello", "id": 1, "token": self.player.token, "resume": resume or {}}
        return masked(orjson.dumps(frame))


async def dial(socket: LeanSocket, url: str, index: int, *headers: str) -> None:
    """Connect and upgrade, from the address that the index-th client has; tcp:// is only TCP."""
    parts = urlsplit(url)
    port = parts.port or 80
    await asyncio.get_running_loop().create_connection(
        lambda: socket, "127.0.0.1", port, local_addr=(f"127.0.0.{2 + index // PER_ADDRESS}", 0)
    )
    if parts.scheme == "tcp":
        socket.skip_upgrade()
    else:
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        socket.upgrade(f"127.0.0.1:{port}", path, *headers)
    await socket.open


async def run_limited(
    count: int, do: Callable[[int], Awaitable[object]], *, at_once: int = AT_ONCE
) -> None:
    """Run `do` for 0 … count - 1, `at_once` at a time; RuntimeError when it takes far too long."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await do(number)

    try:
        async with asyncio.timeout(START_S + count * EACH_S), asyncio.TaskGroup() as group:
            for number in range(min(at_once, count)):
                group.create_task(worker(), name=f"steward.{number}")
    except TimeoutError:
        raise RuntimeError(
            f"{count} clients did not connect; {next(numbers, count)} tried"
        ) from None
    except ExceptionGroup as failed:
        raise RuntimeError(f"a client did not connect: {failed.exceptions[0]}") from failed


async def arrive(members: Sequence[FleetClient]) -> None:
    """Connect them all."""
    await run_limited(len(members), lambda index: members[index].arrive(index))


async def dismiss(sockets: Iterable[LeanSocket]) -> None:
    """Cut every connection and wait until all are gone."""
    gone = [socket.lost for socket in sockets if socket.abort()]
    if gone:
        await asyncio.wait(gone)
