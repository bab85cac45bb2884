"""A native channel's facts, gathered as sets and minima: the order of the events does not matter.

fold ─▶ gather ─▶ legs. Nothing is decided here; a channel that only has a caller id, or of which
only a late echo was heard, bears no leg.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ingest.events import CallEvent

BEARS_A_LEG = frozenset(
    (
        "call.started",
        "leg.created",
        "leg.ringing",
        "leg.answered",
        "leg.ended",
        "bridge.joined",
        "offer.started",
        "queue.entered",
        "queue.requested",
    )
)
TIMES = {
    "call.started": "created",
    "leg.created": "created",
    "leg.ringing": "ringing",
    "leg.answered": "answered",
    "leg.ended": "ended",
    "offer.started": "offered",
    "leg.hold_on": "holds",
    "leg.hold_off": "unholds",
    "leg.music_on": "music_on",
    "leg.music_off": "music_off",
}
"""Event type → the set its time belongs to."""

Party = tuple[datetime, Mapping[str, Any]]
Times = set[datetime]


@dataclass(slots=True)
class Channel:
    key: str
    pair: str | None = None
    """The Local channel it is one half of."""
    half: int = 0
    extension: str | None = None
    kind: str | None = None
    dialled: str | None = None
    """The number that was dialled to reach it."""
    dialled_e164: str | None = None
    dialled_by: set[str] = field(default_factory=set)
    linked: bool = False
    """Another channel dialled it, was dialled by it, or shares a bridge with it."""
    queued: bool = False
    """It went into a queue."""
    onward_at: Times = field(default_factory=set)
    """When it went into a queue, or rang somebody."""
    seen: Times = field(default_factory=set)
    """When it certainly existed; empty when only echoes of it were heard: then it is no leg."""
    created: Times = field(default_factory=set)
    offered: Times = field(default_factory=set)
    ringing: Times = field(default_factory=set)
    answered: Times = field(default_factory=set)
    ended: Times = field(default_factory=set)
    holds: Times = field(default_factory=set)
    unholds: Times = field(default_factory=set)
    music_on: Times = field(default_factory=set)
    music_off: Times = field(default_factory=set)
    joins: dict[str, Times] = field(default_factory=lambda: defaultdict(set))
    leaves: dict[str, Times] = field(default_factory=lambda: defaultdict(set))
    results: set[str] = field(default_factory=set)
    causes: list[tuple[datetime, int]] = field(default_factory=list)
    parties: list[Party] = field(default_factory=list)
    sip_call_ids: set[tuple[datetime, bytes, str]] = field(default_factory=set)
    """Each with when and by which event it was told."""

    @property
    def onward(self) -> bool:
        """Whether anything happens on this side of it."""
        return self.linked or self.queued


def gather(events: Iterable[CallEvent]) -> dict[str, Channel]:
    """Collect the facts of every channel, by its key."""
    channels: dict[str, Channel] = {}
    for event in events:
        if event.leg_key is None:
            continue
        channel = _of(channels, event.leg_key)
        _note_time(channel, event)
        _note_rest(channel, event)
        if event.peer_leg_key and event.type in {"offer.started", "queue.connected"}:
            peer = _of(channels, event.peer_leg_key)
            peer.linked = True
            peer.onward_at.add(event.occurred_at)
    return channels


def _of(channels: dict[str, Channel], key: str) -> Channel:
    """Return the channel; making one for each event instead of each channel costs 5 µs an event."""
    channel = channels.get(key)
    if channel is None:
        channel = channels[key] = Channel(key)
    return channel


def _note_time(channel: Channel, event: CallEvent) -> None:
    if event.type in BEARS_A_LEG:
        channel.seen.add(event.occurred_at)
    if name := TIMES.get(event.type):
        times: Times = getattr(channel, name)
        times.add(event.occurred_at)


def _note_rest(channel: Channel, event: CallEvent) -> None:
    at, attrs = event.occurred_at, event.attrs
    if call_id := attrs.get("sip_call_id"):
        channel.sip_call_ids.add((at, event.event_id.bytes, str(call_id)))
    if event.native_type == "webhook" and event.type in {"leg.ringing", "leg.answered"}:
        # A PBX that posts may name the telephone here and nowhere else. Whose telephone rings is
        # called; Asterisk says so by itself, and lets a caller's own telephone ring, too.
        channel.extension = _least(channel.extension, event.extension)
        if event.type == "leg.ringing":
            channel.offered.add(at)
    match event.type:
        case "leg.created" | "call.started":
            _identify(channel, event)
            channel.parties.append((at, attrs))
        case "party.updated":
            channel.parties.append((at, attrs))
        case "offer.started":
            _identify(channel, event)
            channel.dialled = _least(channel.dialled, attrs.get("dialled"))
            channel.dialled_e164 = _least(channel.dialled_e164, attrs.get("dialled_e164"))
            if event.peer_leg_key:
                channel.linked = True
                channel.dialled_by.add(event.peer_leg_key)
        case "offer.ended" | "leg.ended":
            _note_end(channel, event)
        case "bridge.joined":
            channel.linked = True
            channel.joins[str(attrs.get("bridge"))].add(at)
        case "bridge.left":
            channel.leaves[str(attrs.get("bridge"))].add(at)
        case "queue.entered" | "queue.requested":
            channel.queued = True
            channel.onward_at.add(at)
        case _:
            pass


def _note_end(channel: Channel, event: CallEvent) -> None:
    if event.type == "leg.ended":
        channel.causes.append((event.occurred_at, int(event.attrs.get("cause") or 0)))
    result = event.attrs.get("result")
    if result == "answered":
        channel.answered.add(event.occurred_at)
    elif result:
        channel.results.add(str(result))


def _identify(channel: Channel, event: CallEvent) -> None:
    """Note who the channel is. Should two events disagree, the lesser text wins, not the later."""
    channel.extension = _least(channel.extension, event.extension)
    channel.kind = _least(channel.kind, event.attrs.get("kind"))
    pair = event.attrs.get("pair")
    if pair and _least(channel.pair, pair) == pair:
        channel.pair, channel.half = str(pair), int(event.attrs.get("half") or 0)


def _least(known: str | None, said: Any) -> str | None:
    if not said:
        return known
    text = str(said)
    return text if known is None or text < known else known
