"""A lock that all processes respect which use one directory, and that ends with its holder.

local ─▶ FileLock. It is a file with flock(2), which NFS passes on to its server. Who did not get
the lock leaves a byte in the file, by which its holder learns of them.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path


class FileLock:
    """Held by one at a time; its file exists while it is held."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self) -> bool:
        """Take the lock; when somebody holds it, tell them that it is wanted."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.fstat(file).st_nlink > 0  # else its holder released it after our open
            if held:
                os.ftruncate(file, 0)  # a holder that crashed leaves what it was told
        except OSError as error:
            is_held = error.errno in {errno.EWOULDBLOCK, errno.EACCES}
            if is_held:
                with suppress(OSError):
                    os.pwrite(file, b"1", 0)
            os.close(file)
            if not is_held:
                raise
            return False
        if not held:
            os.close(file)
            return False
        self._file = file
        return True

    def wanted(self) -> bool:
        """Return whether somebody tried to take the lock since it is held."""
        try:
            return self._file is not None and self._path.stat().st_size > 0
        except OSError:
            return False

    def release(self) -> None:
        """Let others take it; nothing happens when it is not held."""
        if self._file is None:
            return
        with suppress(OSError):
            self._path.unlink()
        os.close(self._file)
        self._file = None
