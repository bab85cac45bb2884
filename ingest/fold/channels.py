"""The facts about one PBX channel, kept as sets and minima, so the order of arrival has no effect.

event_log ─▶ add_event ─▶ PbxChannel ─▶ legs. Nothing is decided here. A channel is no leg while
only its caller id is known, or only late events about its end have arrived.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ingest.fold.event_order import Moment, moment
from ingest.model.events import WEBHOOK, CallEvent

BEARS_A_LEG = frozenset(
    (
        "call.started",
        "leg.created",
        "leg.ringing",
        "leg.answered",
        "bridge.joined",
        "offer.started",
        "queue.entered",
        "queue.requested",
    )
)
TIMES = {
    "leg.ringing": "ringing",
    "leg.answered": "answered",
    "offer.started": "offered",
}
"""Event type → the set its time belongs to."""
MOMENTS = {
    "leg.hold_on": "holds",
    "leg.hold_off": "unholds",
    "leg.music_on": "music_on",
    "leg.music_off": "music_off",
}
"""Event type → the set its moment belongs to: a hold may begin and end within one second."""

Times = AbstractSet[datetime]
Moments = AbstractSet[Moment]
BridgeMoments = dict[str, set[Moment]]
"""Bridge → moments."""

ParkingFact = tuple[Moment, str, str, str]
"""A moment; the slot, or how it ended; the extension and the channel of who parked or picked up."""

NUMBER = re.compile(r"\+?\d{2,40}", re.ASCII)

EMPTY: frozenset[Any] = frozenset()
"""No facts. Most of a channel's sets stay empty, and a set takes 216 bytes."""


@dataclass(slots=True)
class PbxChannel:
    key: str
    pair: str | None = None
    """The Local or loopback channel it is one half of."""
    half: int = 0
    extension: str | None = None
    kind: str | None = None
    dialled: str | None = None
    """The number that was dialled to reach it."""
    dialled_e164: str | None = None
    did: str | None = None
    """The number of ours that it dialled to call in."""
    linked: bool = False
    """Another channel dialled it, was dialled by it, or shares a bridge with it."""
    queued: bool = False
    """It entered a queue."""
    started: bool = False
    """A PBX that posts events names it as the one with which the call began."""
    guest_ms: int | None = None
    """Another caller's call has it, too; how long it talks in time that is counted there."""
    placed: bool = False
    """The PBX itself rang it: it reports the ringing, and nobody who dialled."""
    member: bool = False
    """A queue rang it as one of its members."""
    dialled_by: AbstractSet[str] = EMPTY
    onward_at: Times = EMPTY
    """When it entered a queue, or rang somebody."""
    seen: Times = EMPTY
    """When it certainly existed. Empty when only late events named it: then it is no leg."""
    offered: Times = EMPTY
    ringing: Times = EMPTY
    answered: Times = EMPTY
    ended: Times = EMPTY
    rung_under: AbstractSet[str] = EMPTY
    """The extensions of the dialplan in which it was rung."""
    groups: AbstractSet[tuple[Moment, str]] = EMPTY
    """The ring groups that it entered, or of which it was rung."""
    forwarded_from: str | None = None
    """The extension that forwarded the call to it, if the PBX says so itself."""
    forwards: AbstractSet[str] = EMPTY
    """The numbers to which it forwarded the call."""
    hung_up: Times = EMPTY
    """When the other end of it hung up, and not the PBX."""
    hang_up_told: bool = False
    """The PBX tells who hangs up: without a time in `hung_up`, it was the PBX."""
    lost: Times = EMPTY
    """When it was given up as lost, without an end from the PBX; such an end takes precedence."""
    holds: Moments = EMPTY
    unholds: Moments = EMPTY
    music_on: Moments = EMPTY
    music_off: Moments = EMPTY
    rooms: AbstractSet[str] = EMPTY
    """Of its bridges, those in which somebody may be alone: conferences."""
    conferences: AbstractSet[tuple[Moment, str]] = EMPTY
    """Names of conferences that it was in, and when."""
    results: AbstractSet[str] = EMPTY
    causes: AbstractSet[tuple[Moment, int]] = EMPTY
    sip_call_ids: AbstractSet[tuple[Moment, bytes, str]] = EMPTY
    """Each with the moment and id of its event."""
    mailboxes: AbstractSet[tuple[Moment, str]] = EMPTY
    """Mailboxes that it reached, and when."""
    messages: AbstractSet[bool] = EMPTY
    """Whether it left a message there, each time that the PBX tells."""
    parked: AbstractSet[ParkingFact] = EMPTY
    unparked: AbstractSet[ParkingFact] = EMPTY
    joins: BridgeMoments = field(default_factory=dict)
    leaves: BridgeMoments = field(default_factory=dict)
    parties: Sequence[CallEvent] = ()
    """Events with caller ids, in order of arrival."""
    filled: list[str] = field(default_factory=list)
    """The names of the sets that have facts: 7 of 24, on average of the recordings."""

    def ended_at(self, closed_at: datetime | None) -> datetime | None:
        """Return when it ended: by its own event, else with its call, else when it was lost."""
        return min(self.ended or (closed_at and (closed_at,)) or self.lost, default=None)

    @property
    def onward(self) -> bool:
        """Whether it leads on: to another channel or into a queue."""
        return self.linked or self.queued

    def add(self, name: str, fact: object) -> None:
        """Add a fact to the set of this name."""
        facts = getattr(self, name)
        if facts is EMPTY:
            setattr(self, name, {fact})
            self.filled.append(name)
        else:
            facts.add(fact)


