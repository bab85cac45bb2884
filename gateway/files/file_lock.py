"""A lock that all processes respect which use one directory, and that ends with its holder.

local ─▶ FileLock. It is a file with flock(2), which NFS passes on to its server.
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
        """Take the lock, unless somebody holds it."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = os.fstat(file).st_nlink > 0  # else its holder released it after our open
        except OSError as error:
            os.close(file)
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise
            return False
        if not held:
            os.close(file)
            return False
        self._file = file
        return True

    def release(self) -> None:
        """Let others take it; nothing happens when it is not held."""
        if self._file is None:
            return
        with suppress(OSError):
            self._path.unlink()
        os.close(self._file)
        self._file = None
