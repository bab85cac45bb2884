"""FreeSWITCH's events to CallEvents, and its list of channels to a PbxSnapshot.

connectors.esl ─▶ FreeswitchNormaliser ─▶ pipeline. Each event is translated by itself; its id is
derived from the core's uuid and Event-Sequence, which restarts with the core.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from ingest.framing.digits import parse_int
from ingest.model.clock import from_epoch, is_plausible
from ingest.model.events import CallEvent, EventType, TimeQuality, derive_id
from ingest.model.native_payload import with_native
from ingest.model.recording_events import is_location
from ingest.model.snapshot import PbxSnapshot, bridge_joined, derived_event
from ingest.normalise.asterisk_dialect import clean, shorten
from ingest.normalise.dialled import dialled_number, forwarded_to
from ingest.normalise.freeswitch_agents import agent_status
from ingest.normalise.freeswitch_loopback import (
    LoopbackHalf,
    half_of,
    halves_in,
    is_half,
    replaced_by,
)
from ingest.normalise.freeswitch_mailboxes import mailbox
from ingest.normalise.freeswitch_parking import PARK_EVENTS, VALET_EVENTS, park, valet
from ingest.normalise.freeswitch_sides import (
    called_number,
    diverted_by,
    rung_under,
    side_of,
    user_of,
)
from ingest.normalise.freeswitch_transfers import EventParts, transferred, transfers
from ingest.normalise.numbers import did_attrs, e164, party_number
from ingest.normalise.sides import Side

EXTENSION = r"^(?:sofia/[^/]+|verto\.rtc|user|loopback)/(?:sip:)?(\d{2,6})(?=@|/|-|$)"
"""Group 1 is the extension, in a channel's name: `sofia/internal/1001@10.0.0.5`."""

Fields = Mapping[str, str]

RESULTS = {
    "ORIGINATOR_CANCEL": "canceled",
    "LOSE_RACE": "answered_elsewhere",
    "PICKED_OFF": "answered_elsewhere",
    "USER_BUSY": "busy",
    "NO_ANSWER": "no_answer",
    "NO_USER_RESPONSE": "no_answer",
    "CALL_REJECTED": "rejected",
}
"""Causes that are not in Q.850, and those that mean more than its number."""
REDIRECTED = "REDIRECTION_TO_NEW_DESTINATION"
"""The cause of a telephone that answers with SIP's 302."""
BY_ITSELF = {
    "recv_bye": True, "recv_cancel": True,
    "send_bye": False, "send_cancel": False, "send_refuse": False,
}  # fmt: skip
"""SIP's end of a leg → whether its telephone hung up; one that refuses a call does not end it."""
QUEUE_ENDS = {
    "TIMEOUT": "timeout",
    "NO_AGENT_TIMEOUT": "leave_empty",
    "EXIT_WITH_KEY": "key",
}
CHANNEL_EVENTS = (
    "CHANNEL_CREATE", "CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA", "CHANNEL_ANSWER",
    "CHANNEL_BRIDGE", "CHANNEL_UNBRIDGE", "CHANNEL_HOLD", "CHANNEL_UNHOLD",
    "CHANNEL_HANGUP_COMPLETE", "RECORD_START", "RECORD_STOP", *PARK_EVENTS,
)  # fmt: skip
QUEUE_EVENTS = "callcenter::info"
LONGEST_WAIT_S = 7 * 24 * 3600
LEG_TYPES = frozenset(("leg.created", "leg.ringing", "leg.answered"))
PLAIN: dict[str, EventType] = {
    "CHANNEL_ANSWER": "leg.answered",
    "CHANNEL_HOLD": "leg.hold_on",
    "CHANNEL_UNHOLD": "leg.hold_off",
}


