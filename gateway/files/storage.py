"""The interface of file storages; local.py and s3.py implement it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

HEAD_BYTES = 4_096
"""This many first bytes of a file are enough to recognise its type."""


@dataclass(frozen=True, slots=True)
class SignedLink:
    """A request that a client may make without a token."""

    url: str
    expires_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """Size and first bytes of the object under a key."""

    size: int
    head: bytes


class Storage(Protocol):
    """Stores bytes under keys. Every temporary failure raises StorageUnavailable."""

    origin: str | None
    """Origin of its links, for the Content-Security-Policy of a page; None: the gateway itself."""

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
        """Return a link for this uploader to PUT exactly `size` bytes, once."""

    async def download_link(
        self, key: str, *, name: str, content_type: str, valid_s: int
    ) -> SignedLink:
        """Return a link to GET the bytes, as a file of this name and type."""

    async def inspect(self, key: str) -> StoredObject | None:
        """Return size and first bytes of the object; None when there is none."""

    async def sha256(self, key: str) -> str | None:
        """Return the object's SHA-256 in hex; None when there is none."""

    async def delete(self, key: str) -> None:
        """Remove the object; nothing happens when there is none."""

    async def tidy(self) -> int:
        """Remove the remains of interrupted uploads; return their number."""


def new_key() -> str:
    """Return a random key, which cannot be guessed and does not depend on the file."""
    return secrets.token_hex(16)
