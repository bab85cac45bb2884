"""What an operator says about each PBX that the gateway connects to, or that posts.

gateway.settings (GATEWAY_PBXS and GATEWAY_PBX_SECRETS, as JSON) ─▶ gateway.telephony, gateway.rest.
One class for each kind.
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

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


def _is_pattern(value: str | None) -> str | None:
    if value is not None:
        try:
            groups = re.compile(value).groups
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        if groups != 1:
            raise ValueError("needs exactly one group: the extension")
    return value


def _is_template(value: str | None) -> str | None:
    if value is None:
        return None
    if not re.fullmatch(r"https?://[^\s/{}]+/\S*", value):
        raise ValueError("is no http(s) URL; its host is written out")
    named = re.findall(r"\{([^{}]*)\}", value)
    braces = value.count("{") + value.count("}")
    if not named or braces != 2 * len(named) or not {"path", "name", "id"}.issuperset(named):
        raise ValueError("holds {path}, {name} or {id}, and no other braces")
    return value


def _is_region(value: str) -> str:
    if value not in SUPPORTED_REGIONS:
        raise ValueError("is no country with telephone numbers (ISO 3166): UA, PL, GB …")
    return value


Region = Annotated[str, AfterValidator(_is_region)]


class PostingPbx(BaseModel):
    """A PBX that posts events; its secrets alone may stand for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    secrets: list[SecretStr]
    region: Region | None = None
    """Country of its national numbers, if not GATEWAY_PHONE_REGION."""

    @property
    def plain_secrets(self) -> list[str]:
        """Its secrets, readable."""
        return [secret.get_secret_value() for secret in self.secrets]

    @model_validator(mode="before")
    @classmethod
    def _with_name(cls, value: Any) -> Any:
        if isinstance(value, list):
            return {"secrets": value}
        if not isinstance(value, dict | PostingPbx):
            raise ValueError('is no list of secrets, nor {"secrets": […], "region": "PL"}')  # noqa: TRY004 (pydantic's)
        return value


class _Pbx(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    recordings_url: Annotated[str | None, Field(max_length=1_000), AfterValidator(_is_template)] = (
        None
    )
    """Where its recordings are, when it tells of them by path:
    `https://rec.example.com/{path}`; {name} is the path's last part, {id} what the PBX calls the
    recording."""

    region: Region | None = None
    """Country of its national numbers, if not GATEWAY_PHONE_REGION."""
    extension: Annotated[str | None, Field(max_length=500), AfterValidator(_is_pattern)] = None
    """Regular expression whose group 1 is the extension, in a channel's name (at Twilio: in a
    client's or SIP address)."""


class _Connected(_Pbx):
    host: str = Field(min_length=1)
    secret: SecretStr
    tls: bool = False
    ca_file: Path | None = None
    """Whose certificate it may show; unset: those the system trusts."""


class AmiPbx(_Connected):
    """An Asterisk, by its manager interface."""

    kind: Literal["ami"]
    port: int = Field(default=5038, ge=1, le=65535)
    user: str = Field(min_length=1)


class EslPbx(_Connected):
    """A FreeSWITCH, by its event socket."""

    kind: Literal["esl"]
    port: int = Field(default=8021, ge=1, le=65535)
    user: str = ""
    """`user@domain` of its directory; unset: the event socket's own password."""


class TwilioPbx(_Pbx):
    """A Twilio account that posts its calls' status."""

    kind: Literal["twilio"]
    url: str = Field(pattern=r"^https?://[^\s?#]+$")
    """Where it posts to, as Twilio was told: its signature covers that."""
    tokens: list[SecretStr] = Field(min_length=1, max_length=10)
    """The account's auth token; two while one replaces the other."""


Pbx = Annotated[AmiPbx | EslPbx | TwilioPbx, Field(discriminator="kind")]


def _has_own_name(value: dict[Name, Pbx], info: ValidationInfo) -> dict[Name, Pbx]:
    if both := sorted(set(value) & set(info.data.get("pbx_secrets", ()))):
        raise ValueError(f"{both[0]}: pbx_secrets has one of this name, and ids may collide")
    return value


Pbxs = Annotated[dict[Name, Pbx], AfterValidator(_has_own_name)]


def _is_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, ValueError, LookupError):
        raise ValueError("is no time zone: Europe/Kyiv, UTC …") from None
    return value


Zone = Annotated[str, AfterValidator(_is_zone)]
