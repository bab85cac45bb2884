"""The OpenID Connect provider: its document, the exchange of a code, its ID tokens.

sign_in.py ─▶ here ─▶ gateway.outbound. The document is read when somebody signs in, and again
after EVERY_S; while it cannot be read, the last one is used.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import orjson
import structlog

from gateway.auth.key_set import KeySetUrl
from gateway.auth.oidc import metadata as discovery
from gateway.auth.oidc.metadata import MAX_METADATA_BYTES, Metadata, MetadataUnusable
from gateway.errors import ProviderRefused, ProviderUnavailable
from gateway.oidc_settings import OidcSettings
from gateway.outbound import AddressRefused, Answer, Outbound, OutboundError

log = structlog.get_logger(__name__)

EVERY_S = 3_600.0
AGAIN_S = 1.0
"""The least time between two requests for the document or the keys. Nobody but the provider itself
makes us ask: ID tokens come from its own address."""
MAX_ANSWER_BYTES = 200_000
ERROR_CODE = re.compile(r"[a-z_]{1,64}")


class Provider:
    """The provider that the settings name."""

    def __init__(
        self,
        settings: OidcSettings,
        outbound: Outbound,
        *,
        redirect_uri: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        assert settings.oidc_issuer is not None
        assert settings.oidc_client_id is not None
        self.issuer = settings.oidc_issuer
        self.client_id = settings.oidc_client_id
        self.redirect_uri = redirect_uri
        secret = settings.oidc_client_secret
        self._secret = secret.get_secret_value() if secret else None
        self._private = settings.oidc_private
        self._outbound = outbound
        self._now = now
        self._metadata: Metadata | None = None
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._problem = ""
        self._key_set: tuple[str, KeySetUrl] | None = None

    async def metadata(self) -> Metadata:
        """Return what the provider says about itself; ProviderUnavailable when it cannot be read.

        Those who ask at the same time wait for one answer.
        """
        now = self._now()
        old = now - self._read_at >= EVERY_S
        if self._reading is not None or (old and now - self._tried_at >= AGAIN_S):
            if self._reading is None:
                self._reading = asyncio.create_task(self._read(), name="oidc metadata")
                self._reading.add_done_callback(self._was_read)
            await asyncio.shield(self._reading)
        if self._metadata is None:
            raise ProviderUnavailable
        return self._metadata

    async def key_set(self) -> KeySetUrl:
        """Return the provider's keys, not older than those of a token's login would be."""
        url = (await self.metadata()).jwks_uri
        if self._key_set is None or self._key_set[0] != url:
            keys = KeySetUrl(
                url,
                self._outbound,
                again_s=AGAIN_S,
                allowed_by="GATEWAY_OIDC_PRIVATE",
                now=self._now,
            )
            self._key_set = url, keys
        await self._key_set[1].renew()
        return self._key_set[1]

    async def exchange(self, code: str, verifier: str) -> str:
        """Return the ID token for a code.

        ProviderRefused when the code is not valid or no longer; ProviderUnavailable otherwise.
        """
        endpoint = await self.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": verifier,
        }
        headers = {"accept": "application/json"}
        if self._secret is None:
            form["client_id"] = self.client_id
        elif endpoint.secret_in_header:
            headers["authorization"] = _basic(self.client_id, self._secret)
        else:
            form |= {"client_id": self.client_id, "client_secret": self._secret}
        try:
            answer = await self._outbound.post(
                endpoint.token_endpoint, form, at_most=MAX_ANSWER_BYTES, headers=headers
            )
        except OutboundError as error:
            log.warning("sign_in.provider_unavailable", why=str(error))
            raise ProviderUnavailable from None
        return _id_token_of(answer)

    async def _read(self) -> None:
        self._tried_at = self._now()
        try:
            answer = await self._outbound.get(
                discovery.url_of(self.issuer),
                at_most=MAX_METADATA_BYTES,
                headers={"accept": "application/json"},
            )
            self._metadata = _metadata_of(answer, issuer=self.issuer, private=self._private)
        except AddressRefused as error:
            self._note(f"{error}; GATEWAY_OIDC_PRIVATE allows it")
        except (OutboundError, MetadataUnusable) as error:
            self._note(str(error))
        else:
            self._note("")
            self._read_at = self._now()

    def _was_read(self, _: asyncio.Task[None]) -> None:
        self._reading = None

    def _note(self, problem: str) -> None:
        """Log what is new: the first of many failures alike, and their end."""
        if problem and problem != self._problem:
            log.warning("sign_in.metadata_unavailable", why=problem)
        elif self._problem and not problem:
            log.info("sign_in.metadata_available")
        self._problem = problem


def _metadata_of(answer: Answer, *, issuer: str, private: bool) -> Metadata:
    if answer.status != 200:
        raise MetadataUnusable(f"the provider answered {answer.status}")
    return discovery.parse(answer.body, issuer=issuer, private=private)


def _basic(client_id: str, secret: str) -> str:
    """Return the header of RFC 6749, 2.3.1: both parts are form-encoded first."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _id_token_of(answer: Answer) -> str:
    try:
        said: Any = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        said = None
    said = said if isinstance(said, dict) else {}
    if answer.status == 200 and isinstance(token := said.get("id_token"), str):
        return token
    error = said.get("error")
    error = error if isinstance(error, str) and ERROR_CODE.fullmatch(error) else None
    if answer.status == 400 and error == "invalid_grant":
        log.info("sign_in.code_refused")
        raise ProviderRefused("The identity provider refused the code: begin again.")
    log.warning("sign_in.provider_unavailable", status=answer.status, error=error)
    raise ProviderUnavailable
