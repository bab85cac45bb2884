"""Browser sessions: begun by a sign-in with the provider, source of the page's tokens.

sign_in.py ─▶ BrowserSession. It is in a signed cookie that no script can read. All its tokens have
its id as their `jti`: revoking that ends it, and the connections of all windows of the browser.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from gateway.auth.oidc.sealed import Seal, end_of
from gateway.auth.tokens import Claims, Tokens, employee_of

KIND = "session"
TOKEN_S = 900
"""Lifetime of the page's tokens: it gets a new one a minute before."""


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """Who has signed in, and until when."""

    id: str
    subject: str
    """The number of the employee, or the CRM's own id."""
    ends_at: datetime

    @classmethod
    def begin(cls, subject: str, *, for_s: float) -> Self:
        """Return a new one."""
        return cls(uuid.uuid4().hex, subject, datetime.now(UTC) + timedelta(seconds=for_s))

    @classmethod
    def of(cls, seal: Seal, cookie: str) -> Self | None:
        """Return the browser session of a cookie; None for one that is not ours or has ended."""
        fields = seal.open(KIND, cookie)
        return None if fields is None else cls(fields["id"], fields["sub"], end_of(fields))

    def sealed(self, seal: Seal) -> str:
        """Return the cookie."""
        return seal.close(KIND, {"id": self.id, "sub": self.subject}, until=self.ends_at)

    @property
    def claims(self) -> Claims:
        """What a token of this browser session says."""
        return Claims(employee_of(self.subject, "sub"), self.ends_at, self.id, self.subject)

    def token(self, tokens: Tokens) -> str:
        """Return a token for the page. It does not outlive the browser session."""
        left = self.ends_at - datetime.now(UTC)
        ttl = min(timedelta(seconds=TOKEN_S), left, tokens.longest)
        return tokens.issue(self.subject, ttl=ttl, token_id=self.id)
