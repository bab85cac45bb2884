"""What a provider says about itself: OpenID Connect Discovery 1.0.

provider.py ─▶ parse(). A document that names another issuer, or an address that the gateway may
not ask, is refused as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.outbound import UrlInvalid, check_url

MAX_METADATA_BYTES = 200_000
WELL_KNOWN = "/.well-known/openid-configuration"


class MetadataUnusable(ValueError):
    """The document cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The addresses of a provider and how it wants to be asked."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None
    secret_in_header: bool
    """A client shows its secret by HTTP Basic; otherwise it is a field of the form."""
    names_issuer: bool
    """Each answer at the callback has the parameter `iss` (RFC 9207)."""


def url_of(issuer: str) -> str:
    """Return where the document of an issuer is."""
    return issuer.rstrip("/") + WELL_KNOWN


def parse(body: bytes, *, issuer: str, private: bool) -> Metadata:
    """Return what the document says; MetadataUnusable for one that is not this issuer's."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise MetadataUnusable("it is not JSON") from None
    if not isinstance(document, dict):
        raise MetadataUnusable("it is not a JSON object")
    if document.get("issuer") != issuer:
        raise MetadataUnusable("its issuer is not GATEWAY_OIDC_ISSUER, letter by letter")
    methods = document.get("token_endpoint_auth_methods_supported")
    return Metadata(
        _address(document, "authorization_endpoint", private=private),
        _address(document, "token_endpoint", private=private),
        _address(document, "jwks_uri", private=private),
        _address(document, "end_session_endpoint", private=private)
        if document.get("end_session_endpoint") is not None
        else None,
        # Without the list it is HTTP Basic alone.
        not isinstance(methods, list) or "client_secret_basic" in methods,
        document.get("authorization_response_iss_parameter_supported") is True,
    )


def _address(document: Mapping[str, Any], name: str, *, private: bool) -> str:
    url = document.get(name)
    if not isinstance(url, str):
        raise MetadataUnusable(f"it has no {name}")
    try:
        check_url(url, private=private)
    except UrlInvalid as error:
        raise MetadataUnusable(f"{name}: {error}") from None
    return url