class FreeswitchNormaliser:
    """For one connection: one source, events in their order."""

    def __init__(
        self,
        source: str,
        *,
        region: str | None = None,
        extension: str = EXTENSION,
        trunk: str | None = None,
        keep_native: bool = False,
    ) -> None:
        self._source = source
        self._region = region
        self._extension = re.compile(extension)
        self._trunk = re.compile(trunk) if trunk else None
        self._keep_native = keep_native

    event_names = (*CHANNEL_EVENTS, "CUSTOM", QUEUE_EVENTS, VALET_EVENTS)
    """What FreeSWITCH is asked to send."""

    def events(self, fields: Fields, received_at: datetime) -> list[CallEvent]:
        """Translate one event; most give no CallEvent."""
        name = fields.get("Event-Name", "")
        translate = TRANSLATE.get(name)
        if translate is None:
            return []
        at, quality = _time(fields, received_at)
        events = [
            CallEvent(
                event_id=self._id(fields, at, kind, leg),
                source=self._source,
                type=kind,
                occurred_at=at,
                time_quality=quality,
                native_type=fields.get("CC-Action") or name,
                leg_key=leg or None,
                **_with_call_id(kind, more, fields),
            )
            for kind, leg, more in translate(self, fields)
            if leg or kind.startswith("agent.")
        ]
        return with_native(events, fields) if self._keep_native else events

    def _id(self, fields: Fields, at: datetime, kind: EventType, leg: str) -> UUID:
        """Derive an id from the event; of a transfer from its leg, as several events report it."""
        if kind.startswith("transfer."):
            return derive_id(self._source, f"{kind}|{leg}")
        sequence = fields.get("Event-Sequence") or at.isoformat()
        return derive_id(self._source, f"{fields.get('Core-UUID')}|{sequence}|{kind}|{leg}")

    # --- channels --------------------------------------------------------------------------------

    def create(self, fields: Fields) -> Iterator[EventParts]:
        """Translate a new leg and, if it is rung, who rings it."""
        leg, outbound = fields.get("Unique-ID", ""), fields.get("Call-Direction") == "outbound"
        half = half_of(fields)
        side, extension = self._identity(fields, half)
        dialled = clean(dialled_number(fields.get("Caller-Destination-Number", "")))
        number = dialled if outbound else clean(fields.get("Caller-Caller-ID-Number"))
        name = clean(fields.get("Caller-Caller-ID-Name")) if not outbound else None
        attrs = self._party(number, name) | ({"kind": side} if side else {})
        attrs |= half.attrs if half else {}
        attrs |= {} if outbound else did_attrs(called_number(fields), self._region)
        originator = _originator(fields) if outbound else None
        if outbound and originator is None:
            attrs |= self._shown(fields)
        call_key = fields.get("Channel-Call-UUID") or None
        yield "leg.created", leg, {"call_key": call_key, "extension": extension, "attrs": attrs}
        if outbound:
            rings = {"dialled": dialled, "dialled_e164": e164(dialled, self._region), "kind": side,
                     "forwarded_from": diverted_by(fields), "exten": clean(rung_under(fields)),
                     "ring_group": clean(fields.get("variable_dialed_group"))}  # fmt: skip
            yield "offer.started", leg, {
                "peer_leg_key": originator,
                "extension": extension,
                "attrs": {key: value for key, value in rings.items() if value},
            }  # fmt: skip
        if half:
            yield from half.linked(leg)

    def _shown(self, fields: Fields) -> dict[str, Any]:
        """Return the number that `originate` shows on a telephone: the one to be called next."""
        number = clean(fields.get("Caller-Caller-ID-Number"))
        shown = {"shown": number, "shown_e164": e164(number, self._region)}
        return {name: value for name, value in shown.items() if value}

    def ringing(self, fields: Fields) -> Iterator[EventParts]:
        """Translate ringing of legs that are rung; an inbound channel's is its caller's tone."""
        if fields.get("Call-Direction") == "outbound":
            yield "leg.ringing", fields.get("Unique-ID", ""), {}

    def plain(self, fields: Fields) -> Iterator[EventParts]:
        """Translate what a telephone does. A loopback channel does nothing: it is answered by one.

        Or by a program, a mailbox for example, which is no answer.
        """
        leg = fields.get("Unique-ID", "")
        if half := half_of(fields):
            yield from half.linked(leg)
        else:
            yield PLAIN[fields["Event-Name"]], leg, {}

    def bridge(self, fields: Fields) -> Iterator[EventParts]:
        """Translate a bridge: both sides enter or leave it; FreeSWITCH gives it no id."""
        one = fields.get("Bridge-A-Unique-ID") or fields.get("Unique-ID", "")
        other = fields.get("Bridge-B-Unique-ID") or fields.get("Other-Leg-Unique-ID", "")
        if not (one and other):
            return
        joined = fields["Event-Name"] == "CHANNEL_BRIDGE"
        for leg in (one, other):
            attrs = {"bridge": pair(one, other)}
            yield "bridge.joined" if joined else "bridge.left", leg, {"attrs": attrs}
        yield from transfers(fields)

    def hangup(self, fields: Fields) -> Iterator[EventParts]:
        cause = parse_int(fields.get("variable_hangup_cause_q850"), 3) or 0
        attrs: dict[str, Any] = {"cause": cause}
        if result := RESULTS.get(fields.get("Hangup-Cause", "")):
            attrs["result"] = result
        elif transferred(fields):
            attrs["result"] = "transferred"
        if fields.get("Hangup-Cause") == REDIRECTED:
            to = forwarded_to(fields.get("variable_sip_redirected_to", ""))
            attrs |= {"forward": to} if to else {}
        by_itself = BY_ITSELF.get(fields.get("variable_sip_hangup_disposition", ""))
        if by_itself is not None:
            attrs["hung_up"] = by_itself
        leg = fields.get("Unique-ID", "")
        if half := half_of(fields):
            yield from half.linked(leg)
            yield "leg.ended", leg, {"attrs": attrs | replaced_by(fields)}
            return
        if room := shorten(fields.get("variable_conference_name")):
            attrs["conference"] = room
        yield "leg.ended", leg, {"attrs": attrs}
        yield from mailbox(fields)
        yield from transfers(fields)

    def record(self, fields: Fields) -> Iterator[EventParts]:
        """Translate a recording: its path is also its name, complete once it has stopped."""
        path = fields.get("Record-File-Path", "")
        if not is_location(path):
            return
        attrs: dict[str, Any] = {"recording": path, "url": path}
        stopped = fields["Event-Name"] == "RECORD_STOP"
        lasted = parse_int(fields.get("variable_record_ms"), 9)
        if stopped and lasted is not None:
            attrs["duration_ms"] = lasted
        kind: EventType = "recording.stopped" if stopped else "recording.started"
        yield kind, fields.get("Unique-ID", ""), {"attrs": attrs}

    def park(self, fields: Fields) -> Iterator[EventParts]:
        yield from park(fields)

    def custom(self, fields: Fields) -> Iterator[EventParts]:
        """Translate the events of modules."""
        match fields.get("Event-Subclass"):
            case "callcenter::info":
                yield from self.queue(fields)
            case "valet_parking::info":
                yield from valet(fields)
            case _:
                return

    # --- mod_callcenter --------------------------------------------------------------------------

    def queue(self, fields: Fields) -> Iterator[EventParts]:
        caller, queue = fields.get("CC-Member-Session-UUID", ""), shorten(fields.get("CC-Queue"))
        match fields.get("CC-Action"):
            case "member-queue-start" | "member-queue-resume":
                yield "queue.entered", caller, {"queue": queue}
            case "bridge-agent-start":
                peer = fields.get("CC-Agent-UUID") or None
                more = {"queue": queue, "peer_leg_key": peer, "attrs": _waited(fields)}
                yield "queue.connected", caller, more
            case "agent-status-change":
                yield from agent_status(fields)
            case "member-queue-end":
                yield from _left_queue(fields, caller, queue)
            case _:
                return

    # --- snapshot --------------------------------------------------------------------------------

    def snapshot(self, rows: Sequence[Fields], taken_at: datetime) -> PbxSnapshot:
        """Read the answer to `show channels as json`; it does not contain queues."""
        talking: dict[str, list[Fields]] = defaultdict(list)
        for row in rows:
            if _is_talking(row) and row.get("call_uuid"):
                talking[row["call_uuid"]].append(row)
        halves = halves_in(rows)
        facts = [fact for row in rows for fact in self._channel_facts(row, halves, taken_at)]
        for together in (some for some in talking.values() if len(some) == 2):
            one, other = legs = [row["uuid"] for row in together]
            bridge = pair(one, other)
            facts += [bridge_joined(self._source, bridge, taken_at, leg_key=leg) for leg in legs]
        alive = frozenset(row["uuid"] for row in rows if row.get("uuid"))
        return PbxSnapshot(taken_at=taken_at, alive=alive, facts=tuple(facts))

    def _channel_facts(
        self, row: Fields, halves: Mapping[str, LoopbackHalf], taken_at: datetime
    ) -> Iterator[CallEvent]:
        leg, outbound = row.get("uuid"), row.get("direction") == "outbound"
        half = halves.get(leg or "")
        if not leg or (half is None and is_half(row.get("name", ""))):
            return
        epoch = parse_int(row.get("created_epoch"), 11)
        began_at = taken_at if epoch is None else min(taken_at, from_epoch(epoch))
        dialled = clean(dialled_number(row.get("dest", "")))
        who = self._party(dialled if outbound else clean(row.get("cid_num")), None)
        side, extension = self._identity({"Channel-Name": row.get("name", "")}, half)
        who |= {"kind": side} if side else half.attrs if half else {}
        identity = {"extension": extension, "attrs": who}
        named = {"leg_key": leg, "call_key": row.get("call_uuid") or None}
        yield derived_event(self._source, "leg.created", began_at, **named, **identity)
        if outbound:
            yield derived_event(self._source, "offer.started", began_at, **named, **identity)
        if outbound and row.get("callstate") in {"RINGING", "EARLY"}:
            yield derived_event(self._source, "leg.ringing", taken_at, **named)
        if half:
            linked = {"leg_key": leg, "peer_leg_key": half.other, "attrs": half.attrs}
            yield derived_event(self._source, "call.linked", began_at, **linked)
        elif _is_talking(row):
            yield derived_event(self._source, "leg.answered", taken_at, **named)

    def _identity(
        self, fields: Fields, half: LoopbackHalf | None
    ) -> tuple[Side | None, str | None]:
        """Return whose the leg is, if the PBX says so, and its extension if it is ours.

        A loopback's dialled half stands for whom its name says; the other one for nobody.
        """
        channel = fields.get("Channel-Name", "")
        if half:
            named = self._extension.match(channel) if half.number == 1 else None
            return None, named[1] if named else None
        side = "external" if self._trunk and self._trunk.search(channel) else side_of(fields)
        found = self._extension.match(channel)
        if side == "external":
            return side, None
        return side, found[1] if found else user_of(fields) if side else None

    def _party(self, number: str | None, name: str | None) -> dict[str, Any]:
        attrs = {**party_number(number, self._region), "name": name}
        return {key: value for key, value in attrs.items() if value}


