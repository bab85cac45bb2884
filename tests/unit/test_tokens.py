"""Tokens: only ours, only fresh, only for one employee."""

from __future__ import annotations

import base64
import hmac
import json
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest

from gateway.auth import Tokens
from gateway.errors import TokenExpired, TokenInvalid, TokenMissing

SECRET = "a secret of thirty-two bytes or so"
TOKENS = Tokens(SECRET, "crm-gateway", "crm-gateway", 0)


# An hour: they are made when tests are collected, long before some of them run.
def forged(*, secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {
        "sub": "7", "iss": "crm-gateway", "aud": "crm-gateway", "exp": time.time() + 3600,
        "jti": "1", **changes,
    }  # fmt: skip
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, secret, algorithm)


def test_what_is_issued_verifies() -> None:
    """The employee and the end come back."""
    claims = TOKENS.verify(TOKENS.issue(7, ttl=timedelta(minutes=5)))
    assert claims.employee_id == 7
    assert TOKENS.verify(forged()).employee_id == 7


@pytest.mark.parametrize(
    "token",
    [
        "x", "a.b.c", "\x00", "é" * 20, "." * 9_000,
        forged(secret="another secret of thirty-two bytes"),
        forged(iss="somebody"), forged(aud="somebody"),
        forged(sub="0"), forged(sub="-1"), forged(sub="9" * 19), forged(sub="1" * 20),
        forged(sub="٣"), forged(sub="1.0"), forged(sub=" 1"), forged(sub="a\x00b"), forged(sub=""),
        forged(exp=10**30), forged(exp="soon"),
        forged(sub=None), forged(exp=None), forged(jti=None), forged(aud=None), forged(iss=None),
        jwt.encode({"sub": "7"}, "", "none"),
        forged(secret=SECRET * 2, algorithm="HS512"),
    ],
)  # fmt: skip
def test_anything_else_does_not(token: str) -> None:
    """Forgeries, other audiences, odd subjects and impossible times are all the same to us."""
    with pytest.raises(TokenInvalid):
        TOKENS.verify(token)


def test_a_token_has_the_id_that_it_is_given() -> None:
    """Several tokens of one sign-in have one; otherwise each has its own."""
    ids = [TOKENS.verify(TOKENS.issue(7, token_id=given)).token_id for given in ("x", "x", "", "")]

    assert ids[:2] == ["x", "x"]
    assert len(set(ids)) == 3


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_without_a_secret_no_secret_verifies() -> None:
    """Least of all the empty one, which everybody knows."""
    alone = Tokens("", "crm-gateway", "crm-gateway")

    assert alone.keys == ()
    empty = forged(secret=SECRET).rpartition(".")[0]
    made = base64.urlsafe_b64encode(hmac.digest(b"", empty.encode(), "sha256")).rstrip(b"=")
    for token in (forged(), f"{empty}.{made.decode()}"):
        with pytest.raises(TokenInvalid):
            alone.verify(token)
    with pytest.raises(AssertionError):
        alone.issue(7)


def test_missing_and_expired_are_told_apart() -> None:
    """So that a client knows to get a new one."""
    with pytest.raises(TokenMissing):
        TOKENS.verify(None)
    with pytest.raises(TokenMissing):
        TOKENS.verify("")
    with pytest.raises(TokenExpired):
        TOKENS.verify(TOKENS.issue(7, ttl=timedelta(seconds=-1)))


NOW = int(time.time())


def segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def signed(head: str, body: str) -> str:
    key = hmac.digest(SECRET.encode(), f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{segment(key)}"


def claims_with(**changes: Any) -> bytes:
    known = {"sub": "7", "iss": "crm-gateway", "aud": "crm-gateway", "exp": NOW + 7200, "jti": "1"}
    return json.dumps({**known, **changes}).encode()


HEAD = segment(b'{"alg":"HS256","typ":"JWT"}')


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]}, {"crit": []}, {"b64": False}, {"b64": False, "crit": ["b64"]},
        {"alg": "none"}, {"alg": "HS512"}, {"alg": "hs256"}, {"alg": ["HS256"]}, {"alg": None},
        {"alg": "RS256"}, {"kid": 7}, {"kid": ["one"]},
    ],
    ids=str,
)  # fmt: skip
def test_a_signed_header_that_asks_for_something_else_is_refused(header: dict[str, Any]) -> None:
    """Another algorithm, or an extension that must be understood."""
    head = segment(json.dumps({"alg": "HS256", "typ": "JWT", **header}).encode())
    with pytest.raises(TokenInvalid):
        TOKENS.verify(signed(head, segment(claims_with())))


@pytest.mark.parametrize("place", range(3))
def test_every_change_of_a_token_is_refused(place: int) -> None:
    """One character more, less or other in any segment, or other bytes that are no base64url."""
    parts = signed(HEAD, segment(claims_with())).split(".")
    part, seen = parts[place], set()
    for at in range(len(part)):
        for new in ("", "A", "_", "-", "=", "+", "/", "é", " ", ".", part[at] * 2):
            changed = [*parts]
            changed[place] = part[:at] + new + part[at + 1 :]
            token = ".".join(changed)
            if changed[place] == part or token in seen:
                continue
            seen.add(token)
            with pytest.raises(TokenInvalid):
                TOKENS.verify(token)
    assert len(seen) > 300


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"7", b"null", b'"x"', b"{", b"{}", b"\xff", b"[" * 99]
)
def test_what_is_signed_and_no_claims_is_refused(body: bytes) -> None:
    """Also where only the holder of the key could have made it."""
    with pytest.raises(TokenInvalid):
        TOKENS.verify(signed(HEAD, segment(body)))
