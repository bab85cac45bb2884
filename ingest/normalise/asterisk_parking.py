"""Asterisk's parking events: who is parked where, by whom, and who picked them up.

asterisk_facts ─▶ PARKING. Since Asterisk 12 the parked channel's fields begin with `Parkee`;
before, they had no prefix, and `From` named the other channel.
"""

from __future__ import annotations

from collections.abc import Callable

from ingest.normalise.asterisk_dialect import DialectReader, Fact, Fields, shorten

OTHERS = ("ParkerChannel", "ParkerDialString", "From")
TAKERS = ("RetrieverChannel", "From")


def _parked(reader: DialectReader, fields: Fields) -> Fact:
    slot = fields.get("ParkingSpace") or fields.get("Exten")
    return Fact(
        type="call.parked",
        **_parkee(fields),
        peer_leg_key=fields.get("ParkerUniqueid", ""),
        attrs={"slot": shorten(slot), "by": _extension(reader, fields, OTHERS)},
    )


def _unparked(reason: str) -> Callable[[DialectReader, Fields], Fact]:
    def translate(reader: DialectReader, fields: Fields) -> Fact:
        taken = reason == "picked_up"
        by = _extension(reader, fields, TAKERS) if taken else None
        return Fact(
            type="call.unparked",
            **_parkee(fields),
            peer_leg_key=fields.get("RetrieverUniqueid", "") if taken else "",
            attrs={"reason": reason, "by": by},
        )

    return translate


def _parkee(fields: Fields) -> dict[str, str]:
    if leg := fields.get("ParkeeUniqueid"):
        return {"leg_key": leg, "call_key": fields.get("ParkeeLinkedid", "")}
    return {"leg_key": fields.get("Uniqueid") or fields.get("UniqueID", "")}


def _extension(reader: DialectReader, fields: Fields, names: tuple[str, ...]) -> str | None:
    """Return the extension of the first channel, or string to dial it, that has one."""
    found = (reader.extension_of(fields[name]) for name in names if fields.get(name))
    return next((extension for extension in found if extension), None)


PARKING: dict[str, Callable[[DialectReader, Fields], Fact | None]] = {
    "ParkedCall": _parked,
    "ParkedCallSwap": _parked,
    "UnParkedCall": _unparked("picked_up"),
    "ParkedCallTimeOut": _unparked("timeout"),
    "ParkedCallGiveUp": _unparked("given_up"),
}
