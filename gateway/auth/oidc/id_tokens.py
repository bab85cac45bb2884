"""ID tokens (OpenID Connect Core 1.0, 3.1.3.7): who has signed in, as the provider says.

sign_in.py ─▶ verify() ─▶ tokens.py, which checks signature, `iss`, `aud` and times as it does for
any token; what only ID tokens have is checked here.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from typing import Any

import jwt

from gateway.auth.tokens import ClaimWrong, KeyUnknown, Tokens, employee_of, header_of
from gateway.errors import KeysUnavailable, ProviderUnavailable

MAX_ID_TOKEN = 32_768
"""Some providers write all groups of a person into it."""
MAX_AGE_S = 600
"""An ID token is made for the code that was exchanged a moment ago."""


class IdTokenWrong(Exception):
    """An ID token is not accepted; the text says why, for a log."""


async def verify(tokens: Tokens, id_token: str, *, nonce: str) -> str:
    """Return the CRM's id of the person; IdTokenWrong when the token is not for this sign-in.

    `tokens` has the provider's issuer and keys, and our client id as audience.
    ProviderUnavailable when the keys cannot be read.
    """
    if len(id_token) > MAX_ID_TOKEN:
        raise IdTokenWrong(f"it has more than {MAX_ID_TOKEN} characters")
    try:
        claims = await _signed(tokens, id_token)
        _check_party(claims, tokens.audience)
        _check_time(claims, tokens.leeway_s)
        _check_nonce(claims, nonce)
        subject = claims[tokens.subject_claim]
        employee_of(subject, tokens.subject_claim)
    except KeysUnavailable:
        raise ProviderUnavailable from None
    except KeyUnknown:
        raise IdTokenWrong("the provider has no key of this name") from None
    except (jwt.PyJWTError, ClaimWrong, ValueError, TypeError, OverflowError, OSError) as error:
        raise IdTokenWrong(str(error) or type(error).__name__) from None
    return str(subject)


async def _signed(tokens: Tokens, id_token: str) -> dict[str, Any]:
    """Return the claims that a key of the provider has signed; its keys are got again for that."""
    header = header_of(id_token)
    try:
        return tokens.signed(id_token, header)
    except KeyUnknown:
        assert tokens.key_set is not None
    await tokens.key_set.look_again()
    return tokens.signed(id_token, header)


def _check_party(claims: Mapping[str, Any], client_id: str) -> None:
    """Check that the token was issued to us, also when others may read it."""
    audience = claims["aud"]
    party = claims.get("azp")
    if isinstance(audience, list) and len(audience) > 1 and party is None:
        raise ClaimWrong("azp", "it is missing, and the token has several audiences")
    if party is not None and party != client_id:
        raise ClaimWrong("azp", "the token was issued to another client")


def _check_time(claims: Mapping[str, Any], leeway_s: int) -> None:
    issued_at = claims.get("iat")
    if issued_at is None:
        raise ClaimWrong("iat", "it is missing")
    if int(issued_at) < time.time() - MAX_AGE_S - leeway_s:
        raise ClaimWrong("iat", f"the token was issued more than {MAX_AGE_S} s ago")


def _check_nonce(claims: Mapping[str, Any], nonce: str) -> None:
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise ClaimWrong("nonce", "it is not that of this sign-in")
