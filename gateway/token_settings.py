"""The settings of tokens: keys, claims, lifetimes. gateway.settings ─▶ here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gateway.outbound import UrlInvalid, check_url
from gateway.weak_secrets import weakness_of

MAX_SECRETS = 4
MIN_SECRET_BYTES = 32
"""RFC 7518, 3.2: an HS256 key has at least the hash's 256 bits."""


def _split_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split_secrets)]


class TokenSettings(BaseSettings):
    """What an operator can set about tokens."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    token_secret: SecretStr | None = None
    """Key that signs and verifies tokens (HS256) and signs links to files, at least 32 random
    bytes; what can be guessed is refused. Your login signs with the same key, unless it has keys of
    its own. Required, except by `gateway dev`, which makes one."""
    token_accepted_secrets: Secrets = ()
    """Other HS256 secrets, separated by commas, whose tokens and links are accepted, too, at most
    4. To replace GATEWAY_TOKEN_SECRET, first add the new one here on all nodes, then exchange the
    two, and remove the old one when its last token has ended."""
    token_keys_file: Path | None = None
    """File of the public keys that verify your login's tokens (RS256, ES256, EdDSA): PEM keys or
    certificates, or a JSON Web Key Set. It is read at the start."""
    token_jwks_url: str | None = None
    """Address at which your login publishes its public keys as a JSON Web Key Set: `https://…`. It
    is read at the start, every 5 minutes, and when a token names a new key, at most every 10 s."""
    token_jwks_private: bool = False
    """Set it to true when GATEWAY_TOKEN_JWKS_URL leads to a network of your own, by `http://` too.
    Otherwise only public addresses are asked."""
    token_subject_claim: str = Field(default="sub", pattern=r"^[!-~]{1,200}$")
    """Name of the claim that has the employee's id. Change it when `sub` of your login's tokens is
    another thing, such as a name."""
    token_issuer: str = "crm-gateway"  # noqa: S105
    """Value that the claim `iss` of a token must have; empty: it is not checked. Change it when
    your login writes another one, or none."""
    token_audience: str = "crm-gateway"  # noqa: S105
    """Value that the claim `aud` of a token must have, or have among others; empty: it is not
    checked. Change it when your login writes another one, or none."""
    token_requires_jti: bool = True
    """Set it to false when your login writes no `jti`. One token can then be revoked by the token
    itself: `gateway token --revoke TOKEN`."""
    token_max_s: int = Field(default=2_592_000, ge=60, le=315_360_000)
    """Longest lifetime of a token in seconds, from `iat` (without one, from now) to `exp`; a longer
    one is refused. Raise it only when your login cannot issue shorter ones."""
    token_leeway_s: int = Field(default=10, ge=0, le=60)
    """Seconds by which the clocks of your login and the gateway may differ when `exp`, `iat` and
    `nbf` are checked. Raise it only while a clock cannot be corrected."""

    @field_validator("token_secret")
    @classmethod
    def _is_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _check_secret(value)
        return value

    @field_validator("token_accepted_secrets")
    @classmethod
    def _are_secrets(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if len(value) > MAX_SECRETS:
            raise ValueError(f"has more than {MAX_SECRETS} secrets")
        for secret in value:
            _check_secret(secret)
        return value

    @model_validator(mode="after")
    def _may_ask(self) -> Self:
        if self.token_jwks_url is not None:
            try:
                check_url(self.token_jwks_url, private=self.token_jwks_private)
            except UrlInvalid as error:
                raise ValueError(f"token_jwks_url: {error}") from None
        return self


def _check_secret(value: SecretStr) -> None:
    secret = value.get_secret_value().strip()
    short = len(secret.encode()) < MIN_SECRET_BYTES
    why = f"has fewer than {MIN_SECRET_BYTES} bytes" if short else weakness_of(secret)
    if why:
        raise ValueError(f"{why}; make one with: openssl rand -base64 48")
