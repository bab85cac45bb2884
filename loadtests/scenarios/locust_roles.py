"""Locust's users of all roles (locustfile.py), without its page, against a gateway of their own."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import asyncpg

from gateway.cli.state import read_secret
from loadtests import test_users
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.queries import people
from loadtests.report import Figure, Result
from loadtests.roles.figures import VOID_ABOVE, Figures, joined
from loadtests.test_users import SignedInUser

SECONDS = 30.0
USERS = 40
ARRIVAL_S = 10
"""In which all users arrive."""
STOP_S = 10
"""How long a user may take to finish its last message."""
OVERTIME_S = 60.0
LEAVE_S = 60.0
"""Until all processes have left their figures: the last one may be starved of CPU."""
FIRST = 4_001
"""The first softphone's extension."""
LOCUSTFILE = Path(__file__).parents[1] / "locustfile.py"
ROOT = LOCUSTFILE.parents[1]
SETTINGS = {
    "GATEWAY_CONNECTIONS_PER_ADDRESS": "100000",
    "GATEWAY_ACCEPTS_PER_S": "100000",
    "GATEWAY_ANONYMOUS_PER_S": "100000",
}
"""One machine stands for many; the limits of an employee are those of production."""


def run(options: Options) -> Result:
    """Start a gateway, let the users work, stop all of it."""
    with own_gateway(settings=SETTINGS) as gateway:
        return measure(gateway, options)


def measure(gateway: OwnGateway, options: Options) -> Result:
    """Let users of all roles work for some seconds."""
    seconds, users = options.seconds or SECONDS, options.users or USERS
    processes = options.processes or 1
    found, code = play(
        gateway, hired(gateway, users), users, seconds, processes=processes, quiet=options.quiet
    )
    setting = f"{users} users of all roles in {processes} Locust processes for {seconds:g} s"
    return _result(found, code, setting)


def hired(gateway: OwnGateway, users: int) -> list[SignedInUser]:
    """Return employees for so many users, with telephones and supervisors among them."""
    players = gateway.cast(users + 40)
    phones = users // 4 + 8
    supervisors = users // 12 + 8
    for place in range(phones):
        players[place] = replace(players[place], extension=str(FIRST + place))
    for place in range(phones, phones + supervisors):
        players[place] = replace(players[place], supervises=True)
    asyncio.run(_equip(gateway.database_url, players))
    return players


async def _equip(database_url: str, players: Sequence[SignedInUser]) -> None:
    conn = await asyncpg.connect(database_url)
    try:
        with_phones = {one.employee_id: one.extension for one in players if one.extension}
        await people.give_phones(conn, list(with_phones), list(with_phones.values()), pbx="*")
        await people.make_heads(conn, [one.employee_id for one in players if one.supervises])
    finally:
        await conn.close()


def play(
    gateway: OwnGateway,
    players: Sequence[SignedInUser],
    users: int,
    seconds: float,
    *,
    processes: int = 1,
    quiet: bool = False,
    environment: Mapping[str, str] | None = None,
    classes: Sequence[str] = (),
) -> tuple[Figures, int]:
    """Run Locust to its end; return the figures of all its processes, and its exit code.

    `environment` sets options of roles/options.py; without classes there are users of all roles.
    """
    if importlib.util.find_spec("locust") is None:
        raise RuntimeError("Locust is not installed: uv sync --group load")
    with tempfile.TemporaryDirectory(prefix="gateway-locust-") as made:
        directory = Path(made)
        test_users.write(directory / "cast.json", players)
        given = {
            **os.environ,
            "LOADTEST_CAST": str(directory / "cast.json"),
            "LOADTEST_FIGURES": str(directory),
            "LOADTEST_PBX_SECRET": read_secret(gateway.directory, "pbx_secret") or "",
            **(environment or {}),
        }
        command = [*_command(gateway, users, seconds, processes), *classes]
        code = _locust(command, given, seconds, quiet=quiet)
        return joined(_left(directory, processes)), code


def _left(directory: Path, processes: int) -> list[Path]:
    """Return the figures of all processes; Locust's first one may end before the others."""
    deadline = time.monotonic() + LEAVE_S
    while len(files := list(directory.glob("figures-*.json"))) < processes:
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"{len(files)} of {processes} Locust processes left figures; messages are above."
            )
        time.sleep(0.05)
    return files


def _command(gateway: OwnGateway, users: int, seconds: float, processes: int) -> list[str]:
    return [
        *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless"),
        *("--host", f"http://127.0.0.1:{gateway.worker_ports[0]}"),
        *("--users", str(users), "--spawn-rate", str(max(2, users // ARRIVAL_S))),
        *("--run-time", f"{round(seconds)}s"),
        *("--stop-timeout", str(STOP_S), "--only-summary", "--loglevel", "WARNING"),
        *distributed(processes),
    ]


def distributed(processes: int) -> list[str]:
    """Return the options of Locust in several processes, which meet on a free port of loopback.

    Locust's own choice is 5557 on every address: a second run on the same machine fails there.
    """
    if processes == 1:
        return []
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    return [
        *("--processes", str(processes)),
        *("--master-bind-host", "127.0.0.1", "--master-bind-port", port),
        *("--master-host", "127.0.0.1", "--master-port", port),
    ]


def _locust(
    command: Sequence[str], environment: Mapping[str, str], seconds: float, *, quiet: bool
) -> int:
    """Run Locust to its end and return its exit code: 1 when anything failed, 2 when refused."""
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=sys.stderr if quiet else None
    ) as process:
        try:
            return process.wait(seconds + OVERTIME_S)
        finally:
            if process.poll() is None:
                process.kill()


def _result(found: Figures, code: int, setting: str) -> Result:
    times = {name: Latencies(samples) for name, samples in sorted(found.latencies_ms.items())}
    figures: dict[str, Figure | dict[str, Figure]] = {
        "failed": found.errors.total(),
        "generator_cpu_percent": round(found.cpu_percent, 1),
        "bytes": found.sizes.total(),
    }
    for name, prefix in (
        ("deliver", ""), ("message.send", "send_"), ("hello", "hello_"),
        ("call.offered", "offered_"),
    ):  # fmt: skip
        counted = {"": "delivered", "send_": "sent", "hello_": "connected"}.get(prefix, "offered")
        figures |= {counted: found.counts[name], **times.get(name, Latencies()).figures(prefix)}
    figures["counts"] = dict(sorted(found.counts.items()))
    figures["p50_ms_of"] = {name: round(one.percentile(0.5), 3) for name, one in times.items()}
    figures["p99_ms_of"] = {name: round(one.percentile(0.99), 3) for name, one in times.items()}
    figures["bytes_of"] = dict(sorted(found.sizes.items()))
    if found.errors:
        figures["errors"] = dict(found.errors)
    failures = [f"{what}: {count} times" for what, count in found.errors.most_common(10)]
    if code != 0 and not failures:
        failures.append(f"Locust ended with {code}")
    if not found.counts["deliver"]:
        failures.append("nothing was delivered")
    if found.cpu_percent > VOID_ABOVE:
        failures.append(
            f"void: a Locust process used {found.cpu_percent:.0f} % of a core, above {VOID_ABOVE:g}"
        )
    return Result("locust", setting, figures, failures)
