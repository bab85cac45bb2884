"""Refusals of the page's sign-in with an OpenID Connect provider."""

from __future__ import annotations

from gateway.errors.base import GatewayError


class SignInNeeded(GatewayError):
    """Nobody has signed in with the provider in this browser, or the browser session has ended."""

    code = "sign_in.needed"
    http_status = 401


class SignInNotBegun(GatewayError):
    """This sign-in was not begun in this browser, or more than 10 minutes ago: begin again."""

    code = "sign_in.not_begun"
    http_status = 400


class ProviderRefused(GatewayError):
    """The identity provider refused the sign-in."""

    code = "sign_in.refused"
    http_status = 403


class IdTokenInvalid(GatewayError):
    """What the identity provider says about the person cannot be trusted, or is incomplete."""

    code = "sign_in.id_token_invalid"
    http_status = 502


class ProviderUnavailable(GatewayError):
    """The identity provider does not answer, or not as it should: try again."""

    code = "sign_in.provider_unavailable"
    http_status = 503

    def __init__(self, retry_after: float = 5.0) -> None:
        super().__init__()
        self.retry_after = retry_after
