"""The loop of send(2), in C where there is a compiler, else in Python (then it is no floor).

`python -m loadtests.baselines.send_floor CLIENTS`
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from loadtests.baselines import EVENT_BYTES
from loadtests.baselines.doorbell import event_text, listener

SOURCE = Path(__file__).with_suffix(".c")


def compiler() -> str | None:
    """Find a C compiler."""
    return next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)


def main(clients: int) -> None:
    """Become the C program, or do its work here."""
    found = compiler()
    if found is None:
        in_python(clients)
        return
    with tempfile.TemporaryDirectory(prefix="send-floor-") as directory:
        program = Path(directory) / "send_floor"
        subprocess.run([found, "-O2", "-o", program, SOURCE], check=True)
        opened = os.open(program, os.O_PATH)
    # Its directory is gone: nothing stays behind, however this ends.
    os.execv(f"/proc/self/fd/{opened}", ["send_floor", str(clients), str(EVENT_BYTES)])


def in_python(clients: int) -> None:
    """Accept, greet, send."""
    server = listener()
    sockets = [server.accept()[0] for _ in range(clients)]
    for socket in sockets:
        socket.sendall(b"\x81\x02hi")
    frame = b"\x81\x7e" + EVENT_BYTES.to_bytes(2, "big") + event_text().encode()
    while data := os.read(sys.stdin.fileno(), 4_096):
        for _ in range(data.count(b"\n")):
            for socket in sockets:
                socket.send(frame)


if __name__ == "__main__":
    main(int(sys.argv[1]))
