"""The settings of the sign-in with an OpenID Connect provider. gateway.settings ─▶ here."""

from __future__ import annotations

from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.outbound import UrlInvalid, check_url


class OidcSettings(BaseSettings):
    """What an operator can set about signing in with a provider."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    oidc_issuer: str | None = None
    """Issuer of the OpenID Connect provider with which people sign in on the page, exactly as its
    discovery document writes it: `https://login.example.com/realms/office`. It needs
    GATEWAY_OIDC_CLIENT_ID and GATEWAY_PUBLIC_URL. Unset: the page asks for a token."""
    oidc_client_id: str | None = Field(default=None, pattern=r"^[ -~]{1,255}$")
    """Identifier under which the provider knows the gateway. Its redirect URI there is
    GATEWAY_PUBLIC_URL followed by `/v1/sign-in/callback`."""
    oidc_client_secret: SecretStr | None = None
    """Secret that belongs to GATEWAY_OIDC_CLIENT_ID. Unset: the gateway is a public client, which
    PKCE protects."""
    oidc_scopes: str = Field(default="openid", pattern=r"^openid( [!#-\[\]-~]{1,100}){0,20}$")
    """Scopes to ask the provider for, separated by spaces; `openid` is the first. Add the scope
    that puts GATEWAY_OIDC_SUBJECT_CLAIM into the ID token."""
    oidc_subject_claim: str = Field(default="sub", pattern=r"^[!-~]{1,200}$")
    """Name of the claim of the ID token that has the employee's id, as `crm.employees` has it.
    Change it when `sub` is the provider's own number of the person."""
    oidc_private: bool = False
    """Set it to true when the provider is in a network of your own, or when the provider or
    GATEWAY_PUBLIC_URL has `http://`. Otherwise only public addresses are asked, by `https://`."""
    oidc_session_s: int = Field(default=36_000, ge=300, le=86_400)
    """Seconds after a sign-in with the provider for which the page gets new tokens; then people
    sign in again. Lower it when somebody who is locked at the provider, and still active
    in the CRM, must lose access sooner."""

    @model_validator(mode="after")
    def _may_ask_provider(self) -> Self:
        if self.oidc_issuer is None:
            return self
        if self.oidc_client_id is None:
            raise ValueError("oidc_issuer needs oidc_client_id")
        try:
            check_url(self.oidc_issuer, private=self.oidc_private)
        except UrlInvalid as error:
            raise ValueError(f"oidc_issuer: {error}") from None
        if "?" in self.oidc_issuer:
            raise ValueError("oidc_issuer: an issuer has no query")
        return self
