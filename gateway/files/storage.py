"""What every file storage promises; local.py and s3.py keep it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

HEAD_BYTES = 4_096
"""Of a file's beginning this much says what it is."""


@dataclass(frozen=True, slots=True)
class SignedLink:
    """A request that a client may make without a token."""

    url: str
    expires_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What is there under a key."""

    size: int
    head: bytes


class Storage(Protocol):
    """Keeps bytes under keys. All that fails for now raises StorageUnavailable."""

    origin: str | None
    """Where its links lead, for a page's Content-Security-Policy; None: to the gateway itself."""

    async def upload_link(
        self, key: str, *, size: int, content_type: str, sha256: str | None, valid_s: int
    ) -> SignedLink:
        """Return a link to PUT exactly so many bytes, once."""

    async def download_link(
        self, key: str, *, name: str, content_type: str, valid_s: int
    ) -> SignedLink:
        """Return a link to GET the bytes, as a file of this name and type."""

    async def inspect(self, key: str) -> StoredObject | None:
        """Return what is there; None when nothing is."""

    async def sha256(self, key: str) -> str | None:
        """Return the hash of what is there, in hex; None when nothing is."""

    async def delete(self, key: str) -> None:
        """Remove what is there, if anything is."""

    async def tidy(self) -> int:
        """Remove what interrupted uploads have left; return how many there were."""


def new_key() -> str:
    """Return a key that nobody can guess and that says nothing of the file."""
    return secrets.token_hex(16)
