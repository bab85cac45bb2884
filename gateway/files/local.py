"""Files in a directory: for `gateway dev` and for installations with one machine.

Uploads and downloads use the gateway's own port, with links that signing.py makes. Several nodes
need the same directory (NFS): files are only created as a whole, and removed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import time
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import structlog

from gateway.errors import (
    AttachmentMismatch,
    FileExists,
    LinkInvalid,
    SizeDiffers,
    StorageUnavailable,
    TooLarge,
    UploadRunning,
)
from gateway.files.arrival import arriving
from gateway.files.file_lock import FileLock
from gateway.files.signing import Grant, Signer
from gateway.files.storage import HEAD_BYTES, SignedLink, StoredObject

log = structlog.get_logger(__name__)

T = TypeVar("T")

PATH = "/v1/files/"
KEY = re.compile(r"[0-9a-f]{32}", re.ASCII)
CHUNK_BYTES = 256 * 1024
"""Bytes per write: one thread call for each 64 KiB that arrive would double the cost."""
LEFT_OVER_S = 3_600.0
"""An unfinished upload without a write for this long was interrupted by a crash."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A stored file, for a download."""

    path: Path
    stat: os.stat_result


class LocalStorage:
    """Keeps files below one directory."""

    def __init__(self, root: Path, signer: Signer, *, base_url: str = "") -> None:
        self._root = root
        self._coming = root / "coming"
        self._signer = signer
        self._base_url = base_url.rstrip("/")
        self.origin: str | None = _origin(base_url) if base_url else None
        self._coming.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def upload_link(
        self,
        key: str,
        *,
        uploader: str,
        size: int,
        content_type: str,
        sha256: str | None,
        valid_s: int,
    ) -> SignedLink:
        until = int(time.time()) + valid_s
        grant = Grant(
            do="PUT",
            key=key,
            until=until,
            size=size,
            content_type=content_type,
            sha256=sha256,
            name=uploader,
        )
        return self._link(grant, {"Content-Type": content_type})

    async def download_link(
        self, key: str, *, name: str, content_type: str, valid_s: int
    ) -> SignedLink:
        until = int(time.time()) + valid_s
        return self._link(
            Grant(do="GET", key=key, until=until, name=name, content_type=content_type), {}
        )

    async def inspect(self, key: str) -> StoredObject | None:
        return await _in_thread(_inspect, self._path(key))

    async def sha256(self, key: str) -> str | None:
        return await _in_thread(_sha256, self._path(key))

    async def delete(self, key: str) -> None:
        await _in_thread(self._path(key).unlink, True)

    async def tidy(self) -> int:
        return await _in_thread(_tidy, self._coming, time.time() - LEFT_OVER_S)

    # --- what the routes need ----------------------------------------------------------------

    def check_link(self, token: str, method: str) -> Grant:
        """Return the grant of a link; LinkInvalid or LinkExpired."""
        grant = self._signer.check(token, method)
        if not KEY.fullmatch(grant.key):
            raise LinkInvalid
        return grant

    async def hold(self, key: str) -> StoredFile | None:
        """Return the file for a download; None when there is none."""
        return await _in_thread(_open, self._path(key))

    async def take(self, grant: Grant, pieces: AsyncIterable[bytes]) -> None:
        """Store an upload if it is exactly what was declared; otherwise keep nothing of it.

        At most CHUNK_BYTES and one read are in memory. A stored file survives a crash. While one
        request uploads a file, on whatever node, others get UploadRunning; if it then brings
        nothing for SILENT_S, it ends with TooSlow and leaves the file to them.
        """
        path = self._path(grant.key)
        coming = self._coming / f"{grant.key}.{secrets.token_hex(4)}"
        lock = FileLock(self._coming / f"{grant.key}.lock")
        try:
            if not await _in_thread(lock.acquire):
                raise UploadRunning
            if await _in_thread(path.exists):
                raise FileExists
            await self._write(coming, grant, pieces, lock)
            await _in_thread(_publish_file, coming, path)
        except FileExistsError:
            raise FileExists from None
        finally:
            # Not awaited: this must happen even when this task is being cancelled.
            with suppress(OSError):
                coming.unlink()
            lock.release()

    async def _write(
        self, coming: Path, grant: Grant, pieces: AsyncIterable[bytes], lock: FileLock
    ) -> None:
        hashed, size, waiting = hashlib.sha256(), 0, bytearray()
        file = await _in_thread(_create, coming)
        try:
            async with arriving(pieces, lock) as arrived:
                async for piece in arrived:
                    size += len(piece)
                    if size > grant.size:
                        raise TooLarge(f"Exactly {grant.size} bytes were declared.")
                    waiting += piece
                    if len(waiting) >= CHUNK_BYTES:
                        await _in_thread(_put, file, bytes(waiting), hashed)
                        waiting.clear()
            if size != grant.size:
                raise SizeDiffers(f"{size} of {grant.size} declared bytes were received.")
            await _in_thread(_put, file, bytes(waiting), hashed)
            if grant.sha256 is not None and hashed.hexdigest() != grant.sha256:
                raise AttachmentMismatch("The SHA-256 differs from the declared one.")
            await _in_thread(os.fsync, file)
        finally:
            os.close(file)

    def _path(self, key: str) -> Path:
        """Return the path of a key's file; ValueError for anything that is not a key."""
        if not KEY.fullmatch(key):
            raise ValueError("not a key")
        return self._root / key[:2] / key

    def _link(self, grant: Grant, headers: dict[str, str]) -> SignedLink:
        return SignedLink(
            f"{self._base_url}{PATH}{self._signer.sign(grant)}",
            datetime.fromtimestamp(grant.until, UTC),
            headers,
        )


async def _in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a thread, because it may wait for the disk.

    A cancelled caller waits for its end: a descriptor that is closed while the thread still writes
    may already belong to another file.
    """
    working = asyncio.ensure_future(asyncio.to_thread(function, *arguments))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait({working})
        raise
    except FileExistsError:
        raise
    except OSError as error:
        log.warning("files.failed", error=type(error).__name__, errno=error.errno)
        raise StorageUnavailable from error


def _origin(url: str) -> str:
    """Return the scheme and host of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _put(file: int, data: bytes, hashed: Any) -> None:
    hashed.update(data)
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _publish_file(coming: Path, path: Path) -> None:
    """Give a complete file its name; FileExistsError if it exists: link(2) never overwrites."""
    path.parent.mkdir(exist_ok=True, mode=0o700)
    os.link(coming, path)
    for directory in (path.parent, path.parent.parent):
        _sync(directory)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _inspect(path: Path) -> StoredObject | None:
    try:
        with path.open("rb") as file:
            return StoredObject(os.fstat(file.fileno()).st_size, file.read(HEAD_BYTES))
    except FileNotFoundError:
        return None


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _open(path: Path) -> StoredFile | None:
    try:
        return StoredFile(path, path.stat())
    except FileNotFoundError:
        return None


def _tidy(directory: Path, before: float) -> int:
    removed = 0
    for path in directory.iterdir():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()
                removed += 1
    return removed
