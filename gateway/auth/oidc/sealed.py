"""Signed cookies: what a browser keeps for us between two requests, to any node.

attempts.py, browser_sessions.py ─▶ here. A cookie is signed, not encrypted: its browser may read
it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import jwt

PURPOSE = b"crm-gateway sign-in cookies, version 1"
"""Part of the key: no token, no link to a file and no cookie is good for another purpose."""
MAX_COOKIE = 4_096
"""Browsers keep no longer ones."""


class Seal:
    """Signs with one secret, and accepts signatures of all secrets that are accepted."""

    def __init__(self, secret: str, *, accepted: Iterable[str] = ()) -> None:
        self._key = _key_of(secret)
        self._keys = (self._key, *map(_key_of, accepted))

    def close(self, kind: str, fields: Mapping[str, Any], *, until: datetime) -> str:
        """Return the fields as text that open() takes for the same kind, until then."""
        return jwt.encode({**fields, "aud": kind, "exp": until}, self._key, algorithm="HS256")

    def open(self, kind: str, text: str) -> dict[str, Any] | None:
        """Return the fields; None for what is of another kind, changed, too old or not ours."""
        if not text or len(text) > MAX_COOKIE:
            return None
        for key in self._keys:
            try:
                return jwt.decode(
                    text, key, ["HS256"], audience=kind, options={"require": ["aud", "exp"]}
                )
            except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
                continue
        return None


def _key_of(secret: str) -> bytes:
    return hmac.digest(secret.encode(), PURPOSE, hashlib.sha256)


def end_of(fields: Mapping[str, Any]) -> datetime:
    """Return when the fields of a cookie end."""
    return datetime.fromtimestamp(int(fields["exp"]), UTC)
