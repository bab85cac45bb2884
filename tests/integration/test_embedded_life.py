"""The embedded servers are private to one user, and never outlive us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.embedded import launcher, process, start_postgres, start_valkey, state
from gateway.embedded.process import Identity
from tests.support.embedded import HOLD_BOTH, ROOT, ask, eventually, gone, holder

pytestmark = pytest.mark.slow  # 8 s in all: each starts both servers in a process of its own


@pytest.mark.parametrize("thread", ["main", "other"])
def test_servers_die_with_a_killed_parent(home: Path, thread: str) -> None:
    """SIGKILL gives no chance to clean up, yet nothing stays behind, wherever it was started."""
    with holder(home, thread) as (parent, pids):
        assert len(pids) == 2
        assert not any(gone(pid) for pid in pids)
        parent.kill()
        parent.wait()

        assert eventually(lambda: all(gone(pid) for pid in pids))


@pytest.mark.parametrize("thread", ["main", "other"])
def test_servers_stop_in_order_with_their_parent(home: Path, thread: str) -> None:
    """Leaving the with blocks ends both, and the log says it was a shutdown."""
    with holder(home, thread) as (parent, pids):
        parent.communicate("", timeout=30)

        assert parent.returncode == 0
        assert all(gone(pid) for pid in pids)
    assert "database system is shut down" in (home / "postgres.log").read_text(encoding="utf-8")


async def test_what_was_stored_survives_a_killed_parent(home: Path) -> None:
    """The next start waits for the old server to go and finds its data."""
    with holder(home) as (parent, _):
        parent.communicate("", timeout=30)
    with start_postgres(home) as postgres:
        await ask(postgres, "CREATE TABLE kept AS SELECT 42 AS answer")
    with holder(home) as (parent, _):
        parent.kill()
        parent.wait()
        with start_postgres(home) as postgres:
            assert await ask(postgres, "SELECT answer FROM kept") == 42


async def test_a_killed_server_starts_again(home: Path) -> None:
    """After kill -9 of PostgreSQL itself, a start recovers what was committed."""
    with start_postgres(home) as postgres:
        await ask(postgres, "CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(postgres.pid, signal.SIGKILL)
        assert eventually(lambda: not postgres.alive)

    with start_postgres(home) as postgres:
        assert await ask(postgres, "SELECT answer FROM kept") == 42


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_listens_on_tcp_and_sockets_are_private(home: Path) -> None:
    """Only this user can reach the servers; standard ports stay free for others."""
    with start_postgres(home) as postgres, start_valkey(home) as valkey:
        assert stat.S_IMODE(postgres.socket_dir.stat().st_mode) == 0o700
        assert stat.S_IMODE(valkey.socket.parent.stat().st_mode) == 0o700
        assert sockets_of(postgres.pid)  # it does have some, or the next lines prove nothing
        assert not sockets_of(postgres.pid) & listening_tcp_sockets()
        assert not sockets_of(valkey.pid) & listening_tcp_sockets()


def sockets_of(pid: int) -> set[str]:
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            target = str(fd.readlink())
            if target.startswith("socket:["):
                found.add(target[8:-1])
    return found


def listening_tcp_sockets() -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A":
                    found.add(fields[9])
    return found


def test_ctrl_c_in_the_terminal_does_not_reach_the_servers(home: Path) -> None:
    """They have sessions of their own, so that we can stop them in order."""
    with start_postgres(home) as postgres, start_valkey(home) as valkey:
        assert os.getsid(0) not in (os.getsid(postgres.pid), os.getsid(valkey.pid))


def test_it_works_as_an_ordinary_user(home: Path) -> None:
    """Neither root nor an account of its own is needed."""
    if os.geteuid() != 0:
        start_postgres(home).stop()
        return
    python = interpreter_for_nobody()
    packages = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    shutil.chown(home, "nobody")

    done = subprocess.run(
        [python, "-c", HOLD_BOTH, str(home), "main"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        env={"PYTHONPATH": os.pathsep.join(packages), "PATH": os.environ["PATH"]},
        user="nobody",
        extra_groups=[],
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (home / "postgres").owner() == "nobody"


def interpreter_for_nobody() -> str:
    """Find a Python that user nobody can run and that sees the packages; or skip."""
    check = "import sys, gateway.embedded; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            done = subprocess.run(
                [python, "-c", check],
                cwd="/",
                env={"PYTHONPATH": str(ROOT)},
                user="nobody",
                extra_groups=[],
                capture_output=True,
                check=False,
            )
            if done.returncode == 0:
                return python
    pytest.skip("user nobody can run no Python 3.11 or newer that reads this checkout")


@pytest.fixture
def open_home(home: Path) -> Path:
    """Give a directory that everyone may enter."""
    home.chmod(0o755)
    (home / "shared").mkdir(mode=0o755)
    (home / "closed").mkdir(mode=0o700)
    return home


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
@pytest.mark.parametrize("readable", [True, False], ids=["programs in place", "programs copied"])
def test_root_without_user_namespaces_becomes_nobody(
    open_home: Path, monkeypatch: pytest.MonkeyPatch, readable: bool
) -> None:
    """Docker forbids namespaces: the server then runs as nobody, from a copy if it must."""

    def reaches(identity: Identity, paths: list[Path]) -> bool:
        return identity == "nobody" and readable and paths[0].name == "postgres"

    monkeypatch.setattr(state, "can_access", reaches)
    monkeypatch.setattr(state, "SHARED_HOME", open_home / "shared")

    for _ in ("cold", "warm"):
        with start_postgres(open_home / "closed") as postgres:
            assert Path(f"/proc/{postgres.pid}").owner() == "nobody"
            assert asyncio.run(ask(postgres, "SELECT 1")) == 1
    assert any((open_home / "shared").glob("*/programs")) is not readable


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
@pytest.mark.parametrize("identity", ["namespace", "nobody"])
def test_a_program_never_runs_as_root(identity: Identity) -> None:
    """Either way of giving up root shows in the program's user id."""
    if not process.can_access(identity, []):
        pytest.skip(f"identity {identity} is not possible on this system")

    assert int(process.run(["/usr/bin/id", "-u"], identity=identity)) > 0


def test_a_reaper_leaves_an_orderly_stop_alone() -> None:
    """A byte in the pipe means that the parent has ended the server itself."""
    read, write = os.pipe()
    os.write(write, b"x")

    launcher.watch(read, os.getpid(), signal.SIGKILL)  # we are still here

    os.close(read)
    os.close(write)
