"""Which endpoints register with the PBX: those are telephones. Lines to carriers are configured.

asterisk_snapshot ─▶ Registrations ─▶ asterisk_dialect. Asked once after each connection, by actions
whose answers contain no passwords: the list of registrations that Asterisk itself makes has them.
"""

from __future__ import annotations

import re
from typing import Literal

from ingest.framing.ami_messages import AmiMessage

ACTIONS = ("PJSIPShowContacts", "SIPpeers")
"""chan_pjsip's and chan_sip's; a PBX without one of them refuses it, and nothing follows."""
MOST = 50_000
"""Endpoints that are remembered; no Asterisk has as many."""

CONTACT = re.compile(r"(.+?)([;@])@[^@]*")
"""`301;@1f0a…`, a contact that was registered, or `carrier@@2b7c…`, one that is configured."""
ENDPOINT = re.compile(r"(?:PJSIP|SIP)/(.+)-[0-9a-f]+")

Kind = Literal["registers", "configured"]


class Registrations:
    """What one PBX has answered; nothing until then."""

    def __init__(self) -> None:
        self._kinds: dict[str, Kind] = {}

    def hear(self, message: AmiMessage) -> None:
        """Remember an endpoint of an answer. One of its devices that registers is enough."""
        fields = message.first()
        name = kind = ""
        match message.event:
            case "ContactList":
                if contact := CONTACT.fullmatch(fields.get("ObjectName", "")):
                    name = fields.get("Endpoint") or contact[1]
                    kind = "registers" if contact[2] == ";" else "configured"
            case "PeerEntry":
                name = fields.get("ObjectName", "")
                kind = "registers" if fields.get("Dynamic") == "yes" else "configured"
            case _:
                return
        if kind == "registers":
            self._remember(name, "registers")
        elif kind and name not in self._kinds:
            self._remember(name, "configured")

    def of_channel(self, channel: str) -> Kind | None:
        """Return how the endpoint of a channel reaches the PBX; None when that is not known."""
        if not self._kinds:
            return None
        named = ENDPOINT.fullmatch(channel)
        return self._kinds.get(named[1]) if named else None

    def _remember(self, name: str, kind: Kind) -> None:
        if len(self._kinds) < MOST:
            self._kinds[name] = kind
