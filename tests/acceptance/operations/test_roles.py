"""What one worker does with all roles, three do with one each; and each does nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from pydantic import ValidationError
from websockets.exceptions import InvalidStatus

from gateway.protocol import CallOffered, MessageCreated, MessageSchedule
from gateway.settings import Settings
from tests.support.calls import ringing, signed
from tests.support.desk import OKSANA, PETRO, SECRET, Desk, RunningNode, eventually
from tests.support.raw import raw


def tasks_of(node: RunningNode) -> set[str]:
    return {task.get_name() for task in node.node.tasks}


async def start_all(desk: Desk) -> None:
    """Start one node for each role."""
    for role in ("sockets", "ingest", "background"):
        await desk.start_node(roles=(role,))


@asynccontextmanager
async def serving(desk: Desk, *words: str, **environment: str) -> AsyncIterator[Any]:
    """Run `gateway serve` against the desk's servers; it has ended afterwards."""
    clean = {name: value for name, value in os.environ.items() if "GATEWAY_" not in name}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", *words),
        env={
            **clean,
            "GATEWAY_DATABASE_URL": desk.database,
            "GATEWAY_REDIS_URL": desk.redis_url,
            "GATEWAY_TOKEN_SECRET": SECRET,
            "GATEWAY_UPKEEP_S": "0.3",
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            await process.communicate()


def only_child(pid: int) -> int:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    [child] = map(int, listed.split())
    return child


async def say_that_it_hangs(process: asyncio.subprocess.Process) -> None:
    """Stop the only worker, and wait until its supervisor has noticed."""
    worker = only_child(process.pid)
    os.kill(worker, signal.SIGSTOP)
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while b"worker.hangs" not in (said := await process.stdout.readline()):
            assert said, "it ended"
    os.kill(worker, signal.SIGCONT)


async def test_a_pbx_event_taken_by_one_node_rings_on_another(empty_desk: Desk) -> None:
    """The ingest node stores it, and tells the sockets node whose telephone rings."""
    await start_all(empty_desk)
    oksana = await empty_desk.client(OKSANA)
    body = orjson.dumps([ringing(1)])

    taken = await empty_desk.http(node=1).post(
        "/v1/telephony/events", content=body, headers=signed(body)
    )

    assert taken.json()["accepted"] == 1
    assert (await oksana.next(CallOffered)).call.status == "ringing"


@pytest.mark.slow
async def test_a_process_without_a_port_sends_what_is_due(empty_desk: Desk) -> None:
    """`gateway serve --role background`: it answers for its health alone, and is watched."""
    await empty_desk.start_node(roles=("sockets",))
    oksana, petro = await empty_desk.client(OKSANA), await empty_desk.client(PETRO)
    room = (await oksana.open(PETRO)).conversation.id
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    await oksana.request(
        MessageSchedule(
            conversation_id=room,
            text="later",
            client_key=uuid.uuid4(),
            send_at=datetime.now(UTC) + timedelta(hours=1),
        )
    )

    async with serving(
        empty_desk,
        *("--role", "background"),
        GATEWAY_PORT="1",
        GATEWAY_WORKER_PORTS=str(port),
        GATEWAY_HANG_S="1.5",
    ) as process:
        http = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}")

        async def ready() -> Any:
            try:
                return (await http.get("/readyz")).json()
            except httpx2.TransportError:
                return None

        said = await eventually(ready, timeout_s=30)
        await empty_desk.sql("UPDATE realtime.scheduled_messages SET send_at = now()")
        await empty_desk.sql(
            "UPDATE realtime.schedules SET next_at = now() WHERE name = 'scheduled.collect'"
        )
        message = (await petro.next(MessageCreated)).message
        other = await http.get("/v1/messenger/conversations")
        await http.aclose()
        await say_that_it_hangs(process)

    assert message.text == "later"
    assert said["roles"] == ["background"]
    assert said["checks"] == {"database": "ok", "bus": "ok", "contract": "ok", "draining": "ok"}
    assert other.status_code == 404


async def test_each_role_starts_only_what_it_needs(empty_desk: Desk) -> None:
    """No sweeps without clients, no presence without people or calls, nothing due on two sides."""
    await start_all(empty_desk)
    sockets, ingest, background = empty_desk.nodes

    assert {"streams", "unread", "upkeep", "devices", "cluster_limits"} <= tasks_of(sockets)
    assert "jobs.upkeep" not in tasks_of(sockets)
    everywhere = {"standing", "memberships", "contract"}
    assert tasks_of(ingest) == {"on_call", "callbacks.news", *everywhere}
    assert tasks_of(background) == {
        "jobs.upkeep", "callbacks", "events.relay", "events.backlog", *everywhere,
    }  # fmt: skip
    assert "events" in tasks_of(sockets)
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert "ingest.batches" in names
    running = [task.get_name() for task in asyncio.all_tasks()]
    assert running.count("jobs.claims") == 1
    assert running.count("ingest.batches") == 1
    assert running.count("presence-lease") == 2


async def test_each_role_answers_only_what_is_its_own(empty_desk: Desk) -> None:
    """Clients find no socket at an ingest node, and a PBX finds no door at a sockets node."""
    await start_all(empty_desk)
    events = "/v1/telephony/events"
    conversations = "/v1/messenger/conversations"

    found = []
    for number in range(3):
        http = empty_desk.http(OKSANA, node=number)
        said = (
            (await http.get(conversations)).status_code,
            (await http.post(events, json=[])).status_code,
            (await http.get("/readyz")).status_code,
            (await http.get("/metrics")).status_code,
        )
        found.append(said)
        openapi = (await http.get("/openapi.json")).json()
        assert (events in openapi["paths"]) == (number == 1)

    assert [said[0] == 200 for said in found] == [True, False, False]
    assert [said[1] == 401 for said in found] == [False, True, False]  # 401: not signed
    assert [said[2:] for said in found] == [(200, 200)] * 3
    with pytest.raises(InvalidStatus, match="404"):
        async with raw(empty_desk.nodes[1].socket_url):
            pass


@pytest.mark.parametrize("roles", ["", "sockets,phones"])
def test_a_role_that_does_not_exist_is_refused(roles: str) -> None:
    """Before anything starts."""
    with pytest.raises(ValidationError, match="role"):
        Settings(roles=roles)


def test_roles_are_kept_in_one_order(tmp_path: Path) -> None:
    """However they are given."""
    settings = Settings(roles="background, sockets", state_dir=tmp_path)

    assert settings.roles == ("sockets", "background")
    assert settings.takes("background", "ingest")
    assert not settings.takes("ingest")
