"""Any content that a PBX, a trunk or a caller may put into a field: nothing stops the fold."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any
from uuid import UUID

import orjson
import pytest

from ingest.fold.fold import fold
from ingest.framing.ami_messages import AmiMessage
from ingest.framing.digits import parse_int
from ingest.model.events import EVENT_TYPES, CallEvent
from ingest.normalise import (
    asterisk_agents,
    asterisk_facts,
    freeswitch,
    freeswitch_loopback,
    freeswitch_transfers,
    twilio,
    twilio_conferences,
)
from ingest.normalise.asterisk import AsteriskDialect, AsteriskNormaliser
from ingest.normalise.freeswitch import CHANNEL_EVENTS, FreeswitchNormaliser
from ingest.normalise.twilio import STATUSES, twilio_events
from ingest.normalise.twilio_conferences import ABOUT_A_PARTICIPANT
from ingest.normalise.twilio_fields import InvalidCallback
from ingest.normalise.webhook import ATTRS, FIELDS, parse_events

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
TEXTS = (
    "9" * 5_000, "-1", "1e400", "nan", "inf", "٣٤", "2³", "\0", "\ud800", "x" * 5_000, " ", "",
    "99999999999", "Local/1@x-0;1" * 50, "-62135596800", "253402300799",
    "1.1\r\nEvent: X",
)  # fmt: skip

DEEP: Any = "bottom"
for _ in range(300):
    DEEP = [DEEP]
VALUES: tuple[Any, ...] = (
    *TEXTS, 10**5_000, -1, 2**63, 1.5, float("nan"), True, [], {}, {"a": "b"}, DEEP, None,
)  # fmt: skip


def named_in(module: ModuleType) -> set[str]:
    """Return what a normaliser asks the fields for, as its source says."""
    return set(
        re.findall(r'(?:get|sid|date)\(\s*(?:fields, )?"([\w-]+)"', inspect.getsource(module))
    )


def folds(events: list[CallEvent]) -> bool:
    """Whether these and an ordinary call of the same keys can be folded."""
    for event in events:
        begun = CallEvent(
            event_id=UUID(int=1), source="pbx", type="leg.created", occurred_at=NOW,
            leg_key=event.leg_key or "1.1",
        )  # fmt: skip
        assert fold([begun, event], call_id=UUID(int=2)) is not None
    return True


@pytest.mark.parametrize("name", sorted(asterisk_facts.TRANSLATE))
def test_no_field_of_asterisk_can_stop_the_fold(name: str) -> None:
    """Each field of each event with each value: translated or ignored, and folded."""
    normaliser = AsteriskNormaliser("pbx", AsteriskDialect(region="UA"))
    fields = named_in(asterisk_facts) | named_in(asterisk_agents) | {"Timestamp", "Uniqueid"}
    usual = {"Uniqueid": "1.1", "DestUniqueid": "1.2", "Linkedid": "1.1", "Queue": "sales",
             "Result": "Success", "Variable": "SIPCALLID"}  # fmt: skip

    for field in fields:
        for text in TEXTS:
            message = {"Event": name} | usual | {field: text, f"Dest{field}": text}
            assert folds(normaliser.events(AmiMessage(tuple(message.items())), NOW))


@pytest.mark.parametrize("name", [*CHANNEL_EVENTS, "CUSTOM"])
def test_no_field_of_freeswitch_can_stop_the_fold(name: str) -> None:
    """The same of an event socket, queues included."""
    normaliser = FreeswitchNormaliser("pbx", region="UA")
    usual = {"Event-Name": name, "Unique-ID": "a", "Event-Subclass": "callcenter::info",
             "CC-Action": "bridge-agent-start", "CC-Member-Session-UUID": "a", "CC-Queue": "q",
             "CC-Member-Joined-Time": "1", "CC-Agent-Answered-Time": "2"}  # fmt: skip

    modules = (freeswitch, freeswitch_transfers, freeswitch_loopback)
    fields = set[str]().union(*(named_in(module) for module in modules))
    half = {"Channel-Name": "loopback/1001-a", "variable_other_loopback_leg_uuid": "b"}
    for field in fields - {"Event-Name"}:
        for text in (*TEXTS, "1:x:bl_xfer:a/b/c", "99999999999:x:uuid_br:a", "blind:a", "att:a"):
            assert folds(normaliser.events(usual | {field: text}, NOW))
            assert folds(normaliser.events(usual | half | {field: text}, NOW))


def test_no_field_of_twilio_can_stop_the_fold() -> None:
    """A callback is translated, or refused as none."""
    usual = {"CallSid": "CA1", "ParentCallSid": "CA2", "Direction": "outbound-dial",
             "To": "client:101", "From": "+380671234567"}  # fmt: skip
    refused = 0

    for status in sorted(STATUSES):
        for field in named_in(twilio):
            for text in TEXTS:
                message = usual | {"CallStatus": status, field: text}
                try:
                    assert folds(twilio_events(message, source="pbx", received_at=NOW))
                except InvalidCallback:
                    refused += 1

    assert refused


@pytest.mark.parametrize("event", sorted(ABOUT_A_PARTICIPANT))
def test_no_field_of_a_conference_can_stop_the_fold(event: str) -> None:
    """The same of what a conference says of its participants."""
    usual = {"ConferenceSid": "CF1", "CallSid": "CA1", "StatusCallbackEvent": event,
             "Coaching": "false", "SequenceNumber": "1"}  # fmt: skip
    refused = 0

    for field in named_in(twilio_conferences):
        for text in TEXTS:
            try:
                assert folds(twilio_events(usual | {field: text}, source="pbx", received_at=NOW))
            except InvalidCallback:
                refused += 1

    assert refused


def hostile_items() -> Iterator[dict[str, Any]]:
    """Every field of a posted event with every value, of every type."""
    usual = {"type": "leg.created", "occurred_at": NOW.isoformat(), "call_key": "c", "leg_key": "l"}
    for value in VALUES:
        yield from (usual | {field: value} for field in sorted(FIELDS))
        yield from (usual | {"attrs": {name: value}} for name in sorted(ATTRS))
        yield usual | {"unknown": value}


def test_a_posted_event_is_taken_or_refused_by_itself() -> None:
    """Wrong types, huge and deep values: each is named with a code, its neighbours are taken."""
    good = {"type": "leg.ringing", "occurred_at": NOW.isoformat(), "leg_key": "l", "extension": "1"}
    items = [
        good,
        *hostile_items(),
        *({**good, "type": name} for name in sorted(EVENT_TYPES)),
        good,
    ]

    parsed = parse_events(items, source="pbx", now=NOW)

    codes = {rejected.code for rejected in parsed.rejected}
    assert len(parsed.events) + len(parsed.rejected) == len(items)
    assert parsed.indexes[0] == 0
    assert parsed.indexes[-1] == len(items) - 1
    assert codes >= {"event.invalid", "event.bad_time", "event.too_long", "event.unknown_field"}
    assert folds(parsed.events)
    assert all(orjson.dumps(event.attrs) for event in parsed.events)


def test_a_whole_number_has_so_many_digits_and_no_others() -> None:
    """One way to read a count, of a cause up to a time."""
    assert [parse_int(text, 3) for text in ("0", "016", "999", "1000")] == [0, 16, 999, None]
    assert {parse_int(text, 17) for text in (*TEXTS, None)} == {None, 99999999999, 253402300799}


def test_a_time_that_no_pbx_can_mean_is_not_taken() -> None:
    """Year 1, year 9999: the moment of receipt is, and no partition of that year is made."""
    for stamp in ("-62135596800", "253402300799", str((NOW + timedelta(days=2)).timestamp())):
        message = AmiMessage((("Event", "Hold"), ("Uniqueid", "1.1"), ("Timestamp", stamp)))
        (event,) = AsteriskNormaliser("pbx").events(message, NOW)
        assert (event.occurred_at, event.time_quality) == (NOW, "received")
