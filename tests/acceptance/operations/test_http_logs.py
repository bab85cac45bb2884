"""What strangers and errors on HTTP write into the log: bounded, and once."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from gateway import commands
from gateway.ops.bounded_log import MOST, BoundedLog
from gateway.rest import telephony
from gateway.sockets.listener import http
from tests.support.desk import OKSANA, Desk, eventually
from tests.support.unread import unread


@pytest.fixture(autouse=True)
def uncached() -> Any:
    """Let loggers that were used before be captured."""
    structlog.configure(cache_logger_on_first_use=False)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what libraries have logged."""
    return [
        one.message
        for one in caplog.records
        if one.levelno >= logging.WARNING and one.name.startswith(("uvicorn", "asyncio"))
    ]


async def test_a_pipeline_that_is_lost_logs_no_error(
    small_desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request that runs when the connection goes writes to nothing; those behind never run."""
    node, gate = small_desk.nodes[0], asyncio.Event()
    begun, run = 0, commands.run

    async def gated(*arguments: Any) -> Any:
        nonlocal begun
        begun += 1
        await gate.wait()
        return await run(*arguments)

    monkeypatch.setattr("gateway.commands.run", gated)
    with unread(node.port) as (client,):
        path, token = "/v1/messenger/unread-count", small_desk.token(OKSANA)
        await client.ask(path, token=token, times=5)
        await eventually(lambda: begun == 1)
        (connection,) = node.server.server_state.connections
        connection.transport.abort()  # as when the kernel tells that it is lost
    await eventually(lambda: not node.server.server_state.connections)
    with capture_logs() as logged:
        gate.set()
        await eventually(lambda: not node.server.server_state.tasks)

    assert begun == 1
    assert [one for one in logged if one["log_level"] == "error"] == []
    assert warnings(caplog) == []


async def test_connections_that_are_reset_at_any_moment_log_no_error(
    small_desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """Two hundred of them, with one to nine requests, large answers and small ones."""
    node, token = small_desk.nodes[0], small_desk.token(OKSANA)
    paths = ["/openapi.json", "/app.js", "/readyz", "/v1/messenger/conversations"]
    for number in range(200):
        with unread(node.port) as (client,):
            await client.ask(paths[number % 4], token=token, times=1 + number % 9)
            for _ in range(number % 31):
                await asyncio.sleep(0)
            now = struct.pack("ii", 1, 0)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
    await eventually(lambda: not node.server.server_state.connections)
    await eventually(lambda: not node.server.server_state.tasks)

    assert warnings(caplog) == []


async def test_an_error_of_a_route_is_logged_once(
    small_desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its trace, by us and not by uvicorn, too; the client gets 500 and goes on."""

    async def broken(*_: Any) -> Any:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("gateway.commands.run", broken)
    oksana = small_desk.http(OKSANA)
    with capture_logs() as logged:
        answer = await oksana.get("/v1/messenger/unread-count")
        again = await oksana.get("/healthz")

    assert (answer.status_code, again.status_code) == (500, 200)
    assert answer.json()["error"]["code"] == "internal"
    errors = [one for one in logged if one["log_level"] == "error"]
    assert [one["event"] for one in errors] == ["request.failed"]
    assert errors[0]["request"] == answer.headers["X-Request-Id"]
    assert warnings(caplog) == []


REQUESTS = {
    "webhook.refused": b"POST /v1/telephony/events HTTP/1.1\r\nHost: x\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n",
    "http.refused": b"NO\x00NSENSE\r\n\r\n",
}


@pytest.mark.parametrize("event", ["webhook.refused", "http.refused"])
async def test_lines_that_strangers_cause_are_bounded(
    small_desk: Desk,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    event: str,
) -> None:
    """Fifty refused requests are ten lines; libraries add none of their own."""
    for module in (http, telephony):  # other tests may have had the ten of these seconds
        monkeypatch.setattr(module, "refusals", BoundedLog(structlog.get_logger()))
    port = small_desk.nodes[0].port
    with capture_logs() as logged:
        for _ in range(50):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUESTS[event])
            async with asyncio.timeout(10):
                assert (await reader.read()).startswith(b"HTTP/1.1 40")
            writer.close()

    lines = [one for one in logged if one["event"] == event and "left_out" not in one]
    assert 0 < len(lines) <= MOST
    assert warnings(caplog) == []
