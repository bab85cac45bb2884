"""A sign-in that has begun: what the browser must bring back with the provider's answer.

sign_in.py ─▶ Attempt. It is in a signed cookie, so any node can finish it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from urllib.parse import urlencode

from gateway.auth.oidc.sealed import Seal

KIND = "attempt"
VALID_S = 600

ROUTE = re.compile(r"(?:/[A-Za-z0-9_-]{1,64}){0,8}")
"""A route of the page, which is what stands behind the # of its address. It has no parameters: in
them the page finds tokens."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Secrets of one sign-in, and the route of the page to return to."""

    state: str
    nonce: str
    verifier: str
    route: str = ""

    @classmethod
    def begin(cls, route: str) -> Self:
        """Return a new one; a route that the page cannot have is dropped."""
        return cls(
            secrets.token_urlsafe(32),
            secrets.token_urlsafe(32),
            secrets.token_urlsafe(48),
            route if ROUTE.fullmatch(route) else "",
        )

    @property
    def challenge(self) -> str:
        """The verifier as PKCE shows it to the provider (RFC 7636, S256)."""
        hashed = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()

    def address(self, endpoint: str, *, client_id: str, redirect_uri: str, scopes: str) -> str:
        """Return the address at which the provider asks who somebody is."""
        query = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": redirect_uri,
            "scope": scopes,
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
        }
        return with_query(endpoint, query)

    def sealed(self, seal: Seal) -> str:
        """Return the cookie."""
        until = datetime.now(UTC) + timedelta(seconds=VALID_S)
        return seal.close(KIND, asdict(self), until=until)

    @classmethod
    def of(cls, seal: Seal, cookie: str) -> Self | None:
        """Return the attempt of a cookie; None for one that is not ours or too old."""
        fields = seal.open(KIND, cookie)
        if fields is None:
            return None
        return cls(fields["state"], fields["nonce"], fields["verifier"], fields["route"])


def with_query(url: str, query: dict[str, str]) -> str:
    """Return the URL with these parameters behind those that it has."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"