def merge_halves(halves: list[PbxChannel]) -> PbxChannel:
    """Return the facts of a telephone: of its channel, or of both halves of a Local pair."""
    if len(halves) == 1:
        return halves[0]
    merged = PbxChannel(halves[0].key, pair=halves[0].pair)
    for half in halves:
        merged.extension = _least(merged.extension, half.extension)
        merged.kind = _least(merged.kind, half.kind)
        merged.dialled = _least(merged.dialled, half.dialled)
        merged.dialled_e164 = _least(merged.dialled_e164, half.dialled_e164)
        merged.did = _least(merged.did, half.did)
        merged.forwarded_from = _least(merged.forwarded_from, half.forwarded_from)
        merged.placed = merged.placed or half.placed
        merged.started = merged.started or half.started
        merged.parties = [*merged.parties, *half.parties]
        for name in half.filled:
            facts, known = getattr(half, name), getattr(merged, name)
            setattr(merged, name, facts if known is EMPTY else known | facts)
    return merged


def add_event(channels: dict[str, PbxChannel], event: CallEvent) -> None:
    """Add the facts of an event to its channel, and to the other channel that it names."""
    if event.leg_key is None:
        return
    channel, kind = _channel(channels, event.leg_key), event.type
    at, attrs = event.occurred_at, event.attrs
    if kind in BEARS_A_LEG:
        channel.add("seen", at)
    if name := TIMES.get(kind):
        channel.add(name, at)
    elif name := MOMENTS.get(kind):
        channel.add(name, moment(event))
    if call_id := attrs.get("sip_call_id"):
        channel.add("sip_call_ids", (moment(event), event.event_id.bytes, str(call_id)))
    if event.native_type == WEBHOOK and kind in {"leg.ringing", "leg.answered"}:
        # A PBX that posts events may name the telephone here and nowhere else, and a telephone
        # that rings is called. Asterisk reports calls itself, and rings a caller's telephone, too.
        channel.extension = _least(channel.extension, event.extension)
        if kind == "leg.ringing":
            channel.add("offered", at)
    if further := HANDLERS.get(kind):
        further(channel, event)
    if event.peer_leg_key and kind in {"offer.started", "queue.connected"}:
        peer = _channel(channels, event.peer_leg_key)
        peer.linked = True
        peer.add("onward_at", at)


def _channel(channels: dict[str, PbxChannel], key: str) -> PbxChannel:
    """Return the channel. setdefault() would create one for each event: 5 µs an event."""
    channel = channels.get(key)
    if channel is None:
        channel = channels[key] = PbxChannel(key)
    return channel


def _began(channel: PbxChannel, event: CallEvent) -> None:
    _identify(channel, event)
    channel.did = _least(channel.did, _did(event.attrs))
    channel.guest_ms = event.attrs.get("guest_ms", channel.guest_ms)
    _renamed(channel, event)


def _started(channel: PbxChannel, event: CallEvent) -> None:
    channel.started = True
    _began(channel, event)


def _renamed(channel: PbxChannel, event: CallEvent) -> None:
    _named_conference(channel, event)
    if isinstance(channel.parties, list):
        channel.parties.append(event)
    else:
        channel.parties = [event]


def _did(attrs: Mapping[str, Any]) -> str | None:
    """Return the number that a call in dialled; `s`, `h` and names of menus are none.

    PBXs that post events call it `dialled`.
    """
    for name in ("exten", "dialled"):
        said = attrs.get(name)
        if said and (valid := attrs.get(f"{name}_e164")):
            return str(valid)
        if said and NUMBER.fullmatch(str(said)):
            return str(said)
    return None


def _offered(channel: PbxChannel, event: CallEvent) -> None:
    _identify(channel, event)
    channel.dialled = _least(channel.dialled, event.attrs.get("dialled"))
    channel.dialled_e164 = _least(channel.dialled_e164, event.attrs.get("dialled_e164"))
    channel.member |= "interface" in event.attrs
    if exten := event.attrs.get("exten"):
        channel.add("rung_under", str(exten))
    _grouped(channel, event)
    if event.peer_leg_key:
        channel.linked = True
        channel.add("dialled_by", event.peer_leg_key)
    elif event.time_quality != "derived" and event.native_type != WEBHOOK:
        # A snapshot does not know who dialled, and a PBX that posts may leave it out.
        channel.placed = True


