"""Times the callbacks of a worker from inside; the product knows nothing of it.

own_gateway(settings=environment(DIRECTORY)) ─▶ install() in its worker ─▶ longest_callbacks().
Python imports `sitecustomize` at its start, if PYTHONPATH has one: that of DIRECTORY puts the
measurement into the event loop, and a thread answers at a Unix socket, one reading after the other.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from pathlib import Path

import orjson

from loadtests.callback_time import CallbackTime, CallbackTimes, measure

ROOT = Path(__file__).parents[1]
VARIABLE = "LOADTEST_CALLBACKS"
SOCKET = "callbacks"
WORKER = "gateway.cli.worker"
ANSWER_S = 10.0


def environment(directory: Path) -> dict[str, str]:
    """Return variables for one worker that is measured; `directory` has a short path."""
    (directory / "sitecustomize.py").write_text(
        "from loadtests import instrument\n\ninstrument.install()\n", encoding="utf-8"
    )
    return {
        "PYTHONPATH": os.pathsep.join((str(directory), str(ROOT))),
        VARIABLE: str(directory / SOCKET),
    }


def longest_callbacks(directory: Path) -> list[CallbackTime]:
    """Return the worker's longest callbacks since the last call."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(ANSWER_S)
        line.connect(str(directory / SOCKET))
        with line.makefile("rb") as answer:
            return [CallbackTime(**one) for one in orjson.loads(answer.read())]


def install() -> None:
    """Measure the event loop of this process if it is a worker; others are left alone."""
    path = os.environ.get(VARIABLE)
    if path is None or WORKER not in sys.orig_argv:
        return
    import uvloop  # noqa: PLC0415 - other processes have this module on their path, too

    make = uvloop.new_event_loop

    def measured() -> uvloop.Loop:
        loop, times = make(), CallbackTimes()
        measure(loop, times, contextlib.ExitStack())
        _serve(times, path)
        return loop

    uvloop.new_event_loop = measured


def _serve(times: CallbackTimes, path: str) -> None:
    """Answer each connection with what was measured since the one before."""
    Path(path).unlink(missing_ok=True)  # of a worker that ended
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def answer() -> None:
        while True:
            line, _ = listener.accept()
            with line:
                line.sendall(orjson.dumps(times.take()))

    threading.Thread(target=answer, name="callback times", daemon=True).start()
