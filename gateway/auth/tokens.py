"""Tokens: issue and verify. JSON Web Tokens (RFC 7519), HS256, the same key on every node."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt

from gateway.errors import TokenExpired, TokenInvalid, TokenMissing

ALGORITHM = "HS256"
MAX_ID = 2**63 - 1
MAX_TOKEN = 8_192
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
            claims = jwt.decode(
                token,
                self.secret,
                algorithms=[ALGORITHM],
                issuer=self.issuer,
                audience=self.audience,
                leeway=self.leeway_s,
                options={"require": ["sub", "iss", "aud", "exp", "jti"]},
            )
            subject = str(claims["sub"])
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
        except jwt.ExpiredSignatureError:
            raise TokenExpired from None
        except (jwt.PyJWTError, ValueError, OverflowError, OSError, TypeError):
            # An `exp` beyond the year 9999 overflows: this gateway issues no such token.
            raise TokenInvalid from None
        return Claims(employee_id, expires_at, str(claims["jti"]))
