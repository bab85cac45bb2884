"""Who is in a conversation, and when: bridges followed through internal Local channels.

channels ─▶ BridgedPeers ─▶ legs. A telephone that shares a bridge only with one half of a Local
pair talks while somebody is at the far end. A telephone that must accept the call by a key, or that
waits for the telephone it calls, has no peer yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from ingest.fold.channels import PbxChannel
from ingest.fold.intervals import Interval, intersection, pair, union

MAX_DEPTH = 50
"""Local pairs in a row; a PBX creates three."""

BridgeStay = tuple[str, Interval]
"""A channel's key, and the interval in which it was in a bridge."""


class BridgedPeers:
    """The bridges of all channels of one call; each internal half is followed once."""

    def __init__(
        self,
        channels: Mapping[str, PbxChannel],
        far: Mapping[str, str],
        closed_at: datetime | None,
    ) -> None:
        self._other_half = far
        """Internal half → its other half."""
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
        """Return when the first peer was in the bridge; its beginning if no peer is known of."""
        if not self._other_half:
            return stay[0]
        present = [
            (key, part)
            for key, theirs in self._bridges[bridge]
            if key not in own and (part := intersection(stay, theirs))
        ]
        if not present or any(key not in self._other_half for key, _ in present):
            return stay[0]
        reached = (
            intersection(part, reached)
            for key, part in present
            for reached in self._peers_behind(self._other_half[key])
        )
        return min((interval[0] for interval in reached if interval), default=None)

    def _peers_behind(self, key: str, depth: int = 0) -> list[Interval]:
        """Return when a peer is behind this half; a ring of internal pairs reaches nobody."""
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
