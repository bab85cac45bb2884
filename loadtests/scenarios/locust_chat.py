"""Locust's chat users (locustfile.py), without its page, against a gateway started for them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import orjson

from loadtests import test_users
from loadtests.measure import Latencies
from loadtests.options import Options
from loadtests.own_gateway import OwnGateway, own_gateway
from loadtests.report import Figure, Result

SECONDS = 30.0
USERS = 40
STOP_S = 10
"""How long a user may take to finish its last message."""
OVERTIME_S = 45.0
LOCUSTFILE = Path(__file__).parents[1] / "locustfile.py"
ROOT = LOCUSTFILE.parents[1]


def run(options: Options) -> Result:
    """Start a gateway, let the users chat, stop all of it."""
    with own_gateway() as gateway:
        return measure(gateway, options)


def measure(gateway: OwnGateway, options: Options) -> Result:
    """Let users chat in pairs that sit on different workers."""
    seconds, users = options.seconds or SECONDS, options.users or USERS
    users += users % 2  # they come in pairs
    if importlib.util.find_spec("locust") is None:
        raise RuntimeError("Locust is not installed: uv sync --group load")
    with tempfile.TemporaryDirectory(prefix="gateway-locust-") as made:
        directory = Path(made)
        test_users.write(directory / "cast.json", gateway.cast(users))
        code = _locust(directory, users, seconds, quiet=options.quiet)
        found = _figures(directory / "figures.json")
    return _result(found, code, f"{users} users in pairs on two workers for {seconds:g} s")


def _locust(directory: Path, users: int, seconds: float, *, quiet: bool) -> int:
    """Run Locust to its end and return its exit code: 1 when anything failed."""
    rate = max(2, users // 2)
    command = [
        *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless"),
        *("--users", str(users), "--spawn-rate", str(rate), "--run-time", f"{round(seconds)}s"),
        *("--stop-timeout", str(STOP_S), "--only-summary", "--loglevel", "WARNING"),
    ]
    environment = {
        **os.environ,
        "LOADTEST_CAST": str(directory / "cast.json"),
        "LOADTEST_FIGURES": str(directory / "figures.json"),
    }
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=sys.stderr if quiet else None
    ) as process:
        try:
            return process.wait(seconds + OVERTIME_S)
        finally:
            if process.poll() is None:
                process.kill()


def _figures(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = orjson.loads(path.read_bytes())
    except OSError:
        raise RuntimeError("Locust left no figures; its messages are above.") from None
    return found


def _result(found: dict[str, Any], code: int, setting: str) -> Result:
    times = {name: Latencies(samples) for name, samples in found["latencies_ms"].items()}
    failures: list[str] = found["failures"]
    figures: dict[str, Figure] = {"failed": len(failures)}
    for name, prefix in (("deliver", ""), ("message.send", "send_"), ("hello", "hello_")):
        latencies = times.get(name, Latencies())
        counted = {"": "delivered", "send_": "sent", "hello_": "connected"}[prefix]
        figures |= {counted: len(latencies), **latencies.figures(prefix)}
    shown = failures[:10]
    if code != 0 and not shown:
        shown = [f"Locust ended with {code}"]
    if not figures["delivered"]:
        shown.append("nothing was delivered")
    return Result("locust", setting, figures, shown)
