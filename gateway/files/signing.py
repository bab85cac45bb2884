"""Links of our own: what one allows stands in it, signed, so that any node can check it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import orjson

from gateway.errors import LinkExpired, LinkInvalid

PURPOSE = b"crm-gateway file links, version 1"
"""So that no signature of another purpose, made with the same secret, is one of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one link allows: this, to this file, until then (seconds since 1970)."""

    do: Literal["PUT", "GET"]
    key: str
    until: int
    content_type: str
    size: int = 0
    sha256: str | None = None
    name: str = ""


class Signer:
    """Makes and checks grants."""

    def __init__(self, secret: str, *, now: Callable[[], float] = time.time) -> None:
        self._key = hmac.digest(secret.encode(), PURPOSE, hashlib.sha256)
        self._now = now

    def sign(self, grant: Grant) -> str:
        """Return the grant as text for a URL."""
        said = _packed(orjson.dumps(asdict(grant)))
        return f"{said}.{self._signature(said)}"

    def check(self, token: str, method: str) -> Grant:
        """Return what a link allows; LinkInvalid when it is not ours or for another method."""
        said, _, signature = token.partition(".")
        # As bytes: of text, compare_digest takes ASCII alone, and a URL may hold anything.
        if not hmac.compare_digest(self._signature(said).encode(), signature.encode()):
            raise LinkInvalid
        fields: dict[str, Any] = orjson.loads(_unpacked(said))
        grant = Grant(**fields)
        if grant.do != ("GET" if method == "HEAD" else method):
            raise LinkInvalid
        if grant.until < self._now():
            raise LinkExpired
        return grant

    def _signature(self, said: str) -> str:
        return _packed(hmac.digest(self._key, said.encode(), hashlib.sha256))


def _packed(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unpacked(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise LinkInvalid from None
