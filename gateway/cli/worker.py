"""One worker process: `gateway.cli.worker PARENT [FD …] [own=FD …] [pulse=FD]`, for the supervisor.

FD are listening sockets, own=FD those of this worker alone. Into the pipe pulse=FD the event loop
writes that it is alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import faulthandler
import gc
import os
import signal
import socket
import sys

import uvloop

from gateway.app import Beat, SettingMissing, serve
from gateway.cli.listen import port_of, worker_ports
from gateway.cli.supervisor import ALIVE, OWN, PULSE, READY
from gateway.ops import logs
from gateway.settings import Settings

PR_SET_PDEATHSIG = 1

GC_THRESHOLDS = (2_000, 4, 100_000)
"""The cyclic garbage collector examines young objects after 2,000 more were allocated than freed,
in 1 ms (after 50,000, beside large pages, in 30), and hardly ever all objects. A full collection
stops a worker with 10,000 sessions for 0.7 s. By default there is one after each growth by a
quarter, so many during a reconnect storm: it took 35 s instead of 14. Ended sessions leave no
cycles (tests/acceptance/sockets/test_leaks.py)."""


def main(parent: int, shared: list[int], own: list[int], pulse: int | None = None) -> None:
    """Serve on the inherited sockets; end when the supervisor does, even by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before prctl; in a container the parent may be 1
            return
    faulthandler.enable()  # on SIGABRT from the supervisor, print the stack
    settings = Settings()
    logs.configure(level=settings.log_level, json=settings.log_format == "json")
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            together, alone = _sockets(shared), _sockets(own)
            ports = own_ports(settings, together, alone)
            sockets = [*together, *alone]
            runner.run(serve(settings, sockets, own_ports=ports, beat=_beat(pulse)))
    except SettingMissing as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


def own_ports(
    settings: Settings, shared: list[socket.socket], own: list[socket.socket]
) -> set[int]:
    """Return the ports of a worker alone: also those of GATEWAY_WORKER_PORTS among the others.

    A supervisor names them as shared ones, so that workers of earlier versions understand it.
    """
    ports = {port_of(listener) for listener in shared if listener.family != socket.AF_UNIX}
    return {port_of(listener) for listener in own} | (ports & {*worker_ports(settings)})


def _sockets(fds: list[int]) -> list[socket.socket]:
    return [socket.socket(fileno=fd) for fd in fds]


def _beat(pulse: int | None) -> Beat | None:
    if pulse is None:
        return None
    os.set_blocking(pulse, False)

    def beat(*, ready: bool) -> None:
        with contextlib.suppress(OSError):  # the pipe is full: the supervisor does not read now
            os.write(pulse, READY if ready else ALIVE)

    return beat


def run(parent: str, *fds: str) -> None:
    """Take the arguments of the command."""
    pulse = [int(fd.removeprefix(PULSE)) for fd in fds if fd.startswith(PULSE)]
    own = [int(fd.removeprefix(OWN)) for fd in fds if fd.startswith(OWN)]
    shared = [int(fd) for fd in fds if fd.isdigit()]
    main(int(parent), shared, own, pulse[0] if pulse else None)


if __name__ == "__main__":
    run(*sys.argv[1:])
