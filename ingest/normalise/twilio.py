"""Twilio's voice status callbacks to CallEvents.

HTTP endpoint (after the signature) ─▶ twilio_events ─▶ pipeline.submit. Each callback is translated
by itself, since Twilio guarantees no order. A call with a ParentCallSid is a telephone that the
parent call rang (`<Dial>`); both are in conversation from answer to end, as Twilio does not report
bridges.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ingest.framing.digits import parse_int
from ingest.model.events import CallEvent, EventType, TimeQuality, derive_id
from ingest.model.native_payload import with_native
from ingest.model.recording_events import is_location
from ingest.normalise.asterisk_dialect import shorten
from ingest.normalise.numbers import did_attrs, e164, party_number
from ingest.normalise.twilio_conferences import conference_events
from ingest.normalise.twilio_fields import InvalidCallback, date, needed_sid, sid

EXTENSION = r"^(?:client:|sips?:)([\w.+-]{1,40})(?=@|$)"
"""Group 1 is the extension: of `client:101` and `sip:101@office.sip.twilio.com`, 101."""

CARRIER = re.compile(
    r"sips?:[^@]*@(?![^@]*\.sip\.(?:[a-z0-9-]+\.)?twilio\.com(?:[:;?]|$))", re.IGNORECASE
)
"""A SIP address that is not in one of Twilio's domains."""

ENDS = {
    "completed": None,
    "busy": "busy",
    "no-answer": "no_answer",
    "canceled": "canceled",
    "failed": "failed",
}
CAUSES = {"completed": 16, "busy": 17, "no-answer": 19, "canceled": 16, "failed": 41}
"""CallStatus → cause of Q.850."""
STATUSES = frozenset(("queued", "initiated", "ringing", "in-progress", *ENDS))
MESSAGE = "RecordVerb"
"""RecordingSource of what a caller says into a `<Record>`, which records nobody else."""
LONGEST_CALL_S = 7 * 24 * 3600
RECORDED: dict[str, EventType] = {
    "in-progress": "recording.started",
    "completed": "recording.ready",
    "absent": "recording.stopped",
    "failed": "recording.stopped",
}
"""RecordingStatus → event type. Absent: there was nothing to record."""


class _Callback:
    """One callback and its events."""

    def __init__(
        self, fields: Mapping[str, str], source: str, region: str | None, extension: str
    ) -> None:
        self._fields = fields
        self._source = source
        self._region = region
        self._extension = re.compile(extension)
        self.leg = needed_sid(fields, "CallSid")
        self.parent = sid(fields, "ParentCallSid")
        self.status = fields.get("CallStatus", "")
        if self.status not in STATUSES:
            raise InvalidCallback("CallStatus is missing or unknown")
        self.dialled = fields.get("Direction", "").startswith("outbound")

    def events(self, received_at: datetime) -> Iterator[CallEvent]:
        at, quality = self._time(received_at)
        talked = self._duration()
        began_at = at - (talked or timedelta())
        who = self._identity()
        yield self._event(self._first_type, began_at, quality, **who)
        if self.dialled:
            yield self._event("offer.started", began_at, quality, **self._rung(who))
        if self.status == "ringing" and self.dialled:
            yield self._event("leg.ringing", at, quality)
        if self.status == "in-progress":
            yield from self._answered(at, quality)
        if talked:
            yield from self._answered(at - talked, "derived")
        if self.status in ENDS:
            yield from self._ended(at, quality)
        if self._fields.get("RecordingSid") and self._fields.get("RecordingUrl"):
            yield _recording(self._fields, self._source, at, self.leg, "completed")

    @property
    def _first_type(self) -> EventType:
        return "leg.created" if self.parent else "call.started"

    def _identity(self) -> dict[str, Any]:
        """Return extension and caller id of this leg: who called in, or who was called."""
        party = self._fields.get("To" if self.dialled else "From", "")
        found = None if self._is_outside_line(party) else self._extension.match(party)
        attrs: dict[str, Any] = {"kind": "agent" if found else "external"}
        if party and not found:
            attrs |= party_number(shorten(party), self._region)
        if not (self.dialled or self.parent):
            called = shorten(self._fields.get("To") or self._fields.get("Called"))
            attrs |= did_attrs(called, self._region)
        if self.dialled and not self.parent and not found:
            # Placed by a program: none of our telephones has a leg yet.
            attrs["direction"] = "outbound"
        if name := shorten(self._fields.get("CallerName")):
            attrs["name"] = name
        if call_id := shorten(self._fields.get("SipCallId")):
            attrs["sip_call_id"] = call_id
        return {"extension": found[1] if found else None, "attrs": attrs}

    def _is_outside_line(self, party: str) -> bool:
        """Return whether a SIP address is a telephone number at a carrier, not at Twilio.

        Telephones register at Twilio's own domains; their users may be called like numbers.
        """
        if self._extension.pattern != EXTENSION or not CARRIER.match(party):
            return False
        return e164(party, self._region) is not None

    def _rung(self, who: dict[str, Any]) -> dict[str, Any]:
        attrs = {"kind": who["attrs"]["kind"]}
        if number := who["attrs"].get("number_raw"):
            attrs |= {"dialled": number, "dialled_e164": who["attrs"]["number_e164"]}
        return {"extension": who["extension"], "attrs": attrs, "peer_leg_key": self.parent}

    def _answered(self, at: datetime, quality: TimeQuality) -> Iterator[CallEvent]:
        yield self._event("leg.answered", at, quality)
        if self.parent:
            for leg in (self.leg, self.parent):
                yield self._event("bridge.joined", at, quality, leg=leg, attrs={"bridge": self.leg})

    def _ended(self, at: datetime, quality: TimeQuality) -> Iterator[CallEvent]:
        attrs = {"cause": CAUSES[self.status], "result": ENDS[self.status]}
        yield self._event("leg.ended", at, quality, attrs=attrs)
        if self.parent:
            for leg in (self.leg, self.parent):
                yield self._event("bridge.left", at, quality, leg=leg, attrs={"bridge": self.leg})

    def _event(
        self,
        event_type: EventType,
        at: datetime,
        quality: TimeQuality,
        *,
        leg: str | None = None,
        attrs: dict[str, Any] | None = None,
        **fields: Any,
    ) -> CallEvent:
        kept = {name: value for name, value in (attrs or {}).items() if value is not None}
        sent = (self._fields.get(name, "") for name in ("SequenceNumber", "CallbackSource"))
        named = (self.leg, *sent, self.status, event_type, leg or self.leg, quality)
        return CallEvent(
            event_id=derive_id(self._source, "|".join(named)),
            source=self._source,
            type=event_type,
            occurred_at=at,
            time_quality=quality,
            native_type=f"twilio.{self.status}",
            call_key=self.parent or self.leg,
            leg_key=leg or self.leg,
            attrs=kept,
            **fields,
        )

    def _time(self, received_at: datetime) -> tuple[datetime, TimeQuality]:
        at = date(self._fields, "Timestamp", received_at)
        return (at, "pbx") if at else (received_at, "received")

    def _duration(self) -> timedelta | None:
        """Return the talk time of a completed call; the default subscription reports only this."""
        seconds = parse_int(self._fields.get("CallDuration"), 7)
        if self.status != "completed" or seconds is None:
            return None
        return timedelta(seconds=min(seconds, LONGEST_CALL_S)) or None


