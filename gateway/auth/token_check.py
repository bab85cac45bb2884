"""Says for a person which part of a token is wrong, and why: `gateway token --check`.

Whether the token is accepted is decided by tokens.py alone; this names the reason. It may say more
than a client is told: it runs where the keys are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from gateway.auth.keys import PUBLIC_KEY_ALGORITHMS, candidates
from gateway.auth.tokens import (
    MAX_TOKEN,
    ClaimWrong,
    Tokens,
    employee_of,
    header_of,
    token_id_of,
)
from gateway.errors import GatewayError

LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of a token, whether it is right, and what it is or what is wrong."""

    part: str
    right: bool
    text: str


def check(tokens: Tokens, token: str) -> list[Finding]:
    """Return what was found, in the order in which a token is verified."""
    if len(token) > MAX_TOKEN:
        return [Finding("token", False, f"it has more than {MAX_TOKEN} characters")]
    try:
        header = header_of(token)
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        return [Finding("token", False, f"it is no JSON Web Token: {error}")]
    findings = [_key(tokens, header), _signature(tokens, token, header)]
    findings += _missing(tokens, claims)
    findings += _times(tokens, claims)
    findings += _parties(tokens, claims)
    findings += _identities(tokens, token, claims)
    return findings


def _key(tokens: Tokens, header: Mapping[str, Any]) -> Finding:
    algorithm, kid = header.get("alg"), header.get("kid")
    named = f"{_shown(algorithm)}" + (f" with the key {_shown(kid)}" if kid is not None else "")
    count = len(list(candidates(tokens.keys, header)))
    if count:
        return Finding("alg", True, named)
    known = sorted({key.algorithm for key in tokens.keys})
    if algorithm not in ("HS256", *PUBLIC_KEY_ALGORITHMS):
        why = f"{_shown(algorithm)} is never accepted; here are keys for {', '.join(known)}"
    elif algorithm not in known:
        why = (
            f"{_shown(algorithm)} needs keys: set GATEWAY_TOKEN_KEYS_FILE or GATEWAY_TOKEN_JWKS_URL"
        )
    else:
        why = f"no key for {named} is known here"
    return Finding("alg" if algorithm not in known else "kid", False, why)


def _signature(tokens: Tokens, token: str, header: Mapping[str, Any]) -> Finding:
    for key in candidates(tokens.keys, header):
        try:
            jwt.decode(token, key.material, [key.algorithm], options=SIGNATURE_ALONE)
        except jwt.PyJWTError:
            continue
        return Finding("signature", True, "it is that of a known key")
    why = "no known key has made it: the login signs with another secret or key"
    return Finding("signature", False, why)


SIGNATURE_ALONE: Any = {
    f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")
}


def _missing(tokens: Tokens, claims: Mapping[str, Any]) -> Iterator[Finding]:
    for name in tokens.required():
        if claims.get(name) is None:
            yield Finding(name, False, f"it is missing{REMEDIES.get(name, '')}")


REMEDIES = {
    "iss": "; GATEWAY_TOKEN_ISSUER= (empty) accepts tokens without one",
    "aud": "; GATEWAY_TOKEN_AUDIENCE= (empty) accepts tokens without one",
    "jti": "; GATEWAY_TOKEN_REQUIRES_JTI=false accepts tokens without one",
    "sub": "; GATEWAY_TOKEN_SUBJECT_CLAIM names the claim that has the employee's id",
}


def _times(tokens: Tokens, claims: Mapping[str, Any]) -> Iterator[Finding]:
    now, leeway = datetime.now(UTC), timedelta(seconds=tokens.leeway_s)
    times: dict[str, datetime] = {}
    for name in ("exp", "nbf", "iat"):
        if claims.get(name) is None:
            continue
        try:
            times[name] = datetime.fromtimestamp(int(claims[name]), UTC)
        except (ValueError, TypeError, OverflowError, OSError):
            yield Finding(
                name, False, f"it is no time in seconds since 1970: {_shown(claims[name])}"
            )
    for name, at in times.items():
        if name == "exp":
            right = at > now - leeway
            text = f"{at:%Y-%m-%d %H:%M:%S} UTC" + ("" if right else ", which has passed")
        else:
            right = at <= now + leeway
            text = f"{at:%Y-%m-%d %H:%M:%S} UTC" + ("" if right else ", which is to come")
        yield Finding(name, right, text)
    if "exp" in times:
        lifetime = times["exp"] - min(times.get("iat", now), now)
        if lifetime > tokens.longest + leeway:
            why = f"it lives for {lifetime}, and GATEWAY_TOKEN_MAX_S allows {tokens.longest}"
            yield Finding("exp", False, why)


def _parties(tokens: Tokens, claims: Mapping[str, Any]) -> Iterator[Finding]:
    if tokens.issuer and (issuer := claims.get("iss")) is not None:
        right = issuer == tokens.issuer
        wanted = f"; GATEWAY_TOKEN_ISSUER is {_shown(tokens.issuer)}"
        yield Finding("iss", right, _shown(issuer) + ("" if right else wanted))
    if tokens.audience and (audience := claims.get("aud")) is not None:
        among = audience if isinstance(audience, list) else [audience]
        right = tokens.audience in among and all(isinstance(name, str) for name in among)
        wanted = f"; GATEWAY_TOKEN_AUDIENCE is {_shown(tokens.audience)}"
        yield Finding("aud", right, _shown(audience) + ("" if right else wanted))


def _identities(tokens: Tokens, token: str, claims: Mapping[str, Any]) -> Iterator[Finding]:
    name = tokens.subject_claim
    try:
        if claims.get(name) is not None:
            yield Finding(name, True, f"employee {employee_of(claims[name], name)}")
        yield Finding("jti", True, token_id_of(token, claims))
    except ClaimWrong as wrong:
        given = f": {_shown(claims.get(wrong.claim))}"
        yield Finding(wrong.claim, False, wrong.why + given)


def accepted(tokens: Tokens, token: str) -> bool:
    """Tell whether the gateway accepts this token as far as the token alone can tell."""
    try:
        tokens.verify(token)
    except GatewayError:
        return False
    return True


def _shown(value: Any) -> str:
    """Return a value of a token for a terminal: short, and without control characters."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 1] + "…"
