"""The bytes of an upload as they arrive, and its end when they stopped and somebody else has them.

local ─▶ arriving. A client whose network changed sends the file again over a new connection, while
the old one looks alive to the server until its time is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager

from gateway.errors import TooSlow
from gateway.files.file_lock import FileLock

SILENT_S = 1.0
"""An upload that has brought nothing for this long ends when another request wants to upload."""


class Pieces:
    """The pieces of an upload, and since when the next one is awaited."""

    def __init__(self, pieces: AsyncIterable[bytes]) -> None:
        self._pieces = pieces
        self._awaited_since: float | None = None

    def silent_s(self) -> float:
        """Return for how long the client has sent nothing; 0.0 while its bytes are written."""
        if self._awaited_since is None:
            return 0.0
        return asyncio.get_running_loop().time() - self._awaited_since

    async def __aiter__(self) -> AsyncIterator[bytes]:
        now = asyncio.get_running_loop().time
        self._awaited_since = now()
        try:
            async for piece in self._pieces:
                self._awaited_since = None
                yield piece
                self._awaited_since = now()
        finally:
            self._awaited_since = None


@asynccontextmanager
async def arriving(pieces: AsyncIterable[bytes], lock: FileLock) -> AsyncIterator[Pieces]:
    """Give the pieces; TooSlow in the block when they stop and another request wants the lock."""
    coming = Pieces(pieces)
    try:
        async with asyncio.timeout(None) as ending:
            watch = asyncio.create_task(_watch(coming, lock, ending), name="upload wanted")
            try:
                yield coming
            finally:
                watch.cancel()
    except TimeoutError:
        if not ending.expired():
            raise
        raise TooSlow("Another request is uploading this file.") from None


async def _watch(coming: Pieces, lock: FileLock, ending: asyncio.Timeout) -> None:
    while True:
        await asyncio.sleep(SILENT_S / 2)
        if coming.silent_s() < SILENT_S or not await asyncio.to_thread(lock.wanted):
            continue
        if coming.silent_s() >= SILENT_S:  # still, after the thread
            ending.reschedule(asyncio.get_running_loop().time())
            return
