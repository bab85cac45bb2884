"""Transfers in FreeSWITCH: read from how a channel ended, or what happened to its peer.

normalise.freeswitch ─▶ transfers. Several events may report one transfer. A leg transfers a call
once, so they are one fact. `transfer_source` alone is no transfer: the dialplan sets it, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ingest.framing.digits import parse_int
from ingest.model.events import EventType
from ingest.normalise.asterisk_dialect import shorten

SOURCE = re.compile(r"(\d{1,11}):[^:]*:(bl_xfer|att_xfer|uuid_br):(.*)", re.DOTALL)
"""`1461931135:a uuid:bl_xfer:1002/default/XML`; the uuid is a profile's, not a channel's."""
CHANNEL = re.compile(r"[\w.-]{1,100}")
TRANSFERRING = frozenset(("transfer", "execute_extension", "att_xfer", "deflect"))
"""The last application of a leg whose keys are bound to a transfer."""
FRESH_S = 3
"""A bridge begins or ends within a moment of the transfer that is its reason."""

Fields = Mapping[str, str]
EventParts = tuple[EventType, str, dict[str, Any]]
"""An event's type, its leg, and its other fields."""


@dataclass(frozen=True, slots=True)
class TransferSource:
    """The latest transfer in a channel's variables."""

    epoch: int
    kind: str
    target: str


def transfers(fields: Fields) -> Iterator[EventParts]:
    """Return the transfer that this event completes, if it does."""
    match fields.get("Event-Name"):
        case "CHANNEL_HANGUP_COMPLETE":
            yield from _by_hangup(fields)
        case "CHANNEL_UNBRIDGE":
            yield from _by_unbridge(fields)
        case "CHANNEL_BRIDGE":
            yield from _by_bridge(fields)
        case _:
            return


def _by_hangup(fields: Fields) -> Iterator[EventParts]:
    """Read mod_sofia's variables of a channel that left: its kind (`blind:`, `att:`) and target."""
    leg, cause = fields.get("Unique-ID", ""), fields.get("Hangup-Cause", "")
    disposition = fields.get("variable_endpoint_disposition", "")
    how, _, other = fields.get("variable_transfer_to", "").partition(":")
    if "BLIND_TRANSFER" in {cause, disposition}:
        to = fields.get("variable_transfer_destination", "").removeprefix("blind:")
        peer = other if other != to else fields.get("variable_last_bridge_to", "")
        yield "transfer.blind", leg, _details(peer, to=shorten(to))
    elif how == "att":
        yield "transfer.attended", leg, _details(other)
    elif cause == "ATTENDED_TRANSFER" != disposition:  # the consultation's own end has both
        yield "transfer.attended", leg, _details("")


def transferred(fields: Fields) -> bool:
    """Return whether a leg that ends has transferred its call itself, by SIP or by keys."""
    causes = fields.get("Hangup-Cause"), fields.get("variable_endpoint_disposition")
    application = fields.get("variable_current_application")
    return "BLIND_TRANSFER" in causes or application in TRANSFERRING


def _by_unbridge(fields: Fields) -> Iterator[EventParts]:
    """Return a blind transfer to an extension: by the peer whose conversation it ends."""
    source, leg = _latest(fields), fields.get("Unique-ID", "")
    bridged_us = parse_int(fields.get("Caller-Channel-Bridged-Time"), 17) or 0
    during = source is not None and source.epoch > bridged_us // 1_000_000
    if source and during and source.kind == "bl_xfer" and _fresh(source, fields):
        extension = source.target.rsplit("/", 2)[0]
        parts = _details(leg, to=shorten(extension))
        parts["attrs"]["by_peer"] = True
        yield "transfer.blind", _partner(fields), parts


def _by_bridge(fields: Fields) -> Iterator[EventParts]:
    """Return an attended transfer: by the leg that had called a leg now bridged elsewhere."""
    source, leg = _latest(fields), fields.get("Unique-ID", "")
    consulting = fields.get("variable_originator", "")
    if source is None or source.kind == "bl_xfer" or not _fresh(source, fields):
        return
    if CHANNEL.fullmatch(consulting) and consulting not in {leg, _partner(fields)}:
        yield "transfer.attended", consulting, _details(leg)


def _latest(fields: Fields) -> TransferSource | None:
    """Read the latest transfer; a history of several is `ARRAY::one|:two`."""
    history = fields.get("variable_transfer_source") or fields.get("variable_transfer_history", "")
    found = SOURCE.fullmatch(history.removeprefix("ARRAY::").rpartition("|:")[2])
    return TransferSource(int(found[1]), found[2], found[3]) if found else None


def _fresh(source: TransferSource, fields: Fields) -> bool:
    now_us = parse_int(fields.get("Event-Date-Timestamp"), 17)
    return now_us is not None and abs(now_us // 1_000_000 - source.epoch) <= FRESH_S


def _partner(fields: Fields) -> str:
    """Return the other side of the bridge that this event is about."""
    leg = fields.get("Unique-ID")
    sides = fields.get("Bridge-A-Unique-ID"), fields.get("Bridge-B-Unique-ID")
    other = next((side for side in sides if side and side != leg), None)
    return other or fields.get("Other-Leg-Unique-ID", "")


def _details(peer: str, **attrs: str | None) -> dict[str, Any]:
    return {
        "peer_leg_key": peer if CHANNEL.fullmatch(peer) else None,
        "attrs": {name: value for name, value in attrs.items() if value},
    }