TRANSLATE: dict[str, Callable[[FreeswitchNormaliser, Fields], Iterator[EventParts]]] = {
    "CHANNEL_CREATE": FreeswitchNormaliser.create,
    "CHANNEL_PROGRESS": FreeswitchNormaliser.ringing,
    "CHANNEL_PROGRESS_MEDIA": FreeswitchNormaliser.ringing,
    "CHANNEL_ANSWER": FreeswitchNormaliser.plain,
    "CHANNEL_BRIDGE": FreeswitchNormaliser.bridge,
    "CHANNEL_UNBRIDGE": FreeswitchNormaliser.bridge,
    "CHANNEL_HOLD": FreeswitchNormaliser.plain,
    "CHANNEL_UNHOLD": FreeswitchNormaliser.plain,
    "CHANNEL_HANGUP_COMPLETE": FreeswitchNormaliser.hangup,
    "RECORD_START": FreeswitchNormaliser.record,
    "RECORD_STOP": FreeswitchNormaliser.record,
    "CHANNEL_PARK": FreeswitchNormaliser.park,
    "CHANNEL_UNPARK": FreeswitchNormaliser.park,
    "CUSTOM": FreeswitchNormaliser.custom,
}


def pair(one: str, other: str) -> str:
    """Return an id for the bridge of two legs, the same from either side."""
    return "+".join(sorted((one, other)))