def _offer_ended(channel: PbxChannel, event: CallEvent) -> None:
    result = event.attrs.get("result")
    if result == "answered":
        channel.add("answered", event.occurred_at)
    elif result:
        channel.add("results", str(result))
    if number := event.attrs.get("forward"):
        channel.add("forwards", str(number))


def _ended(channel: PbxChannel, event: CallEvent) -> None:
    if event.time_quality == "derived" and event.attrs.get("result") == "lost":
        channel.add("lost", event.occurred_at)
        return
    if event.attrs.get("replaced_by"):
        channel.linked = True
    _named_conference(channel, event)
    channel.add("ended", event.occurred_at)
    channel.add("causes", (moment(event), int(event.attrs.get("cause") or 0)))
    _offer_ended(channel, event)
    _hang_up(channel, event)


def _hung_up(channel: PbxChannel, event: CallEvent) -> None:
    channel.hang_up_told = True
    channel.add("hung_up", event.occurred_at)


def _hang_up(channel: PbxChannel, event: CallEvent) -> None:
    """Add what an end says about who hung up; Asterisk says it by an event of its own."""
    by_itself = event.attrs.get("hung_up")
    if by_itself:
        _hung_up(channel, event)
    elif by_itself is not None or "hang_up_told" in event.attrs:
        channel.hang_up_told = True


def _joined(channel: PbxChannel, event: CallEvent) -> None:
    channel.linked = True
    _add_bridge_moment(channel.joins, event)
    if event.attrs.get("room"):
        channel.add("rooms", str(event.attrs["bridge"]))
        _named_conference(channel, event)


def _named_conference(channel: PbxChannel, event: CallEvent) -> None:
    if name := event.attrs.get("conference"):
        channel.add("conferences", (moment(event), str(name)))


def _paired(channel: PbxChannel, event: CallEvent) -> None:
    if pair := event.attrs.get("pair"):
        named = str(pair), int(event.attrs.get("half") or 0)
        if channel.pair is None or named < (channel.pair, channel.half):
            channel.pair, channel.half = named


def _grouped(channel: PbxChannel, event: CallEvent) -> None:
    if name := event.attrs.get("ring_group"):
        channel.add("groups", (moment(event), str(name)))


def _left(channel: PbxChannel, event: CallEvent) -> None:
    _add_bridge_moment(channel.leaves, event)
    _hang_up(channel, event)


def _queued(channel: PbxChannel, event: CallEvent) -> None:
    channel.queued = True
    channel.add("onward_at", event.occurred_at)


def _reached_mailbox(channel: PbxChannel, event: CallEvent) -> None:
    channel.add("mailboxes", (moment(event), str(event.attrs.get("mailbox") or "")))


def _parked(channel: PbxChannel, event: CallEvent) -> None:
    channel.add("parked", _parking_fact(event, "slot"))


def _unparked(channel: PbxChannel, event: CallEvent) -> None:
    channel.add("unparked", _parking_fact(event, "reason"))


def _parking_fact(event: CallEvent, what: str) -> ParkingFact:
    attrs = event.attrs
    by, peer = str(attrs.get("by") or ""), event.peer_leg_key or ""
    return moment(event), str(attrs.get(what) or ""), by, peer


def _left_mailbox(channel: PbxChannel, event: CallEvent) -> None:
    if message := event.attrs.get("message"):
        channel.add("messages", message == "left")


HANDLERS: dict[str, Callable[[PbxChannel, CallEvent], None]] = {
    "call.started": _started,
    "leg.created": _began,
    "party.updated": _renamed,
    "offer.started": _offered,
    "offer.ended": _offer_ended,
    "leg.hung_up": _hung_up,
    "leg.ended": _ended,
    "call.linked": _paired,
    "bridge.joined": _joined,
    "bridge.left": _left,
    "group.entered": _grouped,
    "queue.entered": _queued,
    "queue.requested": _queued,
    "call.parked": _parked,
    "call.unparked": _unparked,
    "voicemail.started": _reached_mailbox,
    "voicemail.ended": _left_mailbox,
}
"""Event type → how to add its facts other than its time."""


def _identify(channel: PbxChannel, event: CallEvent) -> None:
    """Add who the channel is. When events disagree, the smaller text wins, not the later one."""
    attrs = event.attrs
    channel.extension = _least(channel.extension, event.extension)
    channel.kind = _least(channel.kind, attrs.get("kind"))
    channel.forwarded_from = _least(channel.forwarded_from, attrs.get("forwarded_from"))
    _paired(channel, event)


def _add_bridge_moment(stays: BridgeMoments, event: CallEvent) -> None:
    stays.setdefault(str(event.attrs.get("bridge")), set()).add(moment(event))


def _least(known: str | None, value: Any) -> str | None:
    if not value:
        return known
    text = str(value)
    return text if known is None or text < known else known
