"""Locust's users of all roles against a real gateway, and what refuses to start."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
import pytest

from loadtests import test_users
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.roles.figures import Figures
from loadtests.scenarios import capacity, locust_roles
from loadtests.scenarios.locust_roles import LOCUSTFILE, ROOT, SETTINGS
from loadtests.test_users import SignedInUser
from tests.fakes import asterisk
from tests.support.desk import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("locust") is None, reason="Locust is not installed (group `load`)"
    ),
]

LOCUST = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE)]
SENT_BY = {
    "ChatUser": {"message.send", "typing.start", "message.history", "receipt.read", "unread.get"},
    "SoftphoneUser": {"call.offered", "call.updated", "call.ended"},
    "PbxUser": {"POST /v1/telephony/events"},
    "SupervisorUser": {"queue.watch", "queue.changed"},
    "BackendUser": {"POST /v1/messenger/conversations/{id}/messages"},
}
"""User class → what each of its users does sooner or later, and nobody else."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[OwnGateway]:
    """Give a gateway with two workers."""
    with own_gateway(settings=SETTINGS) as started:
        yield started


def refused(tmp_path: Path, players: list[SignedInUser], *words: str, **environment: str) -> str:
    """Run Locust without a page; return why it did not start. There is no gateway."""
    test_users.write(tmp_path / "cast.json", players)
    done = subprocess.run(
        [*LOCUST, "--headless", "--run-time", "5s", "--host", "http://127.0.0.1:9", *words],
        cwd=ROOT,
        env={**os.environ, "LOADTEST_CAST": str(tmp_path / "cast.json"), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    (why,) = re.findall(r"Not started: (.*)", done.stderr)
    return str(why)


def people(count: int) -> list[SignedInUser]:
    return [SignedInUser(one, "t", "ws://127.0.0.1:9/v1/ws") for one in range(1, count + 1)]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_test_with_too_few_seats_is_refused(tmp_path: Path, processes: int) -> None:
    """No user comes; the reason names both numbers, in one process and in two."""
    many = locust_roles.distributed(processes)
    why = refused(tmp_path, people(30), "--users", "60", *many, "ChatUser")

    assert f"process 1 of {processes} needs {60 // processes} employees" in why
    assert "of 30 in all" in why


def test_calls_without_a_pbx_are_refused(tmp_path: Path) -> None:
    """Neither a secret nor an AMI port: said before the softphones wait for ever."""
    assert "--pbx-secret or --ami-port" in refused(tmp_path, people(50), "--users", "4")


def test_a_cast_that_is_none_is_refused(tmp_path: Path) -> None:
    """A missing file is named, instead of a failure for each user."""
    why = refused(tmp_path, [], "--users", "4", "ChatUser", LOADTEST_CAST=str(tmp_path / "none"))

    assert str(tmp_path / "none") in why


async def test_the_page_asks_for_the_options() -> None:
    """Each can be given there, with --users and --run-time; a secret is masked."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    locust = await asyncio.create_subprocess_exec(
        *LOCUST, "--web-host", "127.0.0.1", "--web-port", str(port), "--loglevel", "ERROR", cwd=ROOT
    )
    try:
        page = await eventually(lambda: page_of(port), timeout_s=30)
    finally:
        locust.terminate()
        await locust.wait()

    for name in ("cast", "employees", "extensions", "supervisors", "ami_port", "load"):
        assert re.search(rf'"{name}": {{[^}}]*"is_secret": false', page)
    for name in ("token_secret", "pbx_secret"):
        assert re.search(rf'"{name}": {{[^}}]*"is_secret": true', page)
    assert '"hide_common_options": false' in page


async def page_of(port: int) -> str | None:
    """Return the page; None while Locust does not listen yet."""

    def read() -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
                return str(page.read().decode())
        except OSError:
            return None

    return await asyncio.to_thread(read)


def work(
    gateway: OwnGateway,
    users: int,
    seconds: float,
    environment: Mapping[str, str] | None = None,
    *,
    processes: int = 1,
    classes: tuple[str, ...] = (),
) -> Figures:
    """Let users work; a busy machine may have the gateway refuse some, and nothing else fails."""
    players = locust_roles.hired(gateway, users)
    found, code = locust_roles.play(
        gateway, players, users, seconds, processes=processes, quiet=True,
        environment=environment, classes=classes,
    )  # fmt: skip
    assert [why for why in found.errors if not why.endswith(": overloaded")] == []
    assert code == bool(found.errors)
    return found


def test_every_role_does_its_work_in_two_processes(gateway: OwnGateway) -> None:
    """46 users of all roles, twice the sum of their weights: all is done, and nothing fails."""
    found = work(gateway, 46, 20, processes=2)

    missing = {role: names - set(found.counts) for role, names in SENT_BY.items()}
    assert missing == {role: set() for role in SENT_BY}
    assert any(name.startswith("GET /v1/telephony/stats/") for name in found.counts)
    assert found.counts["deliver"] > 0
    assert found.counts["call.offered"] <= found.counts["POST /v1/telephony/events"]
    assert all(found.sizes[name] > 0 for name in ("deliver", "hello", "call.offered"))
    assert "queue.changed" not in found.latencies_ms
    assert found.cpu_percent > 0


def test_one_role_alone_finds_its_way(gateway: OwnGateway) -> None:
    """Chat users come back after each reconnection and miss nothing."""
    found = work(gateway, 8, 10, classes=("ChatUser",))

    assert found.counts["deliver"] > 0
    assert {name for names in SENT_BY.values() for name in names} & set(found.counts) <= (
        SENT_BY["ChatUser"]
    )


def test_calls_come_by_ami() -> None:
    """Locust is the Asterisk: nothing is posted, and the telephones ring."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    pbxs = orjson.dumps({"ami": asterisk.settings(port)}).decode()
    ami = {"LOADTEST_AMI_PORT": str(port)}

    with own_gateway(settings={**SETTINGS, "GATEWAY_PBXS": pbxs}) as gateway:
        found = work(gateway, 6, 20, ami, classes=("SoftphoneUser", "PbxUser"))

    assert found.counts["call.offered"] > 0
    assert found.counts["call.ended"] > 0
    assert found.counts["POST /v1/telephony/events"] == 0


def test_a_storm_takes_its_seats_again(gateway: OwnGateway) -> None:
    """Nine of ten leave twice and come back as the same employees: more hellos than users."""
    found = work(gateway, 23, 20, {"LOADTEST_LOAD": "storm"})

    assert found.counts["hello"] > 1.5 * 18
    assert found.counts["deliver"] > 0


def test_the_scenario_reports_figures_of_all_roles(gateway: OwnGateway) -> None:
    """The table has times, bytes and the generator's CPU."""
    result = locust_roles.measure(gateway, Options(users=24, seconds=8, quiet=True))

    assert result.failures == []
    figures = result.figures
    assert figures["failed"] == 0
    assert isinstance(figures["p99_ms_of"], Mapping)
    assert {"deliver", "hello", "call.offered"} <= set(figures["p99_ms_of"])
    assert 0 < figures["p50_ms"] <= figures["p99_ms"] <= figures["max_ms"]  # type: ignore[operator]


def test_capacity_is_found_and_stops_by_itself(gateway: OwnGateway) -> None:
    """With a bound that any speed meets, all users that may be tried are served."""
    result = capacity.measure(
        gateway, Options(users=60, seconds=12, bound_ms=60_000, minutes=5, quiet=True)
    )

    assert result.failures == []
    assert result.figures["largest_users"] == 60
    assert result.figures["least_users_that_failed"] == 0
    trial = result.figures["users_46"]
    assert isinstance(trial, Mapping)
    assert trial["workers_cpu_percent"] > 0
    assert trial["generator_cpu_percent"] > 0
    assert trial["messages_per_s"] > 0
    assert "| 60 |" in result.text
