"""What differs between Asterisk installations: how telephones, numbers and names are read.

The embedding program's settings ─▶ AsteriskDialect ─▶ DialectReader ─▶ asterisk_facts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ingest.model.events import EventType
from ingest.normalise.asterisk_registrations import Registrations
from ingest.normalise.numbers import party_number, read_number
from ingest.normalise.sides import Side, side_of_context

Fields = dict[str, str]
"""A message: each name with its first value."""

UNKNOWN = frozenset(("", "<unknown>", "unknown"))
ESCAPED = re.compile(r"\\(.)")
TEXT_LIMIT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class AsteriskDialect:
    """What differs between Asterisk installations."""

    region: str | None = None
    """The country of numbers without a country code: UA, PL, …"""
    extension: str = r"^(?:PJSIP|SIP|IAX2|SCCP|DAHDI|Local)/(\d{2,6})(?=[@-]|$)"
    """A pattern for names of channels and interfaces; group 1 is the telephone's extension. Trunks
    must not match: `PJSIP/trunk-00000122` and `Local/0441110001@from-trunk` have no extension."""
    trunk: str | None = None
    """A pattern for names of channels that are lines to the outside, whatever else they look like:
    for installations whose dialplan contexts do not say it."""
    short_number: str = r"^\d{2,6}$"
    """A caller id of this form is an extension of ours, if the call comes from inside."""
    keep_native: bool = False
    """Whether events carry the message that they came in."""


@dataclass(slots=True, kw_only=True)
class Fact:
    """A CallEvent without its id and time."""

    type: EventType
    call_key: str = ""
    leg_key: str = ""
    peer_leg_key: str = ""
    queue: str = ""
    extension: str | None = None
    attrs: dict[str, Any]


class DialectReader:
    """Reads channel names and caller ids according to one dialect."""

    def __init__(self, dialect: AsteriskDialect) -> None:
        self.dialect = dialect
        self._extension = re.compile(dialect.extension)
        self._short = re.compile(dialect.short_number)
        self._trunk = re.compile(dialect.trunk) if dialect.trunk else None
        self.registrations = Registrations()

    def extension_of(self, name: str) -> str | None:
        """Return the extension in the name of a channel or interface; None if there is none."""
        found = self._extension.match(name)
        return found[1] if found and not self.is_trunk(name) else None

    def is_trunk(self, name: str) -> bool:
        """Return whether the operator says that channels of this name lead outside."""
        return self._trunk is not None and self._trunk.search(name) is not None

    def side_of(self, fields: Fields) -> Side | None:
        """Return whether a new channel is ours or an outsider's; None: its name decides.

        Its context is that of its endpoint, until the dialplan moves it. A dialled channel may be
        given the context of the one that dials it, so only a trunk's says something then. In an
        inside context, or registered, a caller is ours if it shows an extension: small
        installations have one context for all, and gateways to other networks may register, too.
        """
        name = fields.get("Channel", "")
        if self.is_trunk(name):
            return "external"
        side = None if name.startswith("Local/") else side_of_context(fields.get("Context", ""))
        if side == "external" or fields.get("ChannelStateDesc") != "Ring":
            return side if side == "external" else None
        inside = self.short(fields.get("CallerIDNum", "")) is not None
        match self.registrations.of_channel(name):
            case "registers" if inside:
                return "agent"
            case "configured" if not inside:
                return "external"
            case _:
                return side if inside else None

    def short(self, number: str) -> str | None:
        """Return the number without marks if it has the form of an extension; else None."""
        plain = read_number(number, self.dialect.region).short or number
        return plain if self._short.match(plain) else None

    def party(self, fields: Fields) -> dict[str, Any]:
        """Return the caller id of a channel as attrs."""
        number, name = clean(fields.get("CallerIDNum")), clean(fields.get("CallerIDName"))
        attrs: dict[str, Any] = {"name": ESCAPED.sub(r"\1", name) if name else None}
        if number:
            short = self.short(number)
            attrs |= party_number(short or number, self.dialect.region)
            attrs["short"] = True if short else None
        return attrs


def clean(value: str | None) -> str | None:
    """Return the value shortened; None if it is empty or `<unknown>`."""
    return None if value is None or value in UNKNOWN else shorten(value)


def shorten(value: str | None) -> str | None:
    """Shorten a text from outside to TEXT_LIMIT; remove NUL, which PostgreSQL cannot store."""
    return value.replace("\0", "")[:TEXT_LIMIT] if value else None
