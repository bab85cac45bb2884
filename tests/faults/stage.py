"""Everything that one run needs, with a proxy on every network path.

laboratory ─▶ open_stage ─▶ FaultStage. Clients reach a worker through one proxy, and each worker
has its own proxies to Redis and to PostgreSQL, so that one of them can be cut off alone.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from gateway.auth import Tokens
from loadtests.fleet import NO_LIMITS
from loadtests.own_database import connected
from tests.faults.namespaces import Namespace, namespace
from tests.faults.proxy import Proxy
from tests.faults.servers import Servers
from tests.faults.workers import PRODUCT, LaboratoryWorker

LEASE_S = 6.0
GRACE_S = 2.0
SETTINGS = {
    **NO_LIMITS,
    "GATEWAY_DEMO": "true",
    "GATEWAY_DRAIN_S": "1",
    "GATEWAY_LOG_LEVEL": "warning",
    "GATEWAY_PING_S": "2",
    "GATEWAY_PONG_S": "2",
    "GATEWAY_PRESENCE_LEASE_S": f"{LEASE_S:g}",
    "GATEWAY_PRESENCE_GRACE_S": f"{GRACE_S:g}",
    "GATEWAY_UPKEEP_S": "2",
}
"""Shorter times than in production, in the same proportions, and no limits: one machine stands for
many."""


@dataclass(frozen=True, slots=True)
class StageOptions:
    """What is to be opened."""

    workers: int
    in_namespaces: Sequence[int] = ()
    servers: Servers | None = None
    """Some that run already; otherwise both are started, and keep everything on disk."""
    module: Sequence[str] = PRODUCT
    settings: Mapping[str, str] | None = None
    logs: Path | None = None
    """Where what workers and servers wrote is kept; otherwise it goes with the rest."""


@dataclass(slots=True)
class FaultStage:
    """It is open."""

    servers: Servers
    workers: list[LaboratoryWorker]
    doors: list[Proxy]
    """Worker → the way of clients to it."""
    redis: list[Proxy]
    postgres: list[Proxy]
    namespaces: dict[int, Namespace]
    tokens: Tokens

    @property
    def urls(self) -> list[str]:
        return [f"ws://127.0.0.1:{door.port}/v1/ws" for door in self.doors]

    def pids(self) -> dict[str, list[int]]:
        """Return the processes that a delivery passes, by name."""
        found = {f"worker {one.number + 1}": [one.pid] for one in self.workers if one.process}
        return {**found, **self.servers.pids()}

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """Lend a connection that goes past every proxy."""
        async with connected(self.servers.dsn) as conn:
            yield conn


@asynccontextmanager
async def open_stage(wanted: StageOptions) -> AsyncIterator[FaultStage]:
    """Start everything; end and remove it afterwards."""
    with _directory(wanted.logs) as directory:
        servers = wanted.servers or Servers(directory)
        async with AsyncExitStack() as stack:
            stack.callback(servers.close)
            servers.open()
            await servers.prepare()
            stage = await _build(stack, servers, wanted, directory)
            for worker in stage.workers:
                worker.start()
            await asyncio.gather(*(worker.until_ready() for worker in stage.workers))
            yield stage


async def _build(
    stack: AsyncExitStack, servers: Servers, wanted: StageOptions, directory: Path
) -> FaultStage:
    secret = secrets.token_hex(32)
    stage = FaultStage(servers, [], [], [], [], {}, Tokens(secret, "crm-gateway", "crm-gateway"))
    database = urlsplit(servers.dsn).path.removeprefix("/")
    for number in range(wanted.workers):
        prefix: Sequence[str] = ()
        redis_host = postgres_host = "127.0.0.1"
        if number in wanted.in_namespaces:
            inside = stage.namespaces[number] = stack.enter_context(namespace())
            prefix, redis_host = inside.command, inside.redis_host
            postgres_host = inside.postgres_host
        redis = await stack.enter_async_context(Proxy(servers.redis_socket, host=redis_host))
        postgres = await stack.enter_async_context(
            Proxy(servers.postgres_socket, host=postgres_host)
        )
        worker = LaboratoryWorker(
            number,
            {
                **SETTINGS,
                "GATEWAY_TOKEN_SECRET": secret,
                "GATEWAY_REDIS_URL": f"redis://{redis_host}:{redis.port}/0",
                "GATEWAY_DATABASE_URL": (
                    f"postgresql://gateway@{postgres_host}:{postgres.port}/{database}"
                    "?sslmode=disable"
                ),
                **(wanted.settings or {}),
            },
            directory / f"worker-{number + 1}.log",
            module=wanted.module,
            prefix=prefix,
        )
        stack.callback(worker.close)
        stage.workers.append(worker)
        stage.redis.append(redis)
        stage.postgres.append(postgres)
        stage.doors.append(await stack.enter_async_context(Proxy(worker.port)))
    return stage


@contextmanager
def _directory(logs: Path | None) -> Iterator[Path]:
    """Give a directory with a short path: sockets live in it."""
    directory = Path(tempfile.mkdtemp(prefix="gateway-faults-"))
    try:
        yield directory
    finally:
        if logs is not None:
            logs.mkdir(parents=True, exist_ok=True)
            for log in directory.rglob("*.log"):
                shutil.copy(log, logs)
        shutil.rmtree(directory, ignore_errors=True)
