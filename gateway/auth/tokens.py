"""Tokens: issue and verify. JSON Web Tokens (RFC 7519), HS256, the same key on every node."""

from __future__ import annotations

import base64
import hmac
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import orjson

from gateway.errors import TokenExpired, TokenInvalid, TokenMissing

ALGORITHM = "HS256"
MAX_ID = 2**63 - 1
MAX_TOKEN = 8_192
REQUIRED = ("sub", "iss", "aud", "exp", "jti")
LONGEST = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Claims:
    """The contents of a valid token."""

    employee_id: int
    expires_at: datetime
    token_id: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """Issues and verifies the tokens of one secret."""

    secret: str
    issuer: str
    audience: str
    leeway_s: int = 10
    longest: timedelta = LONGEST
    """A token with a longer lifetime is refused."""

    def issue(self, employee_id: int, *, ttl: timedelta = timedelta(hours=8)) -> str:
        """Return a token for this employee that expires after ttl."""
        now = datetime.now(UTC)
        claims = {
            "sub": str(employee_id),
            "iss": self.issuer,
            "aud": self.audience,
            "iat": now,
            "exp": now + ttl,
            "jti": uuid.uuid4().hex,
        }
        return jwt.encode(claims, self.secret, algorithm=ALGORITHM)

    def verify(self, token: str | None) -> Claims:
        """Return a token's claims; TokenMissing, TokenExpired or TokenInvalid otherwise."""
        if not token:
            raise TokenMissing
        if len(token) > MAX_TOKEN:
            raise TokenInvalid
        try:
            claims = self._signed_claims(token)
            self._check_claims(claims)
            subject = claims["sub"]
            # A bigint has at most 19 digits; isdecimal alone accepts digits of other scripts.
            if not (subject.isascii() and subject.isdecimal() and len(subject) <= 19):
                raise TokenInvalid
            employee_id = int(subject)
            if not 1 <= employee_id <= MAX_ID:
                raise TokenInvalid
            expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC)
            now = datetime.now(UTC)
            issued_at = datetime.fromtimestamp(int(claims.get("iat", now.timestamp())), UTC)
            if expires_at - min(issued_at, now) > self.longest + timedelta(seconds=self.leeway_s):
                raise TokenInvalid(f"A token may live for {self.longest}, and not longer.")
        except (ValueError, OverflowError, OSError, TypeError, AttributeError):
            # An `exp` beyond the year 9999 overflows: this gateway issues no such token.
            raise TokenInvalid from None
        return Claims(employee_id, expires_at, claims["jti"])

    def _signed_claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token with our signature; nothing else is parsed.

        PyJWT, which issues them, takes 120 µs to read one, a twentieth of a hello.
        """
        signed, _, signature = token.encode("ascii").rpartition(b".")
        expected = hmac.digest(self.secret.encode(), signed, "sha256")
        if not hmac.compare_digest(_decoded(signature), expected):
            raise TokenInvalid
        head, body = signed.split(b".")
        header, claims = orjson.loads(_decoded(head)), orjson.loads(_decoded(body))
        if header["alg"] != ALGORITHM or "crit" in header or header.get("b64", True) is not True:
            raise TokenInvalid
        if not isinstance(claims, dict):
            raise TokenInvalid
        return claims

    def _check_claims(self, claims: Mapping[str, Any]) -> None:
        """Check what RFC 7519, 4.1 registers; the five that we need are there."""
        now = time.time()
        if any(claims.get(name) is None for name in REQUIRED):
            raise TokenInvalid
        if int(claims.get("iat", 0)) > now + self.leeway_s:
            raise TokenInvalid
        if int(claims.get("nbf", 0)) > now + self.leeway_s:
            raise TokenInvalid
        if int(claims["exp"]) <= now - self.leeway_s:
            raise TokenExpired
        audiences = claims["aud"]
        if isinstance(audiences, list) and not all(isinstance(one, str) for one in audiences):
            raise TokenInvalid
        if claims["iss"] != self.issuer or self.audience not in (
            audiences if isinstance(audiences, list) else [audiences]
        ):
            raise TokenInvalid
        if not (isinstance(claims["sub"], str) and isinstance(claims["jti"], str)):
            raise TokenInvalid


def _decoded(segment: bytes) -> bytes:
    """Decode base64url as RFC 7515 writes it; padding, which some issuers add, may be there.

    ValueError for any other way of writing the same bytes: a token has one form.
    """
    bare = segment.rstrip(b"=")
    if segment != bare and len(segment) % 4:
        raise ValueError("wrong padding")
    decoded = base64.urlsafe_b64decode(bare + b"=" * (-len(bare) % 4))
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != bare:
        raise ValueError("not base64url")
    return decoded
