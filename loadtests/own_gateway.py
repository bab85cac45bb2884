"""A gateway for one benchmark: `gateway dev` with its own servers, removed afterwards.

Two worker processes, PostgreSQL (durable, as in production) and Valkey on free ports in a
temporary state directory. No setting of this process' environment reaches it, so a benchmark never
writes to a database that GATEWAY_DATABASE_URL happens to name.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from gateway.auth import Tokens
from gateway.cli.state import find_running, read_secret
from gateway.embedded.process import Child, start
from loadtests.process_cost import MeasuredProcess, workers_below
from loadtests.queries import crowds, people
from loadtests.test_users import SignedInUser

START_S = 60.0
"""About 3 s on an idle machine; initdb on a busy one takes many times that."""
POLL_S = 0.05

Seat = Callable[[Any, Sequence[int], int], Awaitable[list[int]]]


@dataclass(frozen=True, slots=True)
class OwnGateway:
    """A running gateway that belongs to this benchmark."""

    directory: Path
    database_url: str
    redis_url: str
    worker_ports: tuple[int, ...]
    workers: tuple[MeasuredProcess, ...] = ()
    """To be measured from outside; none where there is no /proc."""

    def socket_url(self, worker: int) -> str:
        return f"ws://127.0.0.1:{self.worker_ports[worker % len(self.worker_ports)]}/v1/ws"

    def cast(self, count: int, *, worker: int | None = None) -> list[SignedInUser]:
        """Add this many employees and assign them to this worker, or to all workers in turn."""
        secret = read_secret(self.directory, "token_secret")
        assert secret is not None
        tokens = Tokens(secret, "crm-gateway", "crm-gateway")
        return [
            SignedInUser(
                employee_id,
                tokens.issue(employee_id),
                self.socket_url(index if worker is None else worker),
            )
            for index, employee_id in enumerate(asyncio.run(self._hire(count)))
        ]

    def rooms(self, players: Sequence[SignedInUser], size: int) -> list[int]:
        """Put them into group conversations of this size; return these."""
        return asyncio.run(self._seat(crowds.seat_in_rooms, players, size))

    def circles(self, players: Sequence[SignedInUser], size: int) -> list[int]:
        """Put each of them into this many group conversations of this size; return these."""
        return asyncio.run(self._seat(crowds.seat_in_circles, players, size))

    async def _hire(self, count: int) -> list[int]:
        async with self._connection() as conn:
            return await people.hire(conn, count)

    async def _seat(self, seat: Seat, players: Sequence[SignedInUser], size: int) -> list[int]:
        async with self._connection() as conn:
            return await seat(conn, [player.employee_id for player in players], size)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        conn = await asyncpg.connect(self.database_url)
        try:
            yield conn
        finally:
            await conn.close()


@contextmanager
def own_gateway(
    *,
    workers: int = 2,
    settings: Mapping[str, str] | None = None,
    checkout: Path | None = None,
) -> Iterator[OwnGateway]:
    """Start a gateway; stop it and remove its data at the end.

    `settings` are GATEWAY_ variables; `checkout` holds another version to run. When this process
    is killed, the gateway ends by itself.
    """
    directory = Path(tempfile.mkdtemp(prefix="gateway-bench-"))  # short: sockets live in it
    _allow_open_files()
    try:
        child = start(
            "gateway dev",
            [*_environment(directory, settings or {}, checkout), *_command(workers)],
            log=directory / "dev.log",
            # Not SIGINT: a shell starts background jobs with that ignored.
            stop_signals=(signal.SIGTERM, signal.SIGINT),
        )
        try:
            yield _wait_ready(child, directory, workers)
        finally:
            child.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _allow_open_files() -> None:
    """Let the workers, which inherit it, hold as many sockets as this system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _command(workers: int) -> list[str]:
    return [sys.executable, "-m", "gateway", "dev", "--port", "0", "--workers", str(workers)]


def _environment(directory: Path, settings: Mapping[str, str], checkout: Path | None) -> list[str]:
    """Return env(1) with arguments that take our own settings away and give it its own."""
    env = shutil.which("env")
    if env is None:
        raise RuntimeError("env(1) is missing")
    ours = [name for name in os.environ if name.upper().startswith("GATEWAY_")]
    given = {
        "GATEWAY_STATE_DIR": str(directory),
        "GATEWAY_LOG_LEVEL": "warning",
        **settings,
    }
    unset = [part for name in ours for part in ("-u", name)]
    there = ["-C", str(checkout)] if checkout else []
    return [env, *there, *unset, *(f"{name}={value}" for name, value in given.items())]


def _wait_ready(child: Child, directory: Path, workers: int) -> OwnGateway:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if not child.alive:
            raise child.failed("ended while starting")
        facts = find_running(directory)
        if facts and all(_is_ready(port) for port in facts["worker_ports"]):
            assert len(facts["worker_ports"]) == workers
            return OwnGateway(
                directory,
                facts["database_url"],
                facts["redis_url"],
                tuple(facts["worker_ports"]),
                tuple(workers_below(facts["pid"])),
            )
        time.sleep(POLL_S)
    raise child.failed(f"was not ready within {START_S:.0f} s")


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False
