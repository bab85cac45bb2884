"""Events posted as JSON in the canonical form, by any PBX: validated one by one.

HTTP endpoint (after the signature) ─▶ parse_events ─▶ pipeline.submit. An invalid event does not
affect the others of its request: it is returned with its index, a code and a message. The format
is in docs/telephony.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import orjson

from ingest.model.clock import MAX_FUTURE, MAX_PAST
from ingest.model.events import EVENT_TYPES, WEBHOOK, CallEvent, EventType, derive_id
from ingest.model.native_payload import message_json
from ingest.model.receipt import RejectedItem
from ingest.model.recording_events import MAX_LOCATION_CHARS, READY, RECORDING_TYPES, is_location
from ingest.normalise.numbers import e164, party_number

MAX_KEY_CHARS = 200
MAX_TEXT_CHARS = 200
TEXTS = {
    "event_id": MAX_KEY_CHARS,
    "call_key": MAX_KEY_CHARS,
    "leg_key": MAX_KEY_CHARS,
    "peer_leg_key": MAX_KEY_CHARS,
    "queue": MAX_TEXT_CHARS,
    "extension": 40,
}
"""Text fields → their longest length in characters."""
FIELDS = frozenset((*TEXTS, "type", "occurred_at", "attrs"))
ATTRS: dict[str, type] = {
    "number": str,
    "name": str,
    "dialled": str,
    "direction": str,
    "kind": str,
    "cause": int,
    "result": str,
    "outcome": str,
    "bridge": str,
    "conference": str,
    "reason": str,
    "member": str,
    "to": str,
    "target": str,
    "mode": str,
    "waited_s": int,
    "recording": str,
    "url": str,
    "duration_ms": int,
    "channels": int,
    "sip_call_id": str,
    "mailbox": str,
    "message": str,
    "ended_by": str,
    "forwarded_from": str,
    "forward": str,
    "slot": str,
    "by": str,
    "ring_group": str,
}
CHOICES = {
    "direction": frozenset(("inbound", "outbound", "internal")),
    "kind": frozenset(("external", "agent")),
    "result": frozenset(
        ("answered", "busy", "no_answer", "canceled", "failed", "rejected", "answered_elsewhere",
         "lost")
    ),
    "outcome": frozenset(
        ("timeout", "key", "leave_empty", "join_empty", "full", "withdrawn", "abandoned")
    ),
    "mode": frozenset(("threeway",)),
    "message": frozenset(("left", "none")),
    "ended_by": frozenset(("customer", "agent", "pbx")),
}  # fmt: skip
NEEDS_QUEUE = frozenset(("queue.entered", "queue.connected"))
CALLERS_OWN = ("queue.", "call.started", "call.parked", "call.unparked", "voicemail.")
"""Beginnings of the types that are about the caller when no leg is named."""
LONGEST = {"url": MAX_LOCATION_CHARS}
MAX_NUMBER = 2**31 - 1
RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII | re.IGNORECASE
)
"""A part of what fromisoformat() reads. A time without offset has an error of its own."""


@dataclass(slots=True)
class ParsedEvents:
    """Valid events, the index of each in the request, and the rejected ones."""

    events: list[CallEvent] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    rejected: list[RejectedItem] = field(default_factory=list)


class InvalidEvent(Exception):
    """This event is rejected."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse_events(
    items: list[Any],
    *,
    source: str,
    region: str | None = None,
    now: datetime | None = None,
    max_age: timedelta = MAX_PAST,
    keep_native: bool = False,
) -> ParsedEvents:
    """Turn decoded JSON into events; `max_age` is how far in the past an event may lie."""
    reader = EventReader(source, region=region, now=now, max_age=max_age, keep_native=keep_native)
    reader.read(items)
    return reader.parsed


