"""Internal Local pairs: no telephone, but a connection inside the PBX.

channels ─▶ is_internal_pair ─▶ legs. A pair is internal when it has other channels on both sides,
or when the PBX itself places a call by it. One that leads nowhere is no telephone either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ingest.fold.channels import PbxChannel

NAMED = re.compile(r"^Local/\+?(\d+)@")
FEATURE = re.compile(r"^Local/[*#]")
"""A code dialled inside (`*8` picks up). No line that outside callers dial begins like this."""


def is_internal_pair(halves: list[PbxChannel], channels: dict[str, PbxChannel]) -> bool:
    return _is_between_others(halves) or _is_placed_by_pbx(halves, channels)


def leads_nowhere(halves: list[PbxChannel]) -> bool:
    """Return whether somebody dialled this pair, no number names it, and its far half dials nobody.

    It waits for a telephone to register, or looks for one (`Local/FMPR-301@from-internal`).
    """
    if NAMED.match(halves[0].pair or "") or any(half.extension or half.kind for half in halves):
        return False
    dialled = any(half.dialled_by for half in halves)
    return dialled and not any(half.half == 2 and half.onward for half in halves)


def dials_inside(halves: list[PbxChannel], channels: dict[str, PbxChannel]) -> bool:
    """Return whether the name of this calling pair is what was dialled, not an outside line."""
    name = halves[0].pair or ""
    if NAMED.match(name):
        return _rings_named_number(halves, channels)
    return FEATURE.match(name) is not None


def other_halves(pairs: Iterable[list[PbxChannel]]) -> dict[str, str]:
    """Return the other half of each half."""
    return {
        half.key: other.key
        for halves in pairs
        for half in halves
        for other in halves
        if half.half != other.half
    }


def _is_between_others(halves: list[PbxChannel]) -> bool:
    onward = {half.half for half in halves if half.onward}
    return len(onward) > 1 and any(half.linked for half in halves)


def _is_placed_by_pbx(halves: list[PbxChannel], channels: dict[str, PbxChannel]) -> bool:
    """Return whether the PBX created this pair to ring the number in its name (click-to-call).

    Nobody dialled its near half. A pair by which somebody calls in is different: its name is the
    line that was called and not the number that it rings, or the caller shows a short number.
    """
    near = any(half.half == 1 and half.offered and not half.dialled_by for half in halves)
    if not near or not any(half.half == 2 and half.linked for half in halves):
        return False
    if any(event.attrs.get("short") for half in halves for event in half.parties):
        return False
    return _rings_named_number(halves, channels)


def _rings_named_number(halves: list[PbxChannel], channels: dict[str, PbxChannel]) -> bool:
    """Return whether it rings the number in its name; without a number there, it may."""
    name = NAMED.match(halves[0].pair or "")
    return name is None or any(
        name[1] in {channel.extension, (channel.dialled or "").removeprefix("+")}
        for channel in _rung(halves, channels)
    )


def _rung(halves: list[PbxChannel], channels: dict[str, PbxChannel]) -> list[PbxChannel]:
    """Return the channels that this pair rang, directly or through further pairs."""
    found: list[PbxChannel] = []
    reached = {half.key for half in halves}
    new = set(reached)
    while new:
        pairs = {channels[key].pair for key in new} - {None}
        new = {
            key
            for key, channel in channels.items()
            if key not in reached and (channel.dialled_by & new or channel.pair in pairs)
        }
        found += [channels[key] for key in sorted(new)]
        reached |= new
    return found
