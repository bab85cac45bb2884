"""Types for settings that are lists, separated by commas in the environment.

gateway.settings ─▶ here. One type for each kind of list; an invalid entry is named in the error.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

ROLES = ("sockets", "ingest", "background")
DEVICE_KINDS = frozenset({"web", "mobile", "desktop", "softphone", "bot"})
"""The kinds of device that a client may be in its hello."""


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
    return value


def _are_roles(value: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := set(value) - set(ROLES):
        raise ValueError(f"unknown role: {', '.join(sorted(unknown))}")
    if not value:
        raise ValueError("must name at least one role")
    return tuple(role for role in ROLES if role in value)


def _are_kinds(value: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := set(value) - DEVICE_KINDS:
        raise ValueError(f"unknown kind of device: {', '.join(sorted(unknown))}")
    return value


def _are_networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for network in value:
        ipaddress.ip_network(network, strict=False)
    return value


def _are_origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        if not re.fullmatch(r"https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?", origin):
            raise ValueError(f"must be scheme and host, such as https://crm.example.com: {origin}")
    return value


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Roles = Annotated[CommaSeparated, AfterValidator(_are_roles)]
DeviceKinds = Annotated[CommaSeparated, AfterValidator(_are_kinds)]
Origins = Annotated[CommaSeparated, AfterValidator(_are_origins)]
Networks = Annotated[CommaSeparated, AfterValidator(_are_networks)]