class EventReader:
    """Validates the events of one request, a part at a time; `parsed` has the results so far."""

    def __init__(
        self,
        source: str,
        *,
        region: str | None = None,
        now: datetime | None = None,
        max_age: timedelta = MAX_PAST,
        keep_native: bool = False,
    ) -> None:
        self._source = source
        self._region = region
        now = now or datetime.now(UTC)
        self._earliest, self._latest = now - max_age, now + MAX_FUTURE
        self._keep_native = keep_native
        self._seen = 0
        self.parsed = ParsedEvents()

    def read(self, items: Iterable[Any]) -> None:
        """Validate the next items."""
        parsed = self.parsed
        for index, item in enumerate(items, self._seen):
            try:
                parsed.events.append(self._event(item))
                parsed.indexes.append(index)
            except InvalidEvent as refused:
                parsed.rejected.append(RejectedItem(index, refused.code, str(refused)))
            self._seen = index + 1

    def _event(self, item: Any) -> CallEvent:
        if not isinstance(item, dict):
            raise InvalidEvent("event.invalid", "an event is a JSON object")
        if not item.keys() <= FIELDS:
            unknown = min(set(item) - FIELDS)
            raise InvalidEvent("event.unknown_field", f"unknown field {unknown[:50]!r}")
        kind = self._type(item)
        texts = _texts(item)
        call_key, queue = texts.get("call_key"), texts.get("queue")
        leg_key = texts.get("leg_key") or _leg_of_call(kind, call_key)
        if not (call_key or leg_key or kind.startswith("agent.")):
            raise InvalidEvent("event.no_call", "call_key or leg_key is missing")
        if not queue and kind in NEEDS_QUEUE:
            raise InvalidEvent("event.no_queue", f"{kind} needs a queue")
        attrs = self._attrs(item.get("attrs"))
        _require_recording(kind, attrs)
        return CallEvent(
            source=self._source,
            type=kind,
            occurred_at=self._time(item.get("occurred_at")),
            native_type=WEBHOOK,
            leg_key=leg_key,
            call_key=call_key,
            peer_leg_key=texts.get("peer_leg_key"),
            queue=queue,
            extension=texts.get("extension"),
            attrs=attrs,
            native=message_json(item.items()) if self._keep_native else None,
            # last: an event that is valid so far can be encoded as JSON
            event_id=self._id(texts.get("event_id"), item),
        )

    def _type(self, item: Mapping[str, Any]) -> EventType:
        value = item.get("type")
        if not isinstance(value, str) or value not in EVENT_TYPES:
            raise InvalidEvent("event.unknown_type", "type is missing or not one of ours")
        return cast("EventType", value)

    def _id(self, given: str | None, item: Mapping[str, Any]) -> UUID:
        """Derive the id from the sender's event_id, else from the whole event."""
        if given:
            return derive_id(self._source, f"id:{given}")
        return derive_id(self._source, orjson.dumps(item, option=orjson.OPT_SORT_KEYS).decode())

    def _time(self, value: Any) -> datetime:
        occurred_at = _moment(value)
        if occurred_at is None:
            raise InvalidEvent("event.bad_time", "occurred_at is no RFC 3339 time")
        if occurred_at.tzinfo is None:
            raise InvalidEvent("event.bad_time", "occurred_at has no offset from UTC")
        if not self._earliest <= occurred_at <= self._latest:
            raise InvalidEvent("event.bad_time", "occurred_at is too long ago, or in the future")
        return occurred_at if occurred_at.tzinfo is UTC else occurred_at.astimezone(UTC)

    def _attrs(self, value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise InvalidEvent("event.invalid", "attrs is not an object")
        if not value.keys() <= ATTRS.keys():
            unknown = min(value.keys() - ATTRS.keys())
            raise InvalidEvent("event.unknown_field", f"unknown field attrs.{unknown[:50]!r}")
        attrs = {name: _attr(name, found) for name, found in value.items() if found is not None}
        if "url" in attrs:
            if not attrs["url"]:
                del attrs["url"]
            elif not is_location(attrs["url"]):
                raise InvalidEvent(
                    "event.invalid", "attrs.url is neither an http(s) URL nor a path"
                )
        if "number" in attrs:
            attrs |= party_number(attrs.pop("number"), self._region)
        if attrs.get("bridge") and attrs.get("conference"):
            attrs["room"] = True
        if attrs.get("dialled"):
            attrs["dialled_e164"] = e164(attrs["dialled"], self._region)
        return attrs


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        return None


def _require_recording(kind: EventType, attrs: Mapping[str, Any]) -> None:
    """Reject recording.* without name, ready without url, and both attrs in other types."""
    if kind not in RECORDING_TYPES:
        for name in ("recording", "url"):
            if name in attrs:
                raise InvalidEvent("event.invalid", f"attrs.{name} belongs to recording.* alone")
        return
    if not attrs.get("recording"):
        raise InvalidEvent("event.no_recording", f"{kind} needs attrs.recording")
    if kind == READY and not attrs.get("url"):
        raise InvalidEvent("event.no_recording", f"{kind} needs attrs.url")


def _leg_of_call(kind: EventType, call_key: str | None) -> str | None:
    """Return the call's key as the caller's leg, for a PBX that reports only calls."""
    return call_key if kind.startswith(CALLERS_OWN) else None


def _texts(item: Mapping[str, Any]) -> dict[str, str]:
    """Return the text fields of an event that are not empty."""
    found = {}
    for name, limit in TEXTS.items():
        value = item.get(name)
        if isinstance(value, str):
            if value:
                found[name] = _storable(value, name, limit)
        elif value is not None:
            raise InvalidEvent("event.invalid", f"{name} is not a text")
    return found


def _storable(value: str, name: str, limit: int) -> str:
    if len(value) > limit:
        raise InvalidEvent("event.too_long", f"{name} has more than {limit} characters")
    # Printable characters can be stored, and most others, like a line break.
    if not value.isprintable() and ("\0" in value or not _is_unicode(value)):
        raise InvalidEvent("event.invalid", f"{name} holds a character that cannot be stored")
    return value


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _attr(name: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, ATTRS[name]):
        raise InvalidEvent("event.invalid", f"attrs.{name} is of the wrong type")
    if isinstance(value, int):
        if not 0 <= value <= MAX_NUMBER:
            raise InvalidEvent("event.invalid", f"attrs.{name} is out of range")
        return value
    if name in CHOICES and value not in CHOICES[name]:
        raise InvalidEvent("event.invalid", f"attrs.{name} is not one of the known values")
    return _storable(str(value), f"attrs.{name}", LONGEST.get(name, MAX_TEXT_CHARS))
