"""Parking in FreeSWITCH: mod_valet_parking's slots, and `park` of a leg that had talked.

normalise.freeswitch ─▶ valet, park. A leg that was never bridged is parked by a program, for
example until the next leg answers: nobody has put it away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ingest.framing.digits import parse_int
from ingest.normalise.asterisk_dialect import shorten
from ingest.normalise.freeswitch_transfers import EventParts

VALET_EVENTS = "valet_parking::info"
PARK_EVENTS = ("CHANNEL_PARK", "CHANNEL_UNPARK")


def valet(fields: Mapping[str, str]) -> Iterator[EventParts]:
    """Translate what happened in a slot; the event's channel is the parked one."""
    leg = fields.get("Unique-ID", "")
    match fields.get("Action"):
        case "hold":
            yield "call.parked", leg, {"attrs": {"slot": shorten(fields.get("Valet-Extension"))}}
        case "bridge":
            by = fields.get("Bridge-To-UUID") or None
            yield "call.unparked", leg, {"peer_leg_key": by, "attrs": {"reason": "picked_up"}}
        case "exit":
            yield "call.unparked", leg, {}
        case _:
            return


def park(fields: Mapping[str, str]) -> Iterator[EventParts]:
    """Translate parking without a slot (`uuid_park`)."""
    leg = fields.get("Unique-ID", "")
    if fields["Event-Name"] == "CHANNEL_UNPARK":
        yield "call.unparked", leg, {}
    elif parse_int(fields.get("Caller-Channel-Bridged-Time"), 17):
        yield "call.parked", leg, {}
