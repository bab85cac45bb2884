"""The authorization code flow with PKCE, from the first redirect to the browser session.

rest/sign_in.py ─▶ SignIn ─▶ provider.py, id_tokens.py. Nothing is kept here between two requests:
the browser's cookies have all of it, so that any worker of any node goes on.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog

from gateway.auth.oidc import id_tokens
from gateway.auth.oidc.attempts import Attempt, with_query
from gateway.auth.oidc.browser_sessions import BrowserSession
from gateway.auth.oidc.id_tokens import IdTokenWrong
from gateway.auth.oidc.provider import ERROR_CODE, Provider
from gateway.auth.oidc.sealed import Seal
from gateway.auth.tokens import Tokens
from gateway.errors import IdTokenInvalid, ProviderRefused, ProviderUnavailable, SignInNotBegun
from gateway.oidc_settings import OidcSettings
from gateway.outbound import Outbound

log = structlog.get_logger(__name__)

CALLBACK = "/v1/sign-in/callback"
MAX_CODE = 4_096


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that has begun: where the browser goes, and the cookie that it takes along."""

    url: str
    cookie: str


class SignIn:
    """Signs people in with a provider."""

    def __init__(
        self,
        settings: OidcSettings,
        outbound: Outbound,
        *,
        tokens: Tokens,
        public_url: str,
        leeway_s: int,
    ) -> None:
        """`tokens` issue those of the page; `public_url` is where its people reach the gateway."""
        self.public_url = public_url.rstrip("/")
        self.origin = _origin_of(public_url)
        self.secure = self.origin.startswith("https://")
        self.provider = Provider(settings, outbound, redirect_uri=self.public_url + CALLBACK)
        self._settings = settings
        self._tokens = tokens
        self._seal = Seal(tokens.secret, accepted=tokens.accepted_secrets)
        self._leeway_s = leeway_s

    async def begin(self, route: str) -> Begun:
        """Begin a sign-in that returns to this route of the page."""
        metadata = await self.provider.metadata()
        attempt = Attempt.begin(route)
        url = attempt.address(
            metadata.authorization_endpoint,
            client_id=self.provider.client_id,
            redirect_uri=self.provider.redirect_uri,
            scopes=self._settings.oidc_scopes,
        )
        return Begun(url, attempt.sealed(self._seal))

    def attempt(self, cookie: str, state: str) -> Attempt:
        """Return the attempt of this browser; SignInNotBegun when the state is of another one."""
        attempt = Attempt.of(self._seal, cookie)
        if attempt is None or not hmac.compare_digest(attempt.state.encode(), state.encode()):
            raise SignInNotBegun
        return attempt

    async def finish(self, attempt: Attempt, answer: Mapping[str, str]) -> BrowserSession:
        """Return a browser session for what the provider answered at the callback.

        ProviderRefused, IdTokenInvalid or ProviderUnavailable otherwise. Whether the person may
        come in is not decided here.
        """
        metadata = await self.provider.metadata()
        # Another provider that got our state may not finish what this one began (RFC 9207).
        issuer = answer.get("iss")
        if issuer != self.provider.issuer and (issuer is not None or metadata.names_issuer):
            log.warning("sign_in.other_issuer")
            raise ProviderRefused("The answer is of another identity provider.")
        code = answer.get("code", "")
        if "error" in answer or not code or len(code) > MAX_CODE:
            error = answer.get("error", "")
            log.info("sign_in.refused", error=error if ERROR_CODE.fullmatch(error) else None)
            raise ProviderRefused
        id_token = await self.provider.exchange(code, attempt.verifier)
        try:
            subject = await id_tokens.verify(await self._id_tokens(), id_token, nonce=attempt.nonce)
        except IdTokenWrong as wrong:
            log.warning("sign_in.id_token_invalid", why=str(wrong))
            raise IdTokenInvalid from None
        return BrowserSession.begin(subject, for_s=self._settings.oidc_session_s)

    def sealed(self, session: BrowserSession) -> str:
        """Return the cookie of a browser session."""
        return session.sealed(self._seal)

    def session(self, cookie: str) -> BrowserSession | None:
        """Return the browser session of a cookie; None when there is none, or it has ended."""
        return BrowserSession.of(self._seal, cookie)

    def token(self, session: BrowserSession) -> str:
        """Return a token for the page."""
        return session.token(self._tokens)

    async def end_url(self) -> str | None:
        """Return where the provider ends its own session; None when it does not offer that."""
        try:
            endpoint = (await self.provider.metadata()).end_session_endpoint
        except ProviderUnavailable:
            return None
        if endpoint is None:
            return None
        back = {"client_id": self.provider.client_id}
        return with_query(endpoint, {**back, "post_logout_redirect_uri": f"{self.public_url}/"})

    async def _id_tokens(self) -> Tokens:
        """Return what verifies the provider's tokens: by its published keys alone."""
        return Tokens(
            "",
            self.provider.issuer,
            self.provider.client_id,
            self._leeway_s,
            key_set=await self.provider.key_set(),
            subject_claim=self._settings.oidc_subject_claim,
            requires_id=False,
        )


async def open_sign_in(
    settings: OidcSettings,
    stack: AsyncExitStack,
    *,
    tokens: Tokens,
    public_url: str | None,
) -> SignIn | None:
    """Return the sign-in of the settings, until the stack ends; None without a provider."""
    if settings.oidc_issuer is None:
        return None
    assert public_url is not None
    outbound = await stack.enter_async_context(Outbound(private=settings.oidc_private))
    return SignIn(
        settings, outbound, tokens=tokens, public_url=public_url, leeway_s=tokens.leeway_s
    )


def _origin_of(url: str) -> str:
    """Return the origin of a URL as browsers write it."""
    parts = urlsplit(url)
    usual = {"https": 443, "http": 80}[parts.scheme]
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (
        f":{parts.port}" if parts.port not in {None, usual} else ""
    )
