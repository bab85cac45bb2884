"""A fake OpenID Connect provider on a real port: its document, sign-in page, tokens and keys.

    async with FakeProvider() as provider:          # provider.issuer is GATEWAY_OIDC_ISSUER
        provider.person = "7"                       # who is signed in there
        url = await provider.authorize(url)         # what a browser does; it is led to this URL
        provider.login.rotate()                     # signs with another key from now on
        provider.claims["nonce"] = "another"        # what its ID tokens say instead; None: nothing
        provider.answers["/token"] = answering(500) # what it does instead, by path

It checks what it is sent as strictly as a provider does: client, secret, redirect URI, PKCE; a code
is good once.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
import ssl
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import httpx2

from tests.fakes.login import Behaviour, FakeLogin, respond

CLIENT_ID = "gateway page"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""It speaks HTTP, and reading authorities takes 8 ms for each client."""
SECRET = "a client's secret: with % and é"


@dataclass
class FakeProvider:
    """A provider with one client."""

    secret: str | None = SECRET
    """None: the client is public."""
    methods: list[str] | None = None
    """Ways of showing the secret that it says it takes; None: it does not say."""
    redirect_uris: list[str] = field(default_factory=list)
    """Empty: any."""
    person: str = "1"
    refuses: str | None = None
    """The error with which it leads browsers back, such as access_denied."""
    login: FakeLogin = field(default_factory=partial(FakeLogin, "ES256"))
    """Has the keys that sign."""
    claims: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)
    """What its document says instead; None leaves a member out."""
    answers: dict[str, Behaviour] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    forms: list[dict[str, str]] = field(default_factory=list)
    """What was sent to /token."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    """Code that was not used yet → the request that it answers."""
    id_token: str | None = None
    """What it gives instead of an ID token of its own."""
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self.login.rotate()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def issuer(self) -> str:
        return f"{self.url}/realms/office"

    @property
    def document(self) -> dict[str, Any]:
        """What it says about itself."""
        whole = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}/authorize?kind=office",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "end_session_endpoint": f"{self.url}/end",
            "response_types_supported": ["code"],
            "token_endpoint_auth_methods_supported": self.methods,
            **self.changes,
        }
        return {name: value for name, value in whole.items() if value is not None}

    async def authorize(self, url: str) -> str:
        """Ask for this address as a browser does, and return where it is led."""
        assert url.startswith(f"{self.url}/authorize"), url
        async with httpx2.AsyncClient(verify=NO_TLS) as browser:
            answer = await browser.get(url)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def make_id_token(self, request: Mapping[str, str]) -> str:
        """Return the ID token for a request that was answered."""
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "nonce": request["nonce"], **self.claims}
        return self.login.token(self.person, **claims)

    # --- its routes -------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            method, target, _ = first.split(" ")
            named = (line.partition(":") for line in lines if line)
            headers = {name.lower(): value.strip() for name, _, value in named}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            parts = urlsplit(target)
            self.asked[parts.path] += 1
            if (behaviour := self.answers.get(parts.path)) is not None:
                await behaviour(writer)
            elif parts.path == "/realms/office/.well-known/openid-configuration":
                await respond(writer, 200, json.dumps(self.document).encode())
            elif parts.path == "/keys":
                await respond(writer, 200, self.login.key_set())
            elif parts.path == "/authorize":
                await self._authorize(writer, _single(parts.query))
            elif parts.path == "/end":
                back = _single(parts.query)["post_logout_redirect_uri"]
                await respond(writer, 302, headers={"location": back})
            elif parts.path == "/token" and method == "POST":
                await self._exchange(writer, headers, _single(body.decode()))
            else:
                await respond(writer, 404)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _authorize(self, writer: asyncio.StreamWriter, asked: dict[str, str]) -> None:
        right = (
            asked["client_id"] == CLIENT_ID
            and asked["response_type"] == "code"
            and "openid" in asked["scope"].split()
            and asked["code_challenge_method"] == "S256"
            and asked["kind"] == "office"
            and (not self.redirect_uris or asked["redirect_uri"] in self.redirect_uris)
        )
        if not right:
            await respond(writer, 400, json.dumps(asked).encode())
            return
        code = secrets.token_urlsafe(16)
        said = {"error": self.refuses} if self.refuses else {"code": code}
        if not self.refuses:
            self.codes[code] = asked
        if self.changes.get("authorization_response_iss_parameter_supported"):
            said["iss"] = self.issuer
        back = f"{asked['redirect_uri']}?{urlencode({**said, 'state': asked['state']})}"
        await respond(writer, 302, headers={"location": back})

    async def _exchange(
        self, writer: asyncio.StreamWriter, headers: Mapping[str, str], form: dict[str, str]
    ) -> None:
        self.forms.append(form)
        if not self._is_client(headers, form):
            await respond(writer, 401, b'{"error": "invalid_client"}')
            return
        asked = self.codes.pop(form.get("code", ""), None)
        hashed = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()
        if (
            asked is None
            or form.get("grant_type") != "authorization_code"
            or form.get("redirect_uri") != asked["redirect_uri"]
            or challenge != asked["code_challenge"]
        ):
            await respond(writer, 400, b'{"error": "invalid_grant"}')
            return
        given = {
            "access_token": secrets.token_urlsafe(16),
            "token_type": "Bearer",
            "id_token": self.id_token or self.make_id_token(asked),
        }
        await respond(writer, 200, json.dumps(given).encode())

    def _is_client(self, headers: Mapping[str, str], form: Mapping[str, str]) -> bool:
        """Tell whether the client shows its secret as it should, and in one way only."""
        kind, _, credentials = headers.get("authorization", "").partition(" ")
        if self.secret is None:
            shown = (form.get("client_id"), kind or None)
            return shown == (CLIENT_ID, None) and "client_secret" not in form
        if self.methods is None or "client_secret_basic" in self.methods:
            name, _, secret = base64.b64decode(credentials).decode().partition(":")
            shown = unquote_plus(name), unquote_plus(secret)
            return shown == (CLIENT_ID, self.secret) and "client_secret" not in form
        return (form.get("client_id"), form.get("client_secret"), kind) == (
            CLIENT_ID,
            self.secret,
            "",
        )


def _single(query: str) -> dict[str, str]:
    """Return the parameters, each of which comes once."""
    found = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
    assert all(len(values) == 1 for values in found.values()), query
    return {name: values[0] for name, values in found.items()}
