"""Asterisk's manager events, one function each: fields ─▶ Fact.

normalise.asterisk ─▶ TRANSLATE. The meaning of an event is decided here; id and time are not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ingest.framing.digits import parse_int
from ingest.model.events import EventType
from ingest.model.recording_events import is_location
from ingest.normalise.asterisk_agents import AGENTS
from ingest.normalise.asterisk_dialect import DialectReader, Fact, Fields, clean, shorten
from ingest.normalise.asterisk_parking import PARKING
from ingest.normalise.dialled import dialled_in, forwarded_to
from ingest.normalise.numbers import e164

GROUPS = "ext-group"
"""FreePBX's context of ring groups; the extension is the group."""
CONFIRMING = re.compile(r"Local/RG-(\w+)-\w+@")
"""FreePBX dials a member of a group that must accept by key: `Local/RG-600-301@from-internal`."""
LOCAL = re.compile(r"^(Local/.+-[0-9a-f]+);([12])$")

QUEUE_STATUS = {
    "TIMEOUT": "timeout",
    "LEAVEEMPTY": "leave_empty",
    "LEAVEUNAVAIL": "leave_empty",
    "JOINEMPTY": "join_empty",
    "JOINUNAVAIL": "join_empty",
    "FULL": "full",
    "WITHDRAW": "withdrawn",
}
MAILBOXES = frozenset(("VoiceMail", "MinivmRecord"))
"""Applications in which a caller can leave a message. In VoiceMailMain an employee listens."""
MAILBOX_STATUS = frozenset(("VMSTATUS", "MVM_RECORD_STATUS"))
"""Variables that those set as they end: SUCCESS when a message was left."""
SIP_CALL_ID = frozenset(("SIPCALLID", "SIP_CALL_ID", "WAZO_SIP_CALL_ID"))
"""chan_sip sets the first itself; with PJSIP the dialplan must set one of them."""

DIAL_STATUS = {
    "ANSWER": "answered",
    "BUSY": "busy",
    "NOANSWER": "no_answer",
    "CANCEL": "canceled",
    "CONGESTION": "failed",
    "CHANUNAVAIL": "failed",
}


def _fact(
    event_type: EventType,
    fields: Fields,
    *,
    prefix: str = "",
    peer: str = "",
    extension: str | None = None,
    **attrs: Any,
) -> Fact:
    """Create a fact about the channel whose fields begin with prefix (`Dest…`, `Transferer…`)."""
    return Fact(
        type=event_type,
        call_key=fields.get(f"{prefix}Linkedid", ""),
        leg_key=fields.get(f"{prefix}Uniqueid", ""),
        peer_leg_key=peer,
        queue=fields.get("Queue", ""),
        extension=extension,
        attrs=attrs,
    )


# --- channels --------------------------------------------------------------------------------


def _created(reader: DialectReader, fields: Fields) -> Fact:
    channel, side = fields.get("Channel", ""), reader.side_of(fields)
    exten = clean(fields.get("Exten"))
    return _fact(
        "leg.created",
        fields,
        extension=None if side == "external" else reader.extension_of(channel),
        kind=side,
        exten=exten,
        exten_e164=None if side == "agent" else e164(exten, reader.dialect.region),
        **_local_half(channel),
        **reader.party(fields),
    )


def _caller_id(reader: DialectReader, fields: Fields) -> Fact | None:
    party = reader.party(fields)
    return _fact("party.updated", fields, **party) if any(party.values()) else None


def _state(_: DialectReader, fields: Fields) -> Fact | None:
    match fields.get("ChannelStateDesc"):
        case "Ringing":
            return _fact("leg.ringing", fields)
        case "Up":
            return _fact("leg.answered", fields)
        case _:
            return None


def _hangup(_: DialectReader, fields: Fields) -> Fact:
    cause = parse_int(fields.get("Cause"), 3) or 0
    return _fact("leg.ended", fields, cause=cause, hang_up_told=True)


def _pickup(_: DialectReader, fields: Fields) -> Fact:
    return _fact("call.linked", fields, peer=fields.get("TargetUniqueid", ""))


# --- dialling --------------------------------------------------------------------------------