def _originator(fields: Fields) -> str | None:
    """Return who rings this leg; Channel-Call-UUID is the leg itself until they are bridged.

    mod_callcenter rings an agent itself, and names the caller only in a variable.
    """
    if fields.get("Other-Type") == "originator" and fields.get("Other-Leg-Unique-ID"):
        return fields["Other-Leg-Unique-ID"]
    named = (fields.get(f"variable_{name}") for name in ("originator", "cc_member_session_uuid"))
    return next((found for found in named if found), None)


def _time(fields: Fields, received_at: datetime) -> tuple[datetime, TimeQuality]:
    stamp = parse_int(fields.get("Event-Date-Timestamp"), 17)
    at = None if stamp is None else from_epoch(stamp / 1_000_000)
    return (at, "pbx") if at and is_plausible(at, received_at) else (received_at, "received")


def _with_call_id(kind: EventType, more: dict[str, Any], fields: Fields) -> dict[str, Any]:
    call_id = shorten(fields.get("variable_sip_call_id"))
    if not call_id or kind not in LEG_TYPES:
        return more
    return {**more, "attrs": {**more.get("attrs", {}), "sip_call_id": call_id}}


def _waited(fields: Fields) -> dict[str, Any]:
    joined = parse_int(fields.get("CC-Member-Joined-Time"), 11)
    answered = parse_int(fields.get("CC-Agent-Answered-Time"), 11)
    if joined is None or answered is None or answered - joined > LONGEST_WAIT_S:
        return {}
    return {"waited_s": max(0, answered - joined)}


def _left_queue(fields: Fields, caller: str, queue: str | None) -> Iterator[EventParts]:
    """Translate the end of waiting. BREAK_OUT is the caller's hanging up, and a transfer, too."""
    reason = fields.get("CC-Cancel-Reason", "") if fields.get("CC-Cause") == "Cancel" else ""
    by = {"by": "caller"} if reason == "BREAK_OUT" else {}
    yield "queue.left", caller, {"queue": queue, "attrs": by}
    if outcome := QUEUE_ENDS.get(reason):
        yield "queue.outcome", caller, {"queue": queue, "attrs": {"outcome": outcome}}


def _is_talking(row: Fields) -> bool:
    return row.get("callstate") in {"ACTIVE", "HELD"}
