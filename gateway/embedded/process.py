"""One server process as a child: it logs to a file, and ends when this process ends.

postgres, valkey ─▶ start ─▶ launcher ─▶ server. The child has its own session, so that Ctrl-C in
the terminal reaches only this process, which stops its servers in order.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.embedded.errors import DidNotStart

Identity = Literal["self", "namespace", "nobody"]

LAUNCHER = Path(__file__).with_name("launcher.py")
LOG_LIMIT_BYTES = 10_000_000
STOP_S = 10.0
"""A fast shutdown takes 0.1 to 0.4 s; a checkpoint on a slow disk takes seconds."""


@dataclass(slots=True)
class Child:
    """A running server."""

    name: str
    log: Path
    log_start: int
    """Offset in the log at which the output of this start begins."""
    stop_signals: tuple[signal.Signals, ...]
    _process: subprocess.Popen[bytes]
    _leash: int | None
    """This process's end of the reaper's pipe; None without a reaper."""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def output(self) -> str:
        """Return what the server has logged since this start."""
        with self.log.open("rb") as file:
            file.seek(self.log_start)
            return file.read().decode(errors="replace")

    def failed(self, why: str) -> DidNotStart:
        tail = "\n".join(f"  {line}" for line in self.output().strip().splitlines()[-8:])
        return DidNotStart(f"{self.name} {why}; the end of {self.log} says:\n{tail}")

    def stop(self) -> None:
        """Stop the server, at last by SIGKILL; return when it has ended."""
        for number in (*self.stop_signals, signal.SIGKILL):
            if self.alive:
                self._process.send_signal(number)
            try:
                self._process.wait(STOP_S)
                break
            except subprocess.TimeoutExpired:
                continue
        if self._leash is not None:
            _release_reaper(self._leash)
            self._leash = None


def start(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    identity: Identity = "self",
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,),
) -> Child:
    """Start a server that ends, by the first of stop_signals, when this process does."""
    watch_fd, leash = _pipe_if_needed()
    fds = () if watch_fd is None else (watch_fd,)
    log_start = _trim(log)
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603  no shell, our own argv
                _launch(command, identity, signal=stop_signals[0], watch_fd=watch_fd),
                stdin=subprocess.DEVNULL,
                stdout=output,  # not our stdout: a closed terminal must not end the server
                stderr=subprocess.STDOUT,
                cwd="/",
                env=environment(),
                pass_fds=fds,
                start_new_session=True,
            )
    finally:
        for fd in fds:
            os.close(fd)
    return Child(name, log, log_start, stop_signals, process, leash)


def run(command: Sequence[str], *, identity: Identity = "self") -> str:
    """Run a program to its end and return its output; DidNotStart when it failed."""
    done = subprocess.run(  # noqa: S603  no shell, our own argv
        _launch(command, identity),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=environment(),
        timeout=120,
        check=False,
    )
    output = done.stdout.decode(errors="replace").strip()
    if done.returncode != 0:
        raise DidNotStart(f"{Path(command[0]).name} ended with {done.returncode}:\n{output}")
    return output


def can_access(identity: Identity, paths: Iterable[Path]) -> bool:
    """Return whether a process of this identity can enter and read all these paths."""
    command = _launch([], identity, reach=paths)
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)  # noqa: S603
    return done.returncode == 0


def environment() -> dict[str, str]:
    """Return the environment without variables that would override the server's arguments."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}


def _launch(
    command: Sequence[str],
    identity: Identity,
    *,
    signal: int = signal.SIGKILL,
    watch_fd: int | None = None,
    reach: Iterable[Path] = (),
) -> list[str]:
    options = {
        "parent": os.getpid(),
        "signal": int(signal),
        "identity": identity,
        "watch_fd": watch_fd,
        "reach": [str(path) for path in reach],
    }
    return [sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(options), *command]


def _pipe_if_needed() -> tuple[int | None, int | None]:
    main_thread = threading.current_thread() is threading.main_thread()
    if sys.platform == "linux" and main_thread:
        return None, None
    return os.pipe()


def _release_reaper(leash: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # the reaper saw the server end, and has ended, too
        os.write(leash, b"x")
    os.close(leash)


def _trim(log: Path) -> int:
    """Keep one older log; return how long the current one is."""
    if not log.exists():
        return 0
    size = log.stat().st_size
    if size < LOG_LIMIT_BYTES:
        return size
    log.replace(log.with_suffix(".log.1"))
    return 0