def _dial_begin(reader: DialectReader, fields: Fields) -> Fact:
    channel = fields.get("DestChannel", "")
    dialled = dialled_in(fields.get("DialString", ""), channel)
    number = shorten(dialled.number)
    outside = dialled.through or reader.is_trunk(channel)
    ours = reader.registrations.of_channel(channel) == "registers"
    return _fact(
        "offer.started",
        fields,
        prefix="Dest",
        peer=fields.get("Uniqueid", ""),
        extension=None if outside else reader.extension_of(channel),
        kind="external" if outside else "agent" if ours else None,
        dialled=number,
        dialled_e164=e164(number, reader.dialect.region),
        exten=clean(fields.get("DestExten")),
        ring_group=found[1] if (found := CONFIRMING.match(channel)) else None,
        **_local_half(channel),
    )


def _agent_called(reader: DialectReader, fields: Fields) -> Fact:
    channel = fields.get("DestChannel", "")
    return _fact(
        "offer.started",
        fields,
        prefix="Dest",
        peer=fields.get("Uniqueid", ""),
        extension=reader.extension_of(channel),
        interface=shorten(fields.get("Interface")),
        member=shorten(fields.get("MemberName")),
        **_local_half(channel),
    )


def _dial_state(_: DialectReader, fields: Fields) -> Fact | None:
    # PROGRESS is SIP's 183: the caller hears the far end's ringing tone, as with most trunks.
    if fields.get("DialStatus") not in {"RINGING", "PROGRESS"}:
        return None
    return _fact("leg.ringing", fields, prefix="Dest")


def _dial_end(_: DialectReader, fields: Fields) -> Fact:
    result = DIAL_STATUS.get(fields.get("DialStatus", ""))
    forward = forwarded_to(fields["Forward"]) if fields.get("Forward") else None
    return _fact("offer.ended", fields, prefix="Dest", result=result, forward=forward)


def _ring_no_answer(_: DialectReader, fields: Fields) -> Fact:
    """RingTime is in milliseconds here and in seconds in AgentConnect: neither is used."""
    return _fact("offer.ended", fields, prefix="Dest", result="no_answer")


def _dumped(_: DialectReader, fields: Fields) -> Fact:
    """Translate an agent's answer and hang-up during the queue's announcement: no answer."""
    return _fact("offer.ended", fields, prefix="Dest", result="dumped")


# --- bridges, hold, transfer -----------------------------------------------------------------


def _bridge(event_type: EventType) -> Callable[[DialectReader, Fields], Fact | None]:
    def translate(_: DialectReader, fields: Fields) -> Fact | None:
        # A holding bridge (parking, ConfBridge's waiting room) is music, not conversation.
        if fields.get("BridgeTechnology") == "holding_bridge":
            return None
        swapped = fields.get("SwapUniqueid", "")
        room = _room(fields) if fields.get("BridgeCreator") == "ConfBridge" else {}
        return _fact(event_type, fields, peer=swapped, bridge=fields.get("BridgeUniqueid"), **room)

    return translate


def _room(fields: Fields) -> dict[str, Any]:
    return {"room": True, "conference": clean(fields.get("BridgeName"))}


def _meetme(_: DialectReader, fields: Fields) -> Fact:
    """Translate that a channel is in a MeetMe: its number is used again, so it is only a name."""
    return _fact("party.updated", fields, conference=shorten(fields.get("Meetme")))


def _plain(event_type: EventType) -> Callable[[DialectReader, Fields], Fact | None]:
    def translate(_: DialectReader, fields: Fields) -> Fact | None:
        return _fact(event_type, fields)

    return translate


def _blind_transfer(_: DialectReader, fields: Fields) -> Fact | None:
    if fields.get("Result") != "Success":
        return None
    return _fact(
        "transfer.blind",
        fields,
        prefix="Transferer",
        peer=fields.get("TransfereeUniqueid", ""),
        to=shorten(fields.get("Extension")),
    )


def _attended_transfer(_: DialectReader, fields: Fields) -> Fact | None:
    """Join the consultation, which began as a call of its own, with the call."""
    if fields.get("Result") != "Success":
        return None
    return _fact(
        "transfer.attended",
        fields,
        prefix="OrigTransferer",
        peer=fields.get("SecondTransfererUniqueid", ""),
        mode="threeway" if fields.get("DestType") == "Threeway" else None,
        target=shorten(fields.get("TransferTargetUniqueid")),
    )


# --- queues ----------------------------------------------------------------------------------


