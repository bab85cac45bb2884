"""Where the tests put what they throw away: in memory, where the system has room for it.

A database is some 600 files. Cloning and dropping one takes a fifth of a second of CPU on a
disk's file system and a fifth of that in memory, and there are a thousand.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 * 2**30
"""A whole run has been seen to take 1 GiB; what a container has by default is 64 MiB."""

_ours = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Let every temporary file of this run, its workers and its children be made in memory."""
    if "TMPDIR" in os.environ or not _is_fit(MEMORY):  # a worker has it from the one that began
        return
    _remove_what_is_left()
    directory = MEMORY / f"gateway-{os.getpid()}"
    directory.mkdir()
    directory.chmod(0o1777)  # as /tmp: some servers run as another user
    config.stash[_ours] = directory
    os.environ["TMPDIR"] = str(directory)
    tempfile.tempdir = None  # it is looked up again


def pytest_unconfigure(config: pytest.Config) -> None:
    if directory := config.stash.get(_ours, None):
        shutil.rmtree(directory, ignore_errors=True)
        del os.environ["TMPDIR"]
        tempfile.tempdir = None


def _is_fit(directory: Path) -> bool:
    """Tell whether there is room, and programs may be run: a copy of the server's may be."""
    if sys.platform != "linux" or not os.access(directory, os.W_OK):
        return False
    found = os.statvfs(directory)
    return not found.f_flag & os.ST_NOEXEC and found.f_bavail * found.f_frsize >= ROOM_BYTES


def _remove_what_is_left() -> None:
    """Remove what runs that were killed left in memory."""
    for directory in MEMORY.glob("gateway-*"):
        pid = directory.name.removeprefix("gateway-")
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(directory, ignore_errors=True)
