"""Signed links: each contains what it allows, so that any node can check it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import orjson

from gateway.errors import LinkExpired, LinkInvalid

PURPOSE = b"crm-gateway file links, version 1"
"""Part of the key: a signature made with the same secret for another purpose is not valid here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one link allows: a method, a file, until a time (seconds since 1970)."""

    do: Literal["PUT", "GET"]
    key: str
    until: int
    content_type: str
    size: int = 0
    sha256: str | None = None
    name: str = ""
    """The file's name in a download; who sends it in an upload."""


class Signer:
    """Makes grants with one secret, and checks those of all secrets that are accepted."""

    def __init__(
        self, secret: str, *, accepted: Iterable[str] = (), now: Callable[[], float] = time.time
    ) -> None:
        self._key = _key_of(secret)
        self._keys = (self._key, *map(_key_of, accepted))
        self._now = now

    def sign(self, grant: Grant) -> str:
        """Return the grant as text for a URL."""
        payload = _encode(orjson.dumps(asdict(grant)))
        return f"{payload}.{_signature(self._key, payload)}"

    def check(self, token: str, method: str) -> Grant:
        """Return a link's grant; LinkInvalid for a wrong signature or method, LinkExpired."""
        payload, _, signature = token.partition(".")
        # As bytes: compare_digest accepts only ASCII text, and a URL may contain any text.
        given = signature.encode()
        if not any(
            hmac.compare_digest(_signature(key, payload).encode(), given) for key in self._keys
        ):
            raise LinkInvalid
        fields: dict[str, Any] = orjson.loads(_decode(payload))
        grant = Grant(**fields)
        if grant.do != ("GET" if method == "HEAD" else method):
            raise LinkInvalid
        if grant.until < self._now():
            raise LinkExpired
        return grant


def _key_of(secret: str) -> bytes:
    return hmac.digest(secret.encode(), PURPOSE, hashlib.sha256)


def _signature(key: bytes, payload: str) -> str:
    return _encode(hmac.digest(key, payload.encode(), hashlib.sha256))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise LinkInvalid from None
