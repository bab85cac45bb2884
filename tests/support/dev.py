"""`dev_gateway`: what `gateway dev` starts, as processes, with its own servers and two workers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.auth import Tokens

READY_S = 150.0
RECORDINGS = Path(__file__).parents[1] / "recordings"


class DevGateway:
    """One `gateway dev`, and what it says about itself."""

    def __init__(self, process: subprocess.Popen[bytes], state_home: Path) -> None:
        self.process = process
        self.state_home = state_home
        self.state_dir = state_home / "crm-gateway"
        facts: dict[str, Any] = orjson.loads((self.state_dir / "running.json").read_bytes())
        self.database: str = facts["database_url"]
        self.redis_url: str = facts["redis_url"]
        self.url = f"http://127.0.0.1:{facts['port']}"
        self.worker_urls = [f"http://127.0.0.1:{port}" for port in facts["worker_ports"]]
        secret = (self.state_dir / "token_secret").read_text(encoding="ascii").strip()
        self._tokens = Tokens(secret, "crm-gateway", "crm-gateway")

    def token(self, employee_id: int) -> str:
        return self._tokens.issue(employee_id)

    def socket_url(self, worker: int) -> str:
        return self.worker_urls[worker].replace("http", "ws", 1) + "/v1/ws"

    def replay(self, name: str, *, speed: float = 10.0) -> None:
        """Play a recording whose name begins so; return when it has ended."""
        (file,) = RECORDINGS.glob(f"{name}*.jsonl.gz")
        subprocess.run(
            [
                sys.executable,
                "-m",
                "gateway",
                "replay",
                str(file),
                "--speed",
                str(speed),
                "--again",
            ],
            env={**os.environ, "XDG_STATE_HOME": str(self.state_home)},
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def children(self) -> dict[int, str]:
        """Return pid → command line of every process it started."""
        pid = self.process.pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        found = {}
        for child in map(int, listed):
            try:
                command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError):  # it ended since it was listed
                continue
            found[child] = command
        return found

    def workers(self) -> list[int]:
        """Return the pids of its workers, the first started first."""
        return sorted(pid for pid, line in self.children().items() if "gateway.cli.worker" in line)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ask it to end, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


@contextmanager
def run_dev(*arguments: str, **environment: str) -> Iterator[DevGateway]:
    """Run `gateway dev` on free ports with a state directory of its own."""
    with tempfile.TemporaryDirectory(prefix="gwdev-") as directory:
        state_home = Path(directory)
        output = (state_home / "output").open("wb")
        clean = {name: value for name, value in os.environ.items() if "GATEWAY_" not in name}
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "dev", "--port", "0", *arguments],
            env={**clean, "XDG_STATE_HOME": directory, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        output.close()
        try:
            _wait_until_ready(process, state_home / "output")
            yield DevGateway(process, state_home)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + READY_S
    while "Ctrl-C stops everything" not in (said := output.read_text(encoding="utf-8")):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"gateway dev did not become ready:\n{said}")
        time.sleep(0.05)


@pytest.fixture(scope="session")
def dev_gateway() -> Iterator[DevGateway]:
    """Give a `gateway dev` that all tests of this process share: do not kill its workers."""
    with run_dev() as gateway:
        yield gateway


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those that share a `gateway dev` or a browser side by side: one process starts it."""

    def place(item: pytest.Item) -> int:
        shared = getattr(item, "fixturenames", ())
        return 0 if "dev_gateway" in shared else 1 if "chromium" in shared else 2

    items.sort(key=place)


async def in_thread(work: Any, *arguments: Any) -> Any:
    """Run something that waits without holding up the test's event loop."""
    return await asyncio.to_thread(work, *arguments)
