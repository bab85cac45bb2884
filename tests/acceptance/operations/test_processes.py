"""`gateway dev` as a newcomer and as an unlucky operator meets it: real processes, real signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import httpx2
import pytest

from gateway.client import connect
from gateway.protocol import (
    CallEnded,
    CallOffered,
    ConversationCreated,
    MessageCreated,
    PresenceChanged,
    PresenceWatch,
)
from tests.fakes import asterisk
from tests.fakes.asterisk import FakeAsterisk
from tests.support.desk import IRYNA, OKSANA, PETRO, eventually
from tests.support.dev import DevGateway, in_thread, run_dev


@pytest.mark.slow
async def test_two_people_chat_through_two_worker_processes(dev_gateway: DevGateway) -> None:
    """Each is connected to a process of their own; the message and the call cross."""
    async with (
        connect(dev_gateway.socket_url(0), dev_gateway.token(OKSANA)) as oksana,
        connect(dev_gateway.socket_url(1), dev_gateway.token(PETRO)) as petro,
    ):
        assert oksana.welcome.node != petro.welcome.node
        conversation = (await oksana.open(PETRO)).conversation
        await oksana.send(conversation.id, "Привіт")
        assert (await petro.next(MessageCreated)).message.text == "Привіт"

        await in_thread(dev_gateway.replay, "l01")
        offered = (await oksana.next(CallOffered)).call
        assert offered.customer is not None
        assert offered.customer.name == "Ivan Petrenko"
        assert (await oksana.next(CallEnded)).call.outcome == "answered"


@pytest.mark.slow
async def test_a_killed_worker_is_survived() -> None:
    """Kill -9: its people are offline for the others in time, clients return and miss nothing."""
    with run_dev(GATEWAY_PRESENCE_LEASE_S="2", GATEWAY_PRESENCE_GRACE_S="1") as gateway:
        doomed = await eventually(lambda: _worker_of(gateway, 0))
        async with (
            connect(gateway.socket_url(0), gateway.token(OKSANA)) as oksana,
            connect(gateway.socket_url(0), gateway.token(IRYNA), reconnect=False),
            connect(gateway.socket_url(1), gateway.token(PETRO)) as petro,
        ):
            conversation = (await petro.open(OKSANA)).conversation
            await oksana.next(ConversationCreated)
            watched = await petro.request(PresenceWatch(employee_ids=[OKSANA, IRYNA]))
            assert {item.status for item in watched.presences} == {"online"}

            os.kill(doomed, signal.SIGKILL)
            sent = [await petro.send(conversation.id, f"{number}") for number in range(10)]

            heard = [(await oksana.next(MessageCreated, timeout_s=30)).message for _ in sent]
            assert [m.text for m in heard] == [m.text for m in sent]
            assert oksana.reconnects >= 1
            gone: set[int] = set()
            while IRYNA not in gone:
                event = await petro.next(PresenceChanged, timeout_s=30)
                gone |= {p.employee_id for p in event.presences if p.status == "offline"}

            async def back() -> bool:  # her worker may have taken longer to start than the grace
                watched = await petro.request(PresenceWatch(employee_ids=[OKSANA]))
                return bool(watched.presences[0].status == "online")

            await eventually(back)
        again = await eventually(lambda: _worker_of(gateway, 0))
        assert again != doomed


def _worker_of(gateway: DevGateway, index: int) -> int | None:
    """Return the pid of the worker that listens on this worker's own port."""
    port = int(gateway.worker_urls[index].rpartition(":")[2])
    for pid in gateway.workers():
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        if f"GATEWAY_NODE=dev-w{index + 1}\0".encode() in environment:
            with socket.socket() as probe:
                return pid if probe.connect_ex(("127.0.0.1", port)) == 0 else None
    return None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.slow
def test_nothing_stays_behind(number: int) -> None:
    """After Ctrl-C, TERM or even KILL, no process and no socket of it is left."""
    with run_dev("--workers", "1") as gateway:
        children = gateway.children()
        assert len(children) == 3
        port = int(gateway.url.rpartition(":")[2])

        code = gateway.stop(number)

        assert code == (0 if number != signal.SIGKILL else -signal.SIGKILL)
        deadline = time.monotonic() + 15
        while left := [pid for pid in children if _alive(pid)]:
            assert time.monotonic() < deadline, {pid: children[pid] for pid in left}
            time.sleep(0.05)
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
        if number != signal.SIGKILL:
            assert not (gateway.state_dir / "running.json").exists()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.slow
async def test_a_stopping_gateway_says_goodbye() -> None:
    """Clients are told to come back elsewhere, with a window to spread them over."""
    with run_dev("--workers", "1") as gateway:
        async with connect(gateway.socket_url(0), gateway.token(OKSANA), reconnect=False) as oksana:
            code = await in_thread(gateway.stop)

            bye = await oksana.next(timeout_s=10)
            while bye.type != "bye":
                bye = await oksana.next(timeout_s=10)
            assert (bye.code, bye.resume) == (4601, True)
            assert bye.retry_in is not None
            assert code == 0


@pytest.mark.slow
async def test_the_demo_offers_a_sign_in_and_a_page(dev_gateway: DevGateway) -> None:
    """From the shared port, without a token."""
    async with httpx2.AsyncClient(base_url=dev_gateway.url) as http:
        people = (await http.get("/v1/demo/employees")).json()["employees"]
        signed_in = await http.post("/v1/demo/token", json={"employee_id": people[0]["id"]})
        page = await http.get("/")

    assert len(people) == 19
    assert signed_in.json()["token"]
    assert "<html" in page.text


@pytest.mark.slow
async def test_each_package_logs_at_level_info() -> None:
    """A migration, a connected PBX and the lease of a node: of the gateway, ingest and presence."""
    async with FakeAsterisk() as pbx:
        with run_dev(
            "--workers", "1",
            GATEWAY_LOG_LEVEL="info",
            GATEWAY_PBXS=json.dumps({"fake": asterisk.settings(pbx.port)}),
        ) as gateway:  # fmt: skip
            output = gateway.state_home / "output"

            def logged(logger: str, event: str) -> bool:
                return any(
                    "level=info" in line and f"logger={logger}" in line and event in line
                    for line in output.read_text(encoding="utf-8").splitlines()
                )

            await eventually(lambda: logged("gateway.app", "gateway.ready"))
            await eventually(lambda: logged("gateway.db.migrate", "0001_realtime.sql"))
            await eventually(lambda: logged("ingest.connectors.live", "connected"))
            await eventually(lambda: logged("presence.lease", "Redis available node="))
