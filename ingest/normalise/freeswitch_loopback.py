"""FreeSWITCH's loopback channels: the two halves of a connection inside it, and no telephones.

normalise.freeswitch ─▶ half_of, linked ─▶ fold.local_channels, as for Asterisk's `Local/` pairs.
`loopback/1001-a` is dialled; `loopback/1001-b` goes through the dialplan and rings the telephone.
Both stay, or leave once the channels on both sides can be joined, or B gives its place to the
channel that dialled A, before it has rung anybody.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.normalise.freeswitch_transfers import CHANNEL, EventParts

NAME = re.compile(r"loopback/(.*)-([ab])", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LoopbackHalf:
    """One half: 1 is dialled, 2 dials on."""

    number: int
    other: str | None
    """The other half's channel, unless FreeSWITCH has not named it."""
    pair: str | None
    """A name for both halves, the same from either: by the dialled one."""

    @property
    def attrs(self) -> dict[str, Any]:
        """Return what tells the fold that these two are one connection."""
        return {"pair": self.pair, "half": self.number} if self.pair else {}

    def linked(self, leg: str) -> Iterator[EventParts]:
        """Join both halves to one call; each of their events may be the first to name the other."""
        if self.other:
            yield "call.linked", leg, {"peer_leg_key": self.other, "attrs": self.attrs}


def half_of(fields: Mapping[str, str]) -> LoopbackHalf | None:
    """Return which half this channel is; None for every other kind of channel."""
    named = NAME.fullmatch(fields.get("Channel-Name", ""))
    letter = fields.get("variable_loopback_leg", "").lower() or (named[2] if named else "")
    if letter not in {"a", "b"}:
        return None
    other = fields.get("variable_other_loopback_leg_uuid", "")
    other = other if CHANNEL.fullmatch(other) else ""
    dialled = fields.get("Unique-ID", "") if letter == "a" else other
    return LoopbackHalf(
        number=1 if letter == "a" else 2,
        other=other or None,
        pair=f"loopback/{dialled}" if dialled else None,
    )


def is_half(name: str) -> bool:
    """Return whether a channel of this name is a half."""
    return NAME.fullmatch(name) is not None


def replaced_by(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the channel to which a half that ends gave its place."""
    successor = fields.get("variable_loopback_bowout_other_uuid", "")
    return {"replaced_by": successor} if CHANNEL.fullmatch(successor) else {}


def halves_in(rows: Sequence[Mapping[str, str]]) -> dict[str, LoopbackHalf]:
    """Return channel → half, in a list of channels, which does not say what belongs together.

    Two halves that are the only ones of a name do. The others are left out.
    """
    named: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.get("uuid") and (found := NAME.fullmatch(row.get("name", ""))):
            named[found[1]][found[2]].append(row["uuid"])
    halves: dict[str, LoopbackHalf] = {}
    for letters in named.values():
        if len(letters["a"]) == len(letters["b"]) == 1:
            (one,), (other,) = letters["a"], letters["b"]
            halves[one] = LoopbackHalf(1, other, f"loopback/{one}")
            halves[other] = LoopbackHalf(2, one, f"loopback/{one}")
    return halves
