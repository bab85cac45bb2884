"""Keeps N worker processes alive: restarts a dead one with back-off, kills one that hangs.

serve, dev ─▶ Supervisor ─▶ workers. Stops all of them in order, and replaces them one by one on
SIGHUP. A worker's event loop reports through a pipe that it is alive; one that has been silent for
`hang_s` prints its stack (SIGABRT, faulthandler) and is killed.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger(__name__)

MAX_BACKOFF_S = 10.0
HEALTHY_S = 30.0  # a worker that lived this long is restarted at once
START_S = 60.0  # before its first report a worker imports modules, and waits for PostgreSQL
ABORT_S = 2.0  # between SIGABRT and SIGKILL
CHECK_EVERY_S = 0.5
OWN_PAUSE_S = 5.0
"""When the supervisor itself was stopped for this long, so was the machine: no worker hangs."""

COMMAND = (sys.executable, "-m", "gateway.cli.worker")
OWN = "own="
PULSE = "pulse="
ALIVE, READY = b".", b"R"
"""What a worker writes into its pipe repeatedly."""


@dataclass(slots=True)
class SupervisedWorker:
    """A worker's process and its history of starts and failures."""

    number: int
    shared: list[socket.socket]
    own: list[socket.socket]
    environment: Mapping[str, str]
    command: Sequence[str] = COMMAND
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0
    start_at: float = 0.0
    seen_at: float = 0.0
    ready: bool = False
    leaving: bool = False
    """It was asked to end, because it is being replaced."""
    kill_at: float | None = None
    _pulse: int | None = None

    def start(self) -> None:
        shared = [listener.fileno() for listener in self.shared]
        own = [listener.fileno() for listener in self.own]
        # A worker knows its own by GATEWAY_WORKER_PORTS; earlier versions take no `own=`.
        known = "GATEWAY_WORKER_PORTS" in {**os.environ, **self.environment}
        fds = [*map(str, shared), *(str(fd) if known else f"{OWN}{fd}" for fd in own)]
        self.close()
        self._pulse, theirs = os.pipe()
        os.set_blocking(self._pulse, False)
        self.started_at = time.monotonic()
        self.seen_at = self.started_at + START_S
        try:
            # A session of its own: Ctrl-C reaches the supervisor alone, which stops workers in
            # order.
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [*self.command, str(os.getpid()), *fds, f"{PULSE}{theirs}"],
                pass_fds=[theirs, *shared, *own],
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        finally:
            os.close(theirs)

    def read_pulse(self, now: float) -> None:
        """Read what its event loop has reported."""
        if self._pulse is None:
            return
        try:
            data = os.read(self._pulse, 65_536)
        except BlockingIOError:
            return
        if data:
            self.seen_at = now
            self.ready = self.ready or READY in data

    def terminate(self, now: float, within_s: float) -> None:
        """Send SIGTERM, so that it drains; it is killed after `within_s`."""
        if self.process is not None:
            self.process.terminate()
            self.leaving, self.kill_at = True, now + within_s

    def abort(self, now: float) -> None:
        """Send SIGABRT, so that it prints its stack and ends; it is killed after ABORT_S."""
        if self.process is not None:
            self.process.send_signal(signal.SIGABRT)
            self.kill_at = now + ABORT_S

    def close(self) -> None:
        """Forget the process that has ended, and close its pipe."""
        if self._pulse is not None:
            os.close(self._pulse)
        self._pulse = self.process = self.kill_at = None
        self.ready = self.leaving = False


@dataclass(slots=True)
class Supervisor:
    """Workers and the signals that stop or replace them. Use from the main thread."""

    workers: list[SupervisedWorker]
    stop_s: float = 20.0
    hang_s: float = 0.0
    stopping: bool = False
    _to_replace: deque[SupervisedWorker] = field(default_factory=deque)
    _replacing: SupervisedWorker | None = None
    _checked_at: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        for worker in self.workers:
            worker.start()

    def run(self) -> None:
        """Supervise until SIGINT or SIGTERM, then stop all workers."""
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._checked_at = time.monotonic()
        with reader, writer, selectors.DefaultSelector() as selector:
            selector.register(reader, selectors.EVENT_READ)
            while not self.stopping:
                if selector.select(timeout=CHECK_EVERY_S):
                    reader.recv(4_096)
                self.check(time.monotonic())
            signal.set_wakeup_fd(-1)
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
        for worker in self.workers:
            worker.close()

    def _on_signal(self, number: int, _frame: object) -> None:
        if number == signal.SIGHUP:
            self.replace_all()
        elif number != signal.SIGCHLD:
            self.stopping = True

    def replace_all(self) -> None:
        """Replace the workers, one after the other: each when the one before is ready."""
        self._to_replace = deque(self.workers)

    def check(self, now: float) -> None:
        """Restart dead workers, abort hanging ones, continue a replacement."""
        stood_still = now - self._checked_at > OWN_PAUSE_S
        self._checked_at = now
        for worker in self.workers:
            if worker.process is not None and (code := worker.process.poll()) is not None:
                self._handle_exit(worker, code, now)
            if worker.process is None and now >= worker.start_at and not self.stopping:
                worker.start()
            worker.read_pulse(now)
            if stood_still:
                worker.seen_at = max(worker.seen_at, now)
            self._abort_if_hanging(worker, now)
        self._continue_replacing(now)

    def _handle_exit(self, worker: SupervisedWorker, code: int, now: float) -> None:
        lived_s = now - worker.started_at
        if worker.leaving:
            wait_s = 0.0
            log.info("worker.left", worker=worker.number, exit=code, lived_s=round(lived_s, 1))
        else:
            worker.failures = 0 if lived_s > HEALTHY_S else worker.failures + 1
            wait_s = min(MAX_BACKOFF_S, 0.1 * 2**worker.failures) if worker.failures else 0.0
            log.warning(
                "worker.died",
                worker=worker.number,
                exit=code,
                lived_s=round(lived_s, 1),
                again_in_s=round(wait_s, 1),
            )
        worker.start_at = now + wait_s
        worker.close()

    def _abort_if_hanging(self, worker: SupervisedWorker, now: float) -> None:
        if worker.process is None:
            return
        if worker.kill_at is not None:
            if now >= worker.kill_at:
                log.warning("worker.killed", worker=worker.number, pid=worker.process.pid)
                worker.process.kill()
        elif self.hang_s and now - worker.seen_at > self.hang_s:
            log.error("worker.hangs", worker=worker.number, silent_s=round(now - worker.seen_at, 1))
            worker.abort(now)

    def _continue_replacing(self, now: float) -> None:
        if self._replacing is not None:
            if not self._replacing.ready or self._replacing.leaving:
                return
            self._replacing = None
        if self._to_replace and not self.stopping:
            self._replacing = worker = self._to_replace.popleft()
            log.info("worker.replaced", worker=worker.number, left=len(self._to_replace))
            worker.terminate(now, self.stop_s)


def make_workers(
    count: int,
    *,
    shared: socket.socket | None,
    own: list[socket.socket],
    node: str,
    environment: Mapping[str, str],
) -> list[SupervisedWorker]:
    """Make `count` workers on the shared socket, each with its own socket if there are any."""
    return [
        SupervisedWorker(
            number,
            [] if shared is None else [shared],
            own[number - 1 : number],
            {**environment, "GATEWAY_NODE": f"{node}-w{number}"},
        )
        for number in range(1, count + 1)
    ]
