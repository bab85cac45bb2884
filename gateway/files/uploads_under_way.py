"""Bytes of uploads that are under way in this worker: so many for each uploader, and in all.

rest/files ─▶ UploadsUnderWay. What counts is the declared size, from the first byte to the last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import TooManyUploads


class UploadsUnderWay:
    """Admits uploads while there is room."""

    def __init__(self, *, per_uploader: int, in_all: int) -> None:
        self._per_uploader = per_uploader
        self._in_all = in_all
        self._bytes: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """Return the bytes that are under way for all together."""
        return self._bytes.total()

    @contextmanager
    def admitted(self, uploader: str, size: int) -> Iterator[None]:
        """Count an upload for as long as the block takes; TooManyUploads when there is no room.

        One that is alone is admitted whatever its size: the declaration bounds it.
        """
        mine, others = self._bytes[uploader], self.total
        if (mine and mine + size > self._per_uploader) or (others and others + size > self._in_all):
            raise TooManyUploads
        self._bytes[uploader] += size
        try:
            yield
        finally:
            self._bytes[uploader] -= size
            if not self._bytes[uploader]:
                del self._bytes[uploader]
