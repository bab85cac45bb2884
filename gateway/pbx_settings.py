"""The settings of each PBX that the gateway connects to, or that posts events.

gateway.settings (GATEWAY_PBXS and GATEWAY_PBX_SECRETS, as JSON) ─▶ gateway.telephony.pbx, rest.
One class for each kind of PBX.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from phonenumbers import SUPPORTED_REGIONS
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    model_validator,
)

from gateway.weak_secrets import weakness_of
from ingest import is_webhook_secret

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


def _is_pattern(value: str | None) -> str | None:
    if value is not None:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"must be a regular expression: {error}") from None
    return value


def _is_extension_pattern(value: str | None) -> str | None:
    _is_pattern(value)
    if value is not None and re.compile(value).groups != 1:
        raise ValueError("must have exactly one group, which matches the extension")
    return value


def _is_template(value: str | None) -> str | None:
    if value is None:
        return None
    if not re.fullmatch(r"https?://[^\s/{}]+/\S*", value):
        raise ValueError("must be an http(s) URL whose host has no placeholder")
    named = re.findall(r"\{([^{}]*)\}", value)
    braces = value.count("{") + value.count("}")
    if not named or braces != 2 * len(named) or not {"path", "name", "id"}.issuperset(named):
        raise ValueError("must contain {path}, {name} or {id}, and no other braces")
    return value


def _is_region(value: str) -> str:
    if value not in SUPPORTED_REGIONS:
        raise ValueError("must be a country with telephone numbers (ISO 3166), such as UA, PL, GB")
    return value


def _is_secret(value: SecretStr) -> SecretStr:
    secret = value.get_secret_value()
    unusable = None if is_webhook_secret(secret) else "is not base64 of at least 16 bytes"
    if why := unusable or weakness_of(secret):
        raise ValueError(f"{why}; make one with: echo whsec_$(openssl rand -base64 32)")
    return value


Region = Annotated[str, AfterValidator(_is_region)]


class PostingPbx(BaseModel):
    """A PBX that posts events; a list of secrets is accepted as short form."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secrets: list[Annotated[SecretStr, AfterValidator(_is_secret)]]
    region: Region | None = None
    """Country by whose rules its national numbers are read. Unset: GATEWAY_PHONE_REGION."""

    @property
    def plain_secrets(self) -> list[str]:
        """The secrets as plain text."""
        return [secret.get_secret_value() for secret in self.secrets]

    @model_validator(mode="before")
    @classmethod
    def _with_name(cls, value: Any) -> Any:
        if isinstance(value, list):
            return {"secrets": value}
        if not isinstance(value, dict | PostingPbx):
            raise ValueError(  # noqa: TRY004 (pydantic's)
                'must be a list of secrets, or {"secrets": […], "region": "PL"}'
            )
        return value


class _Pbx(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    recordings_url: Annotated[str | None, Field(max_length=1_000), AfterValidator(_is_template)] = (
        None
    )
    """URL template of its recordings, when it sends only their paths:
    `https://rec.example.com/{path}`. {name} is the last part of the path, {id} the PBX's name for
    the recording."""

    region: Region | None = None
    """Country by whose rules its national numbers are read. Unset: GATEWAY_PHONE_REGION."""
    extension: Annotated[
        str | None, Field(max_length=500), AfterValidator(_is_extension_pattern)
    ] = None
    """Regular expression whose group 1 is the extension in the name of a PBX channel (at Twilio: in
    a client's or SIP address)."""


class _Connected(_Pbx):
    host: str = Field(min_length=1)
    secret: SecretStr
    tls: bool = False
    ca_file: Path | None = None
    """PEM file of the certificate authorities that may sign its certificate. Unset: those that the
    system trusts."""

    trunk: Annotated[str | None, Field(max_length=500), AfterValidator(_is_pattern)] = None
    """Regular expression for names of PBX channels that are lines to the outside. Unset: contexts,
    gateways and profiles of the PBX say so, and names that are no extension."""


class AmiPbx(_Connected):
    """An Asterisk, connected to by its manager interface (AMI)."""

    kind: Literal["ami"]
    port: int = Field(default=5038, ge=1, le=65535)
    user: str = Field(min_length=1)


class EslPbx(_Connected):
    """A FreeSWITCH, connected to by its event socket (ESL)."""

    kind: Literal["esl"]
    port: int = Field(default=8021, ge=1, le=65535)
    user: str = ""
    """`user@domain` of its directory. Unset: login with the event socket's own password."""


class TwilioPbx(_Pbx):
    """A Twilio account that posts the status of its calls."""

    kind: Literal["twilio"]
    url: str = Field(pattern=r"^https?://[^\s?#]+$")
    """The URL to which it posts, exactly as configured at Twilio: the signature covers it."""
    tokens: list[SecretStr] = Field(min_length=1, max_length=10)
    """The auth token of the account; two while one replaces the other."""


Pbx = Annotated[AmiPbx | EslPbx | TwilioPbx, Field(discriminator="kind")]


def _has_own_name(value: dict[Name, Pbx], info: ValidationInfo) -> dict[Name, Pbx]:
    if both := sorted(set(value) & set(info.data.get("pbx_secrets", ()))):
        raise ValueError(f"{both[0]}: pbx_secrets has the same name, and call ids could collide")
    return value


Pbxs = Annotated[dict[Name, Pbx], AfterValidator(_has_own_name)]


def _is_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, ValueError, LookupError):
        raise ValueError("must be a time zone, such as Europe/Kyiv or UTC") from None
    return value


Zone = Annotated[str, AfterValidator(_is_zone)]