def _application(_: DialectReader, fields: Fields) -> Fact | None:
    """Translate the first step of a ring group, a request to enter a queue, a mailbox that answers.

    A caller whom the queue refuses (full, empty) has no other event.
    """
    if fields.get("Context") == GROUPS and fields.get("Priority") == "1":
        return _fact("group.entered", fields, ring_group=clean(fields.get("Exten")))
    application = fields.get("Application")
    if application in MAILBOXES:
        return _fact("voicemail.started", fields, mailbox=mailbox_of(fields.get("AppData", "")))
    if application != "Queue":
        return None
    fact = _fact("queue.requested", fields)
    fact.queue = fields.get("AppData", "").partition(",")[0]
    return fact


def mailbox_of(arguments: str) -> str:
    """Return the first mailbox in VoiceMail's arguments: `100@default&200,us`."""
    return shorten(arguments.partition(",")[0].partition("&")[0]) or ""


def _variable(_: DialectReader, fields: Fields) -> Fact | None:
    """Only QUEUESTATUS distinguishes a queue that gave up from a caller who did."""
    if fields.get("Variable") in MAILBOX_STATUS:
        message = "left" if fields.get("Value") == "SUCCESS" else "none"
        return _fact("voicemail.ended", fields, message=message)
    if fields.get("Variable") in SIP_CALL_ID:
        return _fact("party.updated", fields, sip_call_id=shorten(fields.get("Value")))
    if fields.get("Variable") == "MIXMONITOR_FILENAME":
        return _recorded_into(fields)
    if fields.get("Variable") != "QUEUESTATUS":
        return None
    outcome = QUEUE_STATUS.get(fields.get("Value", ""))
    return _fact("queue.outcome", fields, outcome=outcome) if outcome else None


def _recorded_into(fields: Fields) -> Fact | None:
    """Set when MixMonitor begins; MixMonitorStart itself does not name the file."""
    path = fields.get("Value", "")
    return (
        _fact("recording.started", fields, recording=path, url=path) if is_location(path) else None
    )


def _message_waiting(_: DialectReader, fields: Fields) -> Fact | None:
    """Translate a message in a mailbox; with a channel, it is who has left it, or listens to it."""
    if fields.get("Waiting") != "1":
        return None
    return _fact("voicemail.ended", fields, message="left")


def _connected(_: DialectReader, fields: Fields) -> Fact:
    """Interface and MemberName are who was rung; who answered is the leg's channel."""
    return _fact(
        "queue.connected",
        fields,
        peer=fields.get("DestUniqueid", ""),
        waited_s=parse_int(fields.get("HoldTime"), 7),
    )


def _completed(_: DialectReader, fields: Fields) -> Fact:
    reason = shorten(fields.get("Reason"))
    return _fact("queue.completed", fields, peer=fields.get("DestUniqueid", ""), reason=reason)


TRANSLATE: dict[str, Callable[[DialectReader, Fields], Fact | None]] = {
    "Newchannel": _created,
    "NewCallerid": _caller_id,
    "Newstate": _state,
    "HangupRequest": _plain("leg.hung_up"),
    "Hangup": _hangup,
    "Pickup": _pickup,
    "DialBegin": _dial_begin,
    "DialState": _dial_state,
    "DialEnd": _dial_end,
    "BridgeEnter": _bridge("bridge.joined"),
    "BridgeLeave": _bridge("bridge.left"),
    "Hold": _plain("leg.hold_on"),
    "Unhold": _plain("leg.hold_off"),
    "MusicOnHoldStart": _plain("leg.music_on"),
    "MusicOnHoldStop": _plain("leg.music_off"),
    "BlindTransfer": _blind_transfer,
    "AttendedTransfer": _attended_transfer,
    "Newexten": _application,
    "VarSet": _variable,
    "AgentCalled": _agent_called,
    "AgentRingNoAnswer": _ring_no_answer,
    "AgentDump": _dumped,
    "AgentConnect": _connected,
    "AgentComplete": _completed,
    "QueueCallerJoin": _plain("queue.entered"),
    "QueueCallerLeave": _plain("queue.left"),
    "QueueCallerAbandon": _plain("queue.abandoned"),
    **AGENTS,
    **PARKING,
    "MessageWaiting": _message_waiting,
    "MeetmeJoin": _meetme,
    "MixMonitorStart": _plain("recording.started"),
    "MixMonitorStop": _plain("recording.stopped"),
}
"""Without SoftHangupRequest: the PBX itself hangs up, which follows from no HangupRequest. Both
have a cause, and neither ends a channel."""


def _local_half(channel: str) -> dict[str, Any]:
    """Return which half of which Local pair it is; the fold decides whether it is a telephone."""
    local = LOCAL.match(channel)
    return {"pair": shorten(local[1]), "half": int(local[2])} if local else {}
