"""Conferences: a room that people enter and leave one by one, and in which they may be alone.

channels ─▶ Rooms ─▶ legs. Alone in a room nobody talks. Who is on hold there hears music, and for
the others that time is a hold, as after Asterisk's Hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from ingest.fold.channels import PbxChannel
from ingest.fold.intervals import Interval, intersection, pair, union
from ingest.fold.near_times import NEAR

Stay = tuple[str, Interval]
"""A bridge and an interval in it."""


def last_conference(channels: Iterable[PbxChannel]) -> str | None:
    """Return the name of the conference that the call was in; of several, the last."""
    named = [fact for channel in channels for fact in channel.conferences]
    return max(named)[1] if named else None


class Rooms:
    """Who is in the rooms of one call, and when; empty for a call without conferences."""

    def __init__(self, channels: Iterable[PbxChannel], closed_at: datetime | None) -> None:
        self._there: dict[str, list[tuple[str, Interval]]] = defaultdict(list)
        self._held: dict[str, list[tuple[str, Interval]]] = defaultdict(list)
        for channel in [one for one in channels if one.rooms]:
            ended_at = channel.ended_at(closed_at)
            for room in channel.rooms:
                stays = pair(channel.joins[room], channel.leaves.get(room, ()), ended_at)
                self._there[room] += [(channel.key, stay) for stay in stays]
                for held in pair(channel.music_on, channel.music_off, ended_at):
                    parts = (intersection(held, stay) for stay in stays)  # before, it was a queue's
                    self._held[room] += [(channel.key, part) for part in parts if part]

    def __bool__(self) -> bool:
        return bool(self._there)

    def in_company(self, key: str, stay: Stay) -> list[Stay]:
        """Return the parts of a stay in which somebody else was there; outside rooms, all of it."""
        bridge, interval = stay
        if bridge not in self._there:
            return [stay]
        return [(bridge, part) for part in _common(interval, key, self._there[bridge])]

    def holds(self, key: str, stays: Iterable[Stay]) -> tuple[Interval, ...]:
        """Return when somebody else was on hold while this channel was in the room.

        Music for who waited alone stops a moment after somebody has come: that is none.
        """
        if not self._held:
            return ()
        parts = [
            part
            for room, interval in stays
            for part in _common(interval, key, self._held.get(room, ()))
        ]
        return tuple((at, end) for at, end in union(parts) if end is None or end - at > NEAR)


def _common(interval: Interval, key: str, others: Iterable[tuple[str, Interval]]) -> list[Interval]:
    """Return the parts of an interval in which one of the others was there."""
    parts = (intersection(interval, theirs) for other, theirs in others if other != key)
    return union(part for part in parts if part)
