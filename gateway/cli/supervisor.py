"""Keeps N worker processes alive: starts a dead one again with back-off, stops all in order."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger(__name__)

LONGEST_WAIT_S = 10.0
HEALTHY_S = 30.0  # a worker that lived this long starts again at once


@dataclass(slots=True)
class Worker:
    """One worker's process, and its history."""

    number: int
    sockets: list[socket.socket]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    start_at: float = 0.0

    def start(self) -> None:
        fds = [listener.fileno() for listener in self.sockets]
        self.started_at = time.monotonic()
        # A session of its own: Ctrl-C reaches the supervisor alone, which stops workers in order.
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "gateway.cli.worker", str(os.getpid()), *map(str, fds)],
            pass_fds=fds,
            env={**os.environ, **self.environment},
            start_new_session=True,
        )


@dataclass(slots=True)
class Supervisor:
    """Workers and the signals that stop them. Use from the main thread."""

    workers: list[Worker]
    stop_s: float = 20.0
    stopping: bool = False
    _wake: tuple[socket.socket, socket.socket] = field(default_factory=socket.socketpair)

    def start(self) -> None:
        for worker in self.workers:
            worker.start()

    def run(self) -> None:
        """Watch until SIGINT or SIGTERM, then stop everyone."""
        reader, writer = self._wake
        for end in self._wake:
            end.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, self._noted)
        with selectors.DefaultSelector() as selector:
            selector.register(reader, selectors.EVENT_READ)
            while not self.stopping:
                if selector.select(timeout=0.5):
                    reader.recv(4_096)
                self._look_after(time.monotonic())
        self.stop()

    def stop(self) -> None:
        """Ask every worker to drain; kill those that do not end in time."""
        self.stopping = True
        running = [w.process for w in self.workers if w.process and w.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self.stop_s
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("worker.killed", pid=process.pid)
                process.kill()
                process.wait()

    def _noted(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self.stopping = True

    def _look_after(self, now: float) -> None:
        for worker in self.workers:
            if worker.process is not None and (code := worker.process.poll()) is not None:
                lived_s = now - worker.started_at
                worker.failures = 0 if lived_s > HEALTHY_S else worker.failures + 1
                wait_s = min(LONGEST_WAIT_S, 0.1 * 2**worker.failures) if worker.failures else 0.0
                worker.start_at = now + wait_s
                worker.process = None
                log.warning(
                    "worker.died",
                    worker=worker.number,
                    exit=code,
                    lived_s=round(lived_s, 1),
                    again_in_s=round(wait_s, 1),
                )
            if worker.process is None and now >= worker.start_at and not self.stopping:
                worker.start()


def make_workers(
    count: int,
    *,
    shared: socket.socket,
    own: list[socket.socket],
    node: str,
    environment: Mapping[str, str],
) -> list[Worker]:
    """Describe count workers on the shared socket, each with its own one if there are any."""
    return [
        Worker(
            number,
            [shared, *own[number - 1 : number]],
            {**environment, "GATEWAY_NODE": f"{node}-w{number}"},
        )
        for number in range(1, count + 1)
    ]
