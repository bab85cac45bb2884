"""Ring groups: several telephones that were rung under one number, which is none of theirs.

channels, legs ─▶ ring_group ─▶ fold. Few PBXs have an event for a ring group: a dialplan rings the
members, at once or one after another, in the extension of the group.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from ingest.fold.channels import PbxChannel
from ingest.fold.legs import Leg

NAME = re.compile(r"(?!s-)[\w.+-]{2,80}")
"""`s`, `h`, `i`, `t` and `s-BUSY` are Asterisk's own names for steps of a dialplan."""
RING_GROUP_FACTS = frozenset(("groups", "rung_under"))
"""Of channels: a call without either reached no group."""
LINE = 5
"""Digits of a number that may be a line of ours, written with and without the country's code."""


def ring_group(channels: Iterable[PbxChannel], legs: list[Leg], initiator: Leg) -> str | None:
    """Return the number or name of the group that was rung first; None when there was none."""
    told = min((found for one in channels for found in one.groups), default=None)
    if told:
        return told[1]
    rung: dict[tuple[str, str], list[tuple[Leg, str]]] = defaultdict(list)
    for leg in legs:
        for name, by, channel in () if leg.calling or leg.placed else leg.rung_under:
            rung[name, by].append((leg, channel))
    own = {leg.extension for leg in legs}
    groups = [
        (min(leg.created_at for leg, _ in members), name)
        for (name, _), members in rung.items()
        if _are_several(members)
        and name not in own
        and NAME.fullmatch(name)
        and not _is_line(name, initiator)
    ]
    return min(groups)[1] if groups else None


def _are_several(members: list[tuple[Leg, str]]) -> bool:
    """Return whether two telephones were rung.

    One that picked up for another was not, and a number dialled by two trunks is one.
    """
    telephones = {leg.extension or leg.dialled_e164 or leg.dialled or leg.key for leg, _ in members}
    return len(telephones) > 1 and len({channel for _, channel in members}) > 1


def _is_line(name: str, initiator: Leg) -> bool:
    """Return whether it is the number of ours that an outside caller dialled."""
    did, plain = initiator.did or "", name.lstrip("+0")
    return initiator.external and (name == did or (len(plain) >= LINE and did.endswith(plain)))
