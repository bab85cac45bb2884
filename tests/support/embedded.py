"""What the tests of the embedded servers share: a home, a question, a parent to be killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from gateway.embedded import Postgres

ROOT = Path(__file__).parents[2]

HOLD_BOTH = """
import sys, threading
from pathlib import Path
from gateway.embedded import start_postgres, start_valkey

def hold():
    state = Path(sys.argv[1])
    with start_postgres(state, durable=False) as postgres, start_valkey(state) as valkey:
        print(postgres.pid, valkey.pid, flush=True)
        sys.stdin.read()

if sys.argv[2] == "main":
    hold()
else:
    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """Give a directory with a short path, so that sockets fit."""
    directory = Path(tempfile.mkdtemp(prefix="gateway-"))
    yield directory
    shutil.rmtree(directory)


async def ask(postgres: Postgres, sql: str) -> object:
    conn = await asyncpg.connect(postgres.dsn())
    try:
        return await conn.fetchval(sql)
    finally:
        await conn.close()


def eventually(holds: Callable[[], bool], within_s: float = 15.0) -> bool:
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def gone(pid: int) -> bool:
    """Tell whether a process has ended; nobody may have collected it yet."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        return status.rpartition(")")[2].split()[0] == "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return sys.platform == "linux"


@contextlib.contextmanager
def holder(
    directory: Path, thread: str = "main"
) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Run a parent with both servers; give it and the servers' pids."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_BOTH, str(directory), thread],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as parent:
        assert parent.stdout is not None
        try:
            yield parent, [int(pid) for pid in parent.stdout.readline().split()]
        finally:
            parent.kill()
