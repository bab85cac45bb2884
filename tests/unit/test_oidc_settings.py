"""Which settings of the sign-in with a provider a gateway starts with."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.auth.oidc.sign_in import _origin_of
from tests.support.given_settings import GivenSettings

RIGHT = {
    "oidc_issuer": "https://login.example/realms/office",
    "oidc_client_id": "gateway",
    "public_url": "https://gateway.example",
}


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"oidc_issuer": "https://login.example/"}, {"oidc_scopes": "openid profile a:b"},
        {"public_url": "https://crm.example/gateway/"},
        {"oidc_issuer": "http://10.0.0.5/realms/office", "oidc_private": True},
        {"public_url": "http://localhost:8080", "oidc_private": True},
    ],
)  # fmt: skip
def test_what_fits_together_starts(changes: dict[str, Any]) -> None:
    """A provider by https, or one of our own network."""
    assert GivenSettings(**{**RIGHT, **changes}).oidc_issuer


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"oidc_client_id": None}, "oidc_client_id"),
        ({"public_url": None}, "public_url"),
        ({"public_url": "http://gateway.example"}, "by https"),
        ({"oidc_issuer": "http://login.example"}, "https://"),
        ({"oidc_issuer": "login.example"}, "https://"),
        ({"oidc_issuer": "https://login.example/?realm=1"}, "no query"),
        ({"oidc_issuer": "https://login.example/#x"}, "no fragment"),
        ({"oidc_issuer": "https://a:b@login.example"}, "neither a user"),
        ({"oidc_scopes": "profile"}, "oidc_scopes"),
        ({"oidc_scopes": ""}, "oidc_scopes"),
        ({"oidc_scopes": "openid  profile"}, "oidc_scopes"),
        ({"oidc_scopes": "openid\nprofile"}, "oidc_scopes"),
        ({"oidc_session_s": 10}, "oidc_session_s"),
        ({"oidc_session_s": 100_000}, "oidc_session_s"),
    ],
)
def test_what_does_not_stops_the_start(changes: dict[str, Any], why: str) -> None:
    """With a text that names the setting."""
    with pytest.raises(ValidationError, match=why):
        GivenSettings(**{**RIGHT, **changes})


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://gateway.example", "https://gateway.example"),
        ("https://Gateway.Example:443/below/", "https://gateway.example"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("http://localhost:80", "http://localhost"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_an_origin_is_written_as_browsers_write_it(url: str, origin: str) -> None:
    """Otherwise our own page would be somebody else's."""
    assert _origin_of(url) == origin
