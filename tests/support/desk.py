"""`desk`: whole gateways in the test's own event loop, and people to act as.

Real sockets, a real database and a real Redis of the test's own; two nodes that know each other
only through Redis. Tests that kill workers start processes instead (tests/workers.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
import httpx2
import pytest
import uvicorn
from pydantic import SecretStr

from gateway import context
from gateway.app import make_server
from gateway.auth import Tokens
from gateway.auth.subjects import id_of
from gateway.chat import message_store
from gateway.cli.listen import listen, port_of
from gateway.client import Connection, RequestRefused, connect
from gateway.client import socket as client_socket
from gateway.settings import Settings
from gateway.sockets.node import Node
from tests.support.given_settings import GivenSettings
from tests.support.text_crm import NEST_LOGIN, TEXT_CRM, nest_token, uuid_of

SECRET = "a secret of thirty-two bytes or so"
PBX_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Knows no authorities: reading them takes 8 ms for each client, and nodes here speak HTTP."""

PATIENCE_S = 60.0
"""Limits that the product has for people who wait; a desk on a busy machine may stand still longer.

Those who test a limit set it to what they test.
"""

STOP_S = 20.0
"""Drains take 3 s here, and the last of everything a little more."""


def employee(number: int) -> int:
    """Return the id of an employee of the demo, in the CRM that the tests run on."""
    return id_of("employee", uuid_of("user", number)) if TEXT_CRM else number


def customer(number: int) -> int:
    """Return the id of a customer of the demo, in the CRM that the tests run on."""
    return id_of("customer", uuid_of("client", number)) if TEXT_CRM else number


def staff(*employee_ids: int) -> list[int]:
    """Return the numbers that these employees have in the demo's tables, which tests change."""
    return [NUMBERS[one] for one in employee_ids]


NUMBERS = {employee(number): number for number in range(1, 21)}

OKSANA, PETRO, IRYNA = employee(1), employee(2), employee(3)
DIRECTOR = employee(19)

SUBJECTS = {employee(number): uuid_of("user", number) for number in range(1, 21)}
"""The CRM's own ids of employees, which its tokens have."""


@dataclass
class RunningNode:
    """One gateway node of this test."""

    settings: Settings
    app: Any
    server: uvicorn.Server
    port: int
    running: asyncio.Task[None]

    @property
    def node(self) -> Node:
        found: Node = self.app.state.gateway.node
        return found

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/ws"

    async def stop(self) -> None:
        """Stop as SIGTERM does; a node that does not says where it waits."""
        self.server.should_exit = True
        done, _ = await asyncio.wait([self.running], timeout=STOP_S)
        if not done:
            for task in asyncio.all_tasks():
                task.print_stack(file=sys.stdout)
            self.running.cancel()
            pytest.fail(f"the node did not stop within {STOP_S:.0f} s")
        await self.running


def own_tokens() -> Tokens:
    """Return what verifies the tokens of these tests as a node does."""
    if TEXT_CRM:
        return Tokens(SECRET, "", "", 0, requires_id=False)
    return Tokens(SECRET, "crm-gateway", "crm-gateway", 0)


