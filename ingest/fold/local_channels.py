"""Local pairs that are nobody's telephone: what the PBX puts between two others.

channels ─▶ is_plumbing ─▶ legs. A pair with other channels on both sides, and one by which the PBX
itself places a call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ingest.fold.channels import PbxChannel

NAMED = re.compile(r"^Local/\+?(\d+)@")
FEATURE = re.compile(r"^Local/[*#]")
"""A code that is dialled inside (`*8` picks up); no line that outsiders call begins like this."""


def is_internal_pair(halves: list[PbxChannel], channels: dict[str, PbxChannel]) -> bool:
    return _is_between_others(halves) or _is_placed_by_pbx(halves, channels)


def dials_inside(halves: list[PbxChannel], channels: dict[str, PbxChannel]) -> bool:
    """Whether this pair, by which somebody calls, is named for what is dialled, not for a line."""
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
    """Whether the PBX itself made this pair to ring the one it is named for (click-to-call).

    Nobody dialled its near half. Who calls in through a Local channel is told by its name, which is
    then the line that was called and not whom it rings, or by a short number of his own.
    """
    near = any(half.half == 1 and half.offered and not half.dialled_by for half in halves)
    if not near or not any(half.half == 2 and half.linked for half in halves):
        return False
    if any(said.attrs.get("short") for half in halves for said in half.parties):
        return False
    return _rings_named_number(halves, channels)


def _rings_named_number(halves: list[PbxChannel], channels: dict[str, PbxChannel]) -> bool:
    """Whether it rings the one it is named for; one without a number in its name may."""
    name = NAMED.match(halves[0].pair or "")
    return name is None or any(
        name[1] in {channel.extension, (channel.dialled or "").removeprefix("+")}
        for channel in _rung(halves, channels)
    )


def _rung(halves: list[PbxChannel], channels: dict[str, PbxChannel]) -> list[PbxChannel]:
    """Return the channels that this pair rang, also through further pairs."""
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
