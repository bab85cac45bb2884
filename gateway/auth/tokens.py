"""Tokens: issue and verify. JSON Web Tokens (RFC 7519) of this gateway or of the CRM's own login.

keys.py and key_set.py have the keys; token_check.py says for a person why a token is refused.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import jwt

from gateway.auth import subjects
from gateway.auth.keys import PUBLIC_KEY_ALGORITHMS, Key, candidates, secret_keys
from gateway.auth.service_keys import is_service_key
from gateway.errors import ServiceKeyRefused, TokenExpired, TokenInvalid, TokenMissing

MAX_TOKEN = 8_192
MAX_TOKEN_ID = 256
LONGEST = timedelta(days=30)
MAX_CANDIDATES = 8
"""Keys that are tried for one token: one without a `kid` names none."""


class KeySet(Protocol):
    """Keys of a provider that change while this gateway runs: gateway.auth.key_set."""

    @property
    def keys(self) -> tuple[Key, ...]: ...

    async def look_again(self) -> None:
        """Get the keys again for a token whose key is unknown."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The contents of a valid token."""

    employee_id: int
    expires_at: datetime
    token_id: str
    subject: str = ""
    """The number of the employee, or the CRM's own id of which it is the number."""


class KeyUnknown(Exception):
    """No key that is known here has the token's `kid` and algorithm: it becomes TokenInvalid."""


class ClaimWrong(Exception):
    """A claim has a value that is not accepted: it becomes TokenInvalid."""

    def __init__(self, claim: str, why: str, *, to_client: str = "") -> None:
        super().__init__(f"{claim}: {why}")
        self.claim, self.why, self.to_client = claim, why, to_client