def twilio_events(
    fields: Mapping[str, str],
    *,
    source: str,
    received_at: datetime,
    region: str | None = None,
    extension: str = EXTENSION,
    keep_native: bool = False,
) -> list[CallEvent]:
    """Translate one callback. Raises InvalidCallback."""
    if "RecordingStatus" in fields:
        events = _recorded(fields, source, received_at)
    elif "ConferenceSid" in fields:
        events = conference_events(fields, source, received_at)
    else:
        events = list(_Callback(fields, source, region, extension).events(received_at))
    return with_native(events, fields) if keep_native else events


def _recorded(fields: Mapping[str, str], source: str, received_at: datetime) -> list[CallEvent]:
    """Translate a recording status callback, which does not contain the call's status."""
    leg, status = needed_sid(fields, "CallSid"), fields["RecordingStatus"]
    if status not in RECORDED:
        raise InvalidCallback("RecordingStatus is unknown")
    began_at = date(fields, "RecordingStartTime", received_at)
    if status == "in-progress" or began_at is None:
        return [_recording(fields, source, began_at or received_at, leg, status)]
    events = [
        _recording(fields, source, began_at, leg, "in-progress"),
        _recording(fields, source, received_at, leg, status),
    ]
    if fields.get("RecordingSource") == MESSAGE:
        events += _message(events[0], fields["RecordingSid"], status)
    return events


def _message(recording: CallEvent, sid: str, status: str) -> Iterator[CallEvent]:
    """Return that a caller spoke alone into a `<Record>`, which is how Twilio makes a mailbox."""
    facts: dict[EventType, dict[str, Any]] = {
        "voicemail.started": {"mailbox": ""},
        "voicemail.ended": {"message": "left" if status == "completed" else "none"},
    }
    for kind, attrs in facts.items():
        event_id = derive_id(recording.source, "|".join((kind, sid, status)))
        yield replace(recording, event_id=event_id, type=kind, attrs=attrs)


def _recording(
    fields: Mapping[str, str], source: str, at: datetime, leg: str, status: str
) -> CallEvent:
    sid, url = needed_sid(fields, "RecordingSid"), fields.get("RecordingUrl", "")
    if status == "completed" and not is_location(url):
        raise InvalidCallback("RecordingUrl is missing, or is none")
    attrs: dict[str, Any] = {"recording": sid}
    if status == "completed":
        attrs["url"] = url
        for name, field, scale in (
            ("duration_ms", "RecordingDuration", 1_000),
            ("channels", "RecordingChannels", 1),
        ):
            number = parse_int(fields.get(field), 6)
            if number is not None:
                attrs[name] = number * scale
    if status in {"absent", "failed"}:
        attrs["result"] = "failed"
    return CallEvent(
        event_id=derive_id(source, "|".join(("recording", sid, status))),
        source=source,
        type=RECORDED[status],
        occurred_at=at,
        time_quality="received",
        native_type=f"twilio.recording.{status}",
        call_key=leg,
        leg_key=leg,
        attrs=attrs,
    )
