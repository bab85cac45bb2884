"""Tokens: only ours, only fresh, only for one employee."""

from __future__ import annotations

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


def test_missing_and_expired_are_told_apart() -> None:
    """So that a client knows to get a new one."""
    with pytest.raises(TokenMissing):
        TOKENS.verify(None)
    with pytest.raises(TokenMissing):
        TOKENS.verify("")
    with pytest.raises(TokenExpired):
        TOKENS.verify(TOKENS.issue(7, ttl=timedelta(seconds=-1)))