@dataclass(frozen=True, slots=True)
class Tokens:
    """Issues tokens by one secret, and verifies those of all keys that are accepted."""

    secret: str = field(repr=False)
    """Empty: it issues none, and verifies those of public keys alone."""
    issuer: str
    """Value of `iss`; empty: it is not checked."""
    audience: str
    """Value of `aud`; empty: it is not checked."""
    leeway_s: int = 10
    longest: timedelta = LONGEST
    """A token with a longer lifetime is refused."""
    accepted_secrets: tuple[str, ...] = field(default=(), repr=False)
    """Other secrets whose tokens are accepted: the next one, or the former one."""
    public_keys: tuple[Key, ...] = ()
    key_set: KeySet | None = None
    subject_claim: str = "sub"
    requires_id: bool = True
    """Refuse a token without a `jti`."""
    _secrets: tuple[Key, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        own = secret_keys(filter(None, (self.secret, *self.accepted_secrets)))
        object.__setattr__(self, "_secrets", own)

    def issue(
        self, subject: int | str, *, ttl: timedelta = timedelta(hours=8), token_id: str = ""
    ) -> str:
        """Return a token that expires after ttl, for an employee by number or the CRM's own id.

        Its `jti` is a new one, unless token_id names another.
        """
        assert self.secret
        now = datetime.now(UTC)
        claims = {
            self.subject_claim: str(subject),
            "iat": now,
            "exp": now + ttl,
            "jti": token_id or uuid.uuid4().hex,
        }
        if self.issuer:
            claims["iss"] = self.issuer
        if self.audience:
            claims["aud"] = self.audience
        return jwt.encode(claims, self.secret, algorithm="HS256")

    @property
    def keys(self) -> tuple[Key, ...]:
        """All keys that are known at this moment."""
        provided = self.key_set.keys if self.key_set is not None else ()
        return (*self._secrets, *self.public_keys, *provided)

    def verify(self, token: str | None) -> Claims:
        """Return a token's claims; TokenMissing, TokenExpired or TokenInvalid otherwise.

        ServiceKeyRefused for what is no employee's token at all.
        """
        try:
            return self._verify(token)
        except KeyUnknown:
            raise TokenInvalid from None

    async def authenticate(self, token: str | None) -> Claims:
        """Verify a token, and get the provider's keys again when one of them is new.

        KeysUnavailable when that is not possible now; otherwise as verify().
        """
        try:
            return self._verify(token)
        except KeyUnknown:
            if self.key_set is None:
                raise TokenInvalid from None
        await self.key_set.look_again()
        return self.verify(token)

    def _verify(self, token: str | None) -> Claims:
        if not token:
            raise TokenMissing
        if is_service_key(token):
            raise ServiceKeyRefused
        if len(token) > MAX_TOKEN:
            raise TokenInvalid
        try:
            return self.claims_of(token, self.signed(token, header_of(token)))
        except jwt.ExpiredSignatureError:
            raise TokenExpired from None
        except ClaimWrong as wrong:
            raise TokenInvalid(wrong.to_client) from None
        except (jwt.PyJWTError, ValueError, OverflowError, OSError, TypeError):
            # An `exp` beyond the year 9999 overflows: no login issues such a token.
            raise TokenInvalid from None

    def signed(self, token: str, header: Mapping[str, Any]) -> dict[str, Any]:
        """Return the claims that one of the keys has signed, with times, `iss` and `aud` checked.

        KeyUnknown when no key fits; the errors of PyJWT otherwise.
        """
        failed: jwt.PyJWTError | None = None
        for tried, key in enumerate(candidates(self.keys, header)):
            if tried == MAX_CANDIDATES:
                break
            try:
                return jwt.decode(
                    token,
                    key.material,
                    algorithms=[key.algorithm],
                    issuer=self.issuer or None,
                    audience=self.audience or None,
                    leeway=self.leeway_s,
                    # Whether `sub` and `jti` are text is decided below: some logins write numbers.
                    options={
                        "require": self.required(),
                        "verify_aud": bool(self.audience),
                        "verify_iss": bool(self.issuer),
                        "verify_sub": False,
                        "verify_jti": False,
                    },
                )
            except jwt.InvalidSignatureError as error:
                failed = error
        if self._may_be_new(header):
            raise KeyUnknown
        raise failed or jwt.InvalidAlgorithmError("no key is for this algorithm and `kid`")

    def _may_be_new(self, header: Mapping[str, Any]) -> bool:
        """Tell whether a provider may have a key for this header that is not known yet."""
        if self.key_set is None or header.get("alg") not in PUBLIC_KEY_ALGORITHMS:
            return False
        known, kid = self.key_set.keys, header.get("kid")
        return not known or (kid is not None and all(key.kid != kid for key in known))

    def required(self) -> list[str]:
        """Return the names of the claims that a token must have."""
        names = [self.subject_claim, "exp"]
        names += ["iss"] * bool(self.issuer) + ["aud"] * bool(self.audience)
        return names + ["jti"] * self.requires_id

    def claims_of(self, token: str, claims: Mapping[str, Any]) -> Claims:
        """Return what signed claims say; ClaimWrong when one of them cannot be used."""
        employee_id = employee_of(claims.get(self.subject_claim), self.subject_claim)
        expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC)
        now = datetime.now(UTC)
        issued_at = datetime.fromtimestamp(int(claims.get("iat", now.timestamp())), UTC)
        if expires_at - min(issued_at, now) > self.longest + timedelta(seconds=self.leeway_s):
            why = f"A token may live for {self.longest}, and not longer."
            raise ClaimWrong("exp", why, to_client=why)
        subject = str(claims[self.subject_claim])
        return Claims(employee_id, expires_at, token_id_of(token, claims), subject)


def header_of(token: str) -> dict[str, Any]:
    """Return the header of a token; InvalidTokenError when it cannot be used."""
    header = jwt.get_unverified_header(token)
    if "crit" in header:
        # RFC 7515, 4.1.11: whoever does not know an extension refuses what needs it.
        raise jwt.InvalidTokenError("the header has extensions (crit)")
    return header


def employee_of(subject: Any, claim: str) -> int:
    """Return the employee whom a subject names; ClaimWrong when it names none."""
    if isinstance(subject, int) and not isinstance(subject, bool):
        subject = str(subject)
    if not isinstance(subject, str):
        raise ClaimWrong(claim, "it must be the id of an employee")
    try:
        return subjects.parse("employee", subject)
    except ValueError as error:
        raise ClaimWrong(claim, str(error)) from None


def token_id_of(token: str, claims: Mapping[str, Any]) -> str:
    """Return the `jti` of a token; of one without, a digest of what was signed."""
    token_id = claims.get("jti")
    if token_id is None:
        signed = token.rpartition(".")[0]
        return "sha256:" + hashlib.sha256(signed.encode()).hexdigest()
    if isinstance(token_id, int) and not isinstance(token_id, bool):
        token_id = str(token_id)
    if not isinstance(token_id, str) or not token_id or len(token_id) > MAX_TOKEN_ID:
        raise ClaimWrong("jti", f"it must be a text of 1 to {MAX_TOKEN_ID} characters")
    if "\0" in token_id or not token_id.isprintable():
        raise ClaimWrong("jti", "it must consist of printable characters")
    return token_id
