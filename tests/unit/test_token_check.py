"""What `gateway token --check` says about a token: the part that is wrong, and why."""

from __future__ import annotations

import json
import time
from typing import Any

import jwt
import pytest

from gateway.auth import Tokens, token_check
from gateway.auth.keys import parse_jwks
from gateway.errors import GatewayError
from tests.fakes.login import FakeLogin

SECRET = "a secret of thirty-two bytes or so"
TOKENS = Tokens(SECRET, "crm-gateway", "crm-gateway", 0)


def made(secret: str = SECRET, headers: dict[str, Any] | None = None, **changes: Any) -> str:
    claims = {
        "sub": "7", "iss": "crm-gateway", "aud": "crm-gateway", "exp": time.time() + 3_600,
        "jti": "1", **changes,
    }  # fmt: skip
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.api_jws.encode(json.dumps(claims).encode(), secret, "HS256", headers)


def wrong(token: str, tokens: Tokens = TOKENS) -> dict[str, str]:
    """Return what is said about the parts that are wrong."""
    found = token_check.check(tokens, token)
    assert all(each.right for each in found) == token_check.accepted(tokens, token), found
    return {each.part: each.text for each in found if not each.right}


@pytest.mark.parametrize(
    ("token", "part", "words"),
    [
        (made(secret="another secret of thirty-two bytes"), "signature", "another secret"),
        (made(iss="nest"), "iss", "GATEWAY_TOKEN_ISSUER is 'crm-gateway'"),
        (made(iss=None), "iss", "GATEWAY_TOKEN_ISSUER= (empty)"),
        (made(aud=["a", "b"]), "aud", "GATEWAY_TOKEN_AUDIENCE is"),
        (made(aud=None), "aud", "GATEWAY_TOKEN_AUDIENCE= (empty)"),
        (made(jti=None), "jti", "GATEWAY_TOKEN_REQUIRES_JTI=false"),
        (made(jti=["x"]), "jti", "1 to 256 characters"),
        (made(sub=None), "sub", "GATEWAY_TOKEN_SUBJECT_CLAIM"),
        (made(sub="oksana k"), "sub", "'oksana k'"),
        (made(sub="0"), "sub", "between 1 and"),
        (made(exp=1), "exp", "1970-01-01 00:00:01 UTC, which has passed"),
        (made(exp="soon"), "exp", "'soon'"),
        (made(exp=None), "exp", "missing"),
        (made(exp=10**30), "exp", "no time"),
        (made(exp=time.time() + 10**7), "exp", "GATEWAY_TOKEN_MAX_S allows 30 days"),
        (made(nbf=2**33), "nbf", "which is to come"),
        (made(iat=2**33), "iat", "which is to come"),
        ("a.b.c", "token", "no JSON Web Token"),
        ("x" * 9_000, "token", "8192 characters"),
        (made(headers={"crit": ["x"]}), "token", "crit"),
    ],
)  # fmt: skip
def test_the_wrong_part_is_named_with_its_reason(token: str, part: str, words: str) -> None:
    """Each refusal has a part that is wrong, and says what would be right."""
    assert words in wrong(token)[part]


def test_a_right_token_has_nothing_wrong() -> None:
    """And says whose it is."""
    found = token_check.check(TOKENS, made())

    assert wrong(made()) == {}
    assert ("sub", "employee 7") in {(each.part, each.text) for each in found}


def test_a_key_that_is_missing_is_said_before_the_signature() -> None:
    """Whether it is the algorithm, or the name of the key."""
    login, stranger = FakeLogin("RS256"), FakeLogin("RS256")
    login.rotate()
    stranger.rotate()
    tokens = Tokens(SECRET, "crm-gateway", "crm-gateway", public_keys=parse_jwks(login.key_set()))
    none = jwt.encode({"sub": "7"}, "", "none")

    assert "GATEWAY_TOKEN_JWKS_URL" in wrong(login.token(7))["alg"]
    assert wrong(login.token(7), tokens) == {}
    assert stranger.signing[-1].kid in wrong(stranger.token(7), tokens)["kid"]
    assert "never accepted" in wrong(none)["alg"]


ODD: list[Any] = [
    None, True, 0, -1, 7, 2**31, 2**63, 10**40, 1.5, 1e300, "", "7", "07", "\u0667", "a\0b", "\n",
    "x" * 300, [], ["crm-gateway"], ["crm-gateway", 7], [7], {}, {"id": 7}, "crm-gateway",
]  # fmt: skip


@pytest.mark.parametrize("claim", ["sub", "iss", "aud", "exp", "iat", "nbf", "jti"])
def test_the_check_and_the_door_agree(claim: str) -> None:
    """Whatever a claim has for a value, what is refused has a wrong part, and nothing else has."""
    for value in ODD:
        changes: dict[str, Any] = {claim: value}
        token = made(**changes)
        try:
            TOKENS.verify(token)
            opened = True
        except GatewayError:
            opened = False

        assert token_check.accepted(TOKENS, token) == opened, value
        wrong(token)
