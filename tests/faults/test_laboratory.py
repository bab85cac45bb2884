"""The laboratory, small: real workers under two faults; and a worker broken on purpose is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loadtests.own_database import connected
from tests.faults import report
from tests.faults.checker import RULES
from tests.faults.laboratory import BOUNDS, FaultPlan, run
from tests.faults.proxy import Proxy
from tests.faults.schedule import Fault
from tests.faults.servers import BorrowedServers
from tests.faults.stage import StageOptions

PATIENCE_S = 120.0
"""Even what is never put right is found out, and named, in less."""


@pytest.mark.slow
async def test_nothing_is_lost_when_redis_and_connections_are_cut(
    database: str, redis_url: str
) -> None:
    """Two workers, a dozen people: a worker is cut off from Redis, then every backend is ended."""
    faults = (
        Fault(0, "redis_cut", 0, 0.2, 1.0, (0.2, 0.4, 0.6)),
        Fault(1, "terminate_backends", 0, 1.5, 0.2, (0.0, 0.1, 0.2)),
    )
    soon = {
        "GATEWAY_PRESENCE_GRACE_S": "0.3",
        "GATEWAY_SWEEP_S": "0.5",
        "GATEWAY_UPKEEP_S": "0.5",
    }
    running = (
        BorrowedServers(database, redis_url)
        if BorrowedServers.possible(database, redis_url)
        else None
    )
    stage = StageOptions(2, servers=running, settings=soon)
    plan = FaultPlan(stage, faults, clients=12, rate=40.0, seconds=2.0, seed=1, bounds=BOUNDS)

    async with asyncio.timeout(PATIENCE_S):
        outcome = await run(plan, lambda _: None)

    assert outcome.findings == {name: [] for name in RULES}
    assert outcome.history.faults[0].trace
    assert outcome.healed  # the sweep found what Redis did not bring
    written = report.text(report.figures(plan, outcome), outcome)
    for process in ("worker 1", "worker 2", "laboratory"):  # whoever was starved is named
        assert process in written


async def test_reading_a_long_run_in_one_transaction_may_take_its_time(database: str) -> None:
    """Ten seconds, after which the gateway ends one, are too short for 40,000 messages."""
    async with connected(database) as conn, conn.transaction():
        assert await conn.fetchval("SHOW idle_in_transaction_session_timeout") == "0"


@asynccontextmanager
async def echo(directory: Path) -> AsyncIterator[Proxy]:
    """Give a proxy to a server that says again what it is told."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_unix_server(answer, directory / "echo.sock")
    async with Proxy(directory / "echo.sock") as proxy:
        yield proxy
    server.close()


async def said(proxy: Proxy, reader: asyncio.StreamReader, within_s: float) -> bytes | None:
    """Return what comes back; b"" when it is over, None when nothing comes."""
    try:
        async with asyncio.timeout(within_s):
            return await reader.read(100)
    except TimeoutError:
        return None
    except ConnectionResetError:
        return b""


async def test_the_network_is_as_bad_as_it_says(tmp_path: Path) -> None:
    """Stalled it holds back, cut it resets and refuses, and what fell silent stays so."""
    async with echo(tmp_path) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"open")
        assert await said(proxy, reader, 5) == b"open"

        proxy.set("stall")
        writer.write(b"held")
        assert await said(proxy, reader, 0.1) is None
        proxy.set("open")
        assert await said(proxy, reader, 5) == b"held"

        proxy.set("delay", delay_s=0.1)
        writer.write(b"slow")
        assert await said(proxy, reader, 0.05) is None
        assert await said(proxy, reader, 5) == b"slow"

        proxy.set("blackhole")
        proxy.set("open")
        writer.write(b"lost")
        assert await said(proxy, reader, 0.1) is None
        fresh, other = await asyncio.open_connection("127.0.0.1", proxy.port)
        other.write(b"fresh")
        assert await said(proxy, fresh, 5) == b"fresh"

        proxy.set("cut")
        assert await said(proxy, fresh, 5) == b""
        refused, third = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await said(proxy, refused, 5) == b""
        assert proxy.touched >= 5
        for one in (writer, other, third):
            one.close()