@dataclass
class Desk:
    """Nodes, people and a way to look into the database."""

    database: str
    redis_url: str
    tokens: Tokens = field(default_factory=own_tokens)
    nodes: list[RunningNode] = field(default_factory=list)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start_node(self, **changes: Any) -> RunningNode:
        """Start one more node, on any free port; changes override settings."""
        listener = listen("127.0.0.1", changes.get("port", 0))
        settings = GivenSettings(
            **{
                "database_url": self.database,
                "redis_url": self.redis_url,
                "token_secret": SecretStr(SECRET),
                "pbx_secrets": {"main": [SecretStr(PBX_SECRET)]},
                "node": f"n{len(self.nodes) + 1}-{uuid.uuid4().hex[:6]}",
                "presence_lease_s": 1.0,
                "presence_grace_s": 0.2,
                "sweep_s": 0.5,
                "upkeep_s": 0.5,
                "drain_s": 3.0,
                "commands_per_s": 2_000.0,
                "commands_burst": 2_000,
                "writes_per_s": 2_000.0,
                "writes_burst": 2_000,
                "reads_per_s": 2_000.0,
                "reads_burst": 2_000,
                "passing_per_s": 2_000.0,
                "passing_burst": 2_000,
                "connections_per_user": 10_000,
                "database_pool": 5,
                "database_timeout_s": PATIENCE_S,
                "hello_wait_s": PATIENCE_S,
                **(NEST_LOGIN if TEXT_CRM else {}),
                **changes,
            }
        )
        app, server = make_server(settings)
        app.state.own_ports = {port_of(listener)}  # each node is asked for its metrics
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)
        running = asyncio.create_task(server._serve([listener]))
        while not server.started:
            if running.done():
                await running
                pytest.fail("the node ended while starting")
            await asyncio.sleep(0.005)
        started = RunningNode(settings, app, server, port_of(listener), running)
        self.nodes.append(started)
        return started

    def token(self, employee_id: int, *, ttl: timedelta = timedelta(hours=1)) -> str:
        if TEXT_CRM:
            return nest_token(SUBJECTS.get(employee_id, str(employee_id)), SECRET, ttl)
        return self.tokens.issue(employee_id, ttl=ttl)

    async def client(self, employee_id: int, *, node: int = 0, **options: Any) -> Connection:
        """Connect as an employee; the connection is closed with the test."""
        return await self._stack.enter_async_context(
            connect(self.nodes[node].socket_url, self.token(employee_id), **options)
        )

    def http(self, employee_id: int | None = None, *, node: int = 0) -> httpx2.AsyncClient:
        """Return an HTTP client that asks as this employee."""
        headers = {}
        if employee_id is not None:
            headers["Authorization"] = f"Bearer {self.token(employee_id)}"
        client = httpx2.AsyncClient(
            base_url=self.nodes[node].url, headers=headers, timeout=60, verify=NO_TLS
        )
        self._stack.push_async_callback(client.aclose)
        return client

    async def sql(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Look into, or change, the database behind the gateway's back."""
        conn = await asyncpg.connect(self.database)
        try:
            return await conn.fetch(statement, *arguments)
        finally:
            await conn.close()

    def forget_identities(self) -> None:
        """Let every node read permissions again for its next HTTP request."""
        for node in self.nodes:
            node.node.identities.forget(None)

    async def close(self) -> None:
        await self._stack.aclose()
        await asyncio.gather(*(node.stop() for node in self.nodes if not node.running.done()))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have commands wait for a connection, and clients for a reply, as long as it takes."""
    for module, limit in (
        (context, "ACQUIRE_S"),
        (message_store, "ACQUIRE_S"),
        (message_store, "WAITING_TIMEOUT_S"),
        (client_socket, "REPLY_S"),
        (client_socket, "WELCOME_S"),
    ):
        monkeypatch.setattr(module, limit, PATIENCE_S)
    monkeypatch.setattr(Connection.next, "__kwdefaults__", {"timeout_s": PATIENCE_S})


@pytest.fixture
async def empty_desk(database: str, redis_url: str, patient: None) -> AsyncIterator[Desk]:
    """Give a desk without nodes: the test starts its own."""
    desk = Desk(database, redis_url)
    yield desk
    await desk.close()


@pytest.fixture
async def small_desk(empty_desk: Desk) -> Desk:
    """Give a desk with one node."""
    await empty_desk.start_node()
    return empty_desk


@pytest.fixture
async def desk(empty_desk: Desk) -> Desk:
    """Give a desk with two nodes."""
    await empty_desk.start_node()
    await empty_desk.start_node()
    return empty_desk


async def refused(attempt: Any) -> str:
    """Await what must be refused, and return the code it is refused with."""
    with pytest.raises(RequestRefused) as refusal:
        await attempt
    code: str = refusal.value.code
    return code


async def eventually(check: Any, *, timeout_s: float = 60.0) -> Any:
    """Return what check() returns once it is true; fail when it never is."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        found = check()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if asyncio.get_running_loop().time() > deadline:
            pytest.fail(f"still not true after {timeout_s} s")
        await asyncio.sleep(0.01)


async def nothing_within(waiting: Any, seconds: float) -> None:
    """Fail when waiting yields something within these seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            pytest.fail(f"unexpected: {await waiting}")
