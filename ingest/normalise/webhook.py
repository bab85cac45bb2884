"""Canonical events as JSON, from any PBX that can post: validated one by one.

HTTP endpoint (after the signature) ─▶ parse_events ─▶ pipeline.submit. One bad event never spoils
its batch: it comes back with its index, a code and a sentence. docs/telephony.md has the format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import orjson

from ingest.batch import Rejected
from ingest.events import EVENT_TYPES, WEBHOOK, CallEvent, EventType, derive_id
from ingest.native import printed
from ingest.normalise.numbers import FUTURE, PAST, e164
from ingest.recordings import LONGEST_PLACE, READY, is_place
from ingest.recordings import TYPES as RECORDING_TYPES

FIELDS = frozenset(
    ("event_id", "type", "occurred_at", "call_key", "leg_key", "peer_leg_key", "queue",
     "extension", "attrs")
)  # fmt: skip
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
}  # fmt: skip
NEEDS_QUEUE = frozenset(("queue.entered", "queue.connected"))
LONGEST_KEY = 200
LONGEST_TEXT = 200
LONGEST = {"url": LONGEST_PLACE}
LARGEST_NUMBER = 2**31 - 1
RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII | re.IGNORECASE
)
"""Of all that fromisoformat reads; what has no offset is refused with a word of its own."""


@dataclass(slots=True)
class Parsed:
    """Events that may be submitted, where each stood in the request, and what was refused."""

    events: list[CallEvent] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


class Refused(Exception):
    """This event cannot be taken."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse_events(
    items: list[Any],
    *,
    source: str,
    region: str | None = None,
    now: datetime | None = None,
    keep: timedelta = PAST,
    keeps_native: bool = False,
) -> Parsed:
    """Turn decoded JSON into events; `keep` is how far back an event may lie."""
    parsed = Parsed()
    reader = _Reader(source, region, now or datetime.now(UTC), keep, keeps_native)
    for index, item in enumerate(items):
        try:
            parsed.events.append(reader.event(item))
            parsed.indexes.append(index)
        except Refused as refused:
            parsed.rejected.append(Rejected(index, refused.code, str(refused)))
    return parsed


@dataclass(frozen=True, slots=True)
class _Reader:
    source: str
    region: str | None
    now: datetime
    keep: timedelta
    keeps_native: bool

    def event(self, item: Any) -> CallEvent:
        if not isinstance(item, dict):
            raise Refused("event.invalid", "an event is a JSON object")
        if not item.keys() <= FIELDS:
            unknown = min(set(item) - FIELDS)
            raise Refused("event.unknown_field", f"unknown field {unknown[:50]!r}")
        event_type = self._type(item)
        keys = {name: _text(item, name, LONGEST_KEY) for name in ("call_key", "leg_key")}
        if not event_type.startswith("agent.") and not any(keys.values()):
            raise Refused("event.no_call", "call_key or leg_key is missing")
        queue = _text(item, "queue", LONGEST_TEXT)
        if event_type in NEEDS_QUEUE and not queue:
            raise Refused("event.no_queue", f"{event_type} needs a queue")
        attrs = self._attrs(item.get("attrs"))
        _require_recording(event_type, attrs)
        return CallEvent(
            source=self.source,
            type=event_type,
            occurred_at=self._time(item),
            native_type=WEBHOOK,
            leg_key=keys["leg_key"] or _leg_of_call(event_type, keys["call_key"]),
            call_key=keys["call_key"],
            peer_leg_key=_text(item, "peer_leg_key", LONGEST_KEY),
            queue=queue,
            extension=_text(item, "extension", 40),
            attrs=attrs,
            native=printed(item.items()) if self.keeps_native else None,
            event_id=self._id(item),  # last: what is not refused by now can be written as JSON
        )

    def _type(self, item: Mapping[str, Any]) -> EventType:
        value = item.get("type")
        if not isinstance(value, str) or value not in EVENT_TYPES:
            raise Refused("event.unknown_type", "type is missing or not one of ours")
        return cast("EventType", value)

    def _id(self, item: Mapping[str, Any]) -> UUID:
        """Take the sender's id, or name the event by all that it says."""
        given = _text(item, "event_id", LONGEST_KEY)
        if given:
            return derive_id(self.source, f"id:{given}")
        return derive_id(self.source, orjson.dumps(item, option=orjson.OPT_SORT_KEYS).decode())

    def _time(self, item: Mapping[str, Any]) -> datetime:
        occurred_at = _moment(item.get("occurred_at"))
        if occurred_at is None:
            raise Refused("event.bad_time", "occurred_at is no RFC 3339 time")
        if occurred_at.tzinfo is None:
            raise Refused("event.bad_time", "occurred_at has no offset from UTC")
        if not self.now - self.keep <= occurred_at <= self.now + FUTURE:
            raise Refused("event.bad_time", "occurred_at is too long ago, or in the future")
        return occurred_at.astimezone(UTC)

    def _attrs(self, value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise Refused("event.invalid", "attrs is not an object")
        if unknown := sorted(set(value) - set(ATTRS)):
            raise Refused("event.unknown_field", f"unknown field attrs.{unknown[0][:50]!r}")
        attrs = {name: _attr(name, found) for name, found in value.items() if found is not None}
        if attrs.get("url") == "":
            del attrs["url"]
        if "url" in attrs and not is_place(attrs["url"]):
            raise Refused("event.invalid", "attrs.url is neither an http(s) URL nor a path")
        number = attrs.pop("number", None)
        if number is not None:
            attrs |= {"number_raw": number, "number_e164": e164(number, self.region)}
        if attrs.get("dialled"):
            attrs["dialled_e164"] = e164(attrs["dialled"], self.region)
        return attrs


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        return None


def _require_recording(event_type: EventType, attrs: Mapping[str, Any]) -> None:
    """Refuse a recording without a name, one that is ready and nowhere, and one of elsewhere."""
    if event_type not in RECORDING_TYPES and (misplaced := attrs.keys() & {"recording", "url"}):
        raise Refused("event.invalid", f"attrs.{min(misplaced)} belongs to recording.* alone")
    if event_type.startswith("recording.") and not attrs.get("recording"):
        raise Refused("event.no_recording", f"{event_type} needs attrs.recording")
    if event_type == READY and not attrs.get("url"):
        raise Refused("event.no_recording", f"{event_type} needs attrs.url")


def _leg_of_call(event_type: EventType, call_key: str | None) -> str | None:
    """Let the call's key stand for the caller's leg, for a PBX that tells only of calls."""
    return call_key if event_type.startswith(("queue.", "call.started")) else None


def _text(item: Mapping[str, Any], name: str, limit: int) -> str | None:
    value = item.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Refused("event.invalid", f"{name} is not a text")
    return _storable(value, name, limit)


def _storable(value: str, name: str, limit: int) -> str:
    if len(value) > limit:
        raise Refused("event.too_long", f"{name} has more than {limit} characters")
    if "\0" in value or not _is_unicode(value):
        raise Refused("event.invalid", f"{name} holds a character that cannot be stored")
    return value


def _is_unicode(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _attr(name: str, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, ATTRS[name]):
        raise Refused("event.invalid", f"attrs.{name} is of the wrong type")
    if isinstance(value, int):
        if not 0 <= value <= LARGEST_NUMBER:
            raise Refused("event.invalid", f"attrs.{name} is out of range")
        return value
    if value not in CHOICES.get(name, (value,)):
        raise Refused("event.invalid", f"attrs.{name} is not one of the known values")
    return _storable(str(value), f"attrs.{name}", LONGEST.get(name, LONGEST_TEXT))
