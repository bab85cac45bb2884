"""One worker process: `python -m gateway.cli.worker PARENT FD [FD …]`, for the supervisor."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import socket
import sys

import uvloop

from gateway.app import SettingMissing, serve
from gateway.ops import logs
from gateway.settings import Settings

PR_SET_PDEATHSIG = 1

GARBAGE = (50_000, 20, 1_000)
"""Python's cyclic garbage collector looks at what is young after 50,000 more objects than were
freed, and hardly ever at everything. A look at everything stops a worker with 10,000 sessions for
0.7 s; by default there is one whenever a quarter more has come, so all through a storm: it took
35 s instead of 14. Sessions that end leave no circles (tests/acceptance/test_leaks.py)."""


def main(parent: int, fds: list[int]) -> None:
    """Serve on the inherited sockets; end when the supervisor does, even by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was gone before we asked; in a container it may be 1
            return
    settings = Settings()
    logs.configure(level=settings.log_level, json=settings.log_format == "json")
    sockets = [socket.socket(fileno=fd) for fd in fds]
    gc.set_threshold(*GARBAGE)
    gc.freeze()  # what was imported stays
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, sockets))
    except SettingMissing as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]), [int(fd) for fd in sys.argv[2:]])
