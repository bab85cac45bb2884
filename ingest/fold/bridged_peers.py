"""Who hears somebody, and when: bridges seen through the plumbing between them.

channels ─▶ Company ─▶ legs. A telephone that shares a bridge with nothing but one half of a Local
pair talks as long as somebody is at the far end: a telephone that is asked to accept the call by
key, or that waits for the one it calls, hears nobody yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from ingest.fold.channels import PbxChannel
from ingest.fold.intervals import Interval, intersection, pair, union

MAX_DEPTH = 50
"""Pairs in a row; a PBX makes three."""

BridgeStay = tuple[str, Interval]
"""A channel's key, and from when to when it was in a bridge."""


class BridgedPeers:
    """Answers for all channels of one call; every half of the plumbing is looked at once."""

    def __init__(
        self,
        channels: Mapping[str, PbxChannel],
        far: Mapping[str, str],
        closed_at: datetime | None,
    ) -> None:
        self._other_half = far
        """Half of the plumbing → its other half."""
        self._bridges: dict[str, list[BridgeStay]] = defaultdict(list)
        self._stays: dict[str, list[tuple[str, Interval]]] = defaultdict(list)
        self._reached: dict[str, list[Interval]] = {}
        if not far:
            return
        for key in sorted(channels):
            channel = channels[key]
            ended_at = channel.ended_at(closed_at)
            for bridge in sorted(channel.joins):
                left = channel.leaves.get(bridge, ())
                for interval in pair(channel.joins[bridge], left, ended_at):
                    self._bridges[bridge].append((key, interval))
                    self._stays[key].append((bridge, interval))

    def first_at(self, own: frozenset[str], bridge: str, stay: Interval) -> datetime | None:
        """Return when somebody was there in a stay, first; all of it when nothing says who was."""
        if not self._other_half:
            return stay[0]
        present = [
            (key, part)
            for key, theirs in self._bridges[bridge]
            if key not in own and (part := intersection(stay, theirs))
        ]
        if not present or any(key not in self._other_half for key, _ in present):
            return stay[0]
        heard = (
            intersection(part, reached)
            for key, part in present
            for reached in self._peers_behind(self._other_half[key])
        )
        return min((interval[0] for interval in heard if interval), default=None)

    def _peers_behind(self, key: str, depth: int = 0) -> list[Interval]:
        """When somebody is on the other side of this half; a ring of plumbing reaches nobody."""
        if key in self._reached:
            return self._reached[key]
        if depth > MAX_DEPTH:
            return []
        self._reached[key] = []
        reached: list[Interval] = []
        for bridge, stay in self._stays[key]:
            for other, theirs in self._bridges[bridge]:
                part = intersection(stay, theirs) if other != key else None
                if part is None:
                    continue
                if other not in self._other_half:
                    reached.append(part)
                    continue
                onward = self._peers_behind(self._other_half[other], depth + 1)
                reached += [both for further in onward if (both := intersection(part, further))]
        self._reached[key] = union(reached)
        return self._reached[key]
