"""Worker processes that may be killed, stopped and broken on purpose.

stage ─▶ LaboratoryWorker ─▶ `gateway.cli.worker`, or tests.faults.broken in its place. As with the
supervisor, the listening socket outlives the process: clients that connect meanwhile wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.cli.listen import listen, port_of

READY_S = 60.0
POLL_S = 0.05
PRODUCT = ("gateway.cli.worker",)
HEALED = "gateway_healed_total"


@dataclass(slots=True)
class LaboratoryWorker:
    """One of them."""

    number: int
    environment: Mapping[str, str]
    log: Path
    module: Sequence[str] = PRODUCT
    """Module and first arguments."""
    prefix: Sequence[str] = ()
    """What comes before the command: the way into a namespace."""
    listener: socket.socket = field(default_factory=lambda: listen("127.0.0.1", 0))
    process: subprocess.Popen[bytes] | None = None
    _healed: float = 0.0
    _healed_before: float = 0.0

    @property
    def port(self) -> int:
        return port_of(self.listener)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def healed(self) -> int:
        """How many changes its sweep and gap filling have found, over all its lives."""
        return round(self._healed_before + self._healed)

    def start(self) -> None:
        fd = self.listener.fileno()
        command = [sys.executable, "-m", *self.module, str(os.getpid()), f"own={fd}"]
        clean = {name: value for name, value in os.environ.items() if "GATEWAY_" not in name}
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*self.prefix, *command],
                pass_fds=[fd],
                env={**clean, **self.environment, "GATEWAY_NODE": f"faults-w{self.number + 1}"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    @property
    def stopped(self) -> bool:
        """Whether it is held by SIGSTOP."""
        stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[0] == "T"

    def kill(self) -> None:
        """End it at once, without its noticing."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self._healed_before += self._healed
        self._healed = 0.0

    def close(self) -> None:
        """End it, however it is."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.listener.close()

    async def until_ready(self) -> None:
        """Wait until it serves; RuntimeError with its last words when it does not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_S):
                while not await asyncio.to_thread(self._is_ready):
                    if self.process is None or self.process.poll() is not None:
                        break
                    await asyncio.sleep(POLL_S)
                else:
                    return
        raise RuntimeError(f"worker {self.number + 1} is not ready:\n{self.tail()}")

    def tail(self, lines: int = 20) -> str:
        said = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(said[-lines:])

    def read_metrics(self) -> None:
        """Read how many deliveries it has healed; without an answer the last figure stays."""
        with contextlib.suppress(OSError, ValueError):
            for line in self._get("/metrics").splitlines():
                if line.startswith(HEALED):
                    self._healed = float(line.rpartition(" ")[2])

    def _is_ready(self) -> bool:
        try:
            self._get("/readyz")
        except OSError:
            return False
        return True

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
            said: str = answer.read().decode()
        return said
