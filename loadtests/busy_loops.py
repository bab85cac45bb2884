"""Processes that keep a core busy each: the machine on which nothing is alone.

`--busy` ─▶ busy_loops. They end with the context, and with this process.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gateway.embedded.process import Child, start

LOOP = "while True: pass"


@contextmanager
def busy_loops(count: int, directory: Path) -> Iterator[list[Child]]:
    """Run so many; their logs are in `directory`."""
    with ExitStack() as stack:
        loops = []
        for number in range(count):
            name = f"busy loop {number + 1}"
            command = [sys.executable, "-I", "-S", "-c", LOOP]
            loops.append(start(name, command, log=directory / f"busy-{number + 1}.log"))
            stack.callback(loops[-1].stop)
        yield loops
