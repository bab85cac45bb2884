"""Bytes ─▶ AMI messages ─▶ events: what Asterisk sends, as CallEvents."""

from __future__ import annotations

import gzip
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.framing import ami_recording
from ingest.framing.ami_messages import AmiMessage, AmiParser, MessageTooLong, encode, parse
from ingest.model.events import CallEvent, shift
from ingest.normalise.asterisk import AsteriskDialect, AsteriskNormaliser
from ingest.upkeep.replay import read_recording, read_recording_sync
from tests.support.call_truth import RECORDINGS, events_of_recording, names, read_anew

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
L01 = "l01_answered_caller_hangs_up"


def message(event: str, **fields: str) -> AmiMessage:
    return AmiMessage((("Event", event), *fields.items()))


def translate(event: str, **fields: str) -> CallEvent | None:
    """Translate one message by itself."""
    found = AsteriskNormaliser("pbx").events(message(event, **fields), NOW)
    return found[0] if found else None


def raw_of(name: str) -> bytes:
    """Return a recording's byte stream."""
    with gzip.open(RECORDINGS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        items = [json.loads(line) for line in lines]
    texts = (item["raw"] for item in items if item["kind"] != "mark")
    return "".join(texts).encode("utf-8", "surrogateescape")


# --- the wire --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [L01, "s24_sip_names_in_other_encodings"])
def test_however_the_bytes_are_cut_the_messages_are_the_same(name: str) -> None:
    """One byte at a time, random pieces, all at once; s24 is full of characters of many bytes."""
    data = raw_of(name)
    whole = AmiParser().feed(data)
    by_byte, by_chance = AmiParser(), AmiParser()
    dice = random.Random(name)
    cuts = sorted(dice.sample(range(len(data)), 200))

    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    assert [m for at in range(len(data)) for m in by_byte.feed(data[at : at + 1])] == whole
    assert [m for piece in pieces for m in by_chance.feed(piece)] == whole
    assert by_byte.banner == "Asterisk Call Manager/13.0.0"
    assert "Олена Шевченко" in {m.get("CallerIDName") for m in whole} or name == L01


def test_a_message_without_end_is_cut_off() -> None:
    """A peer that never ends a message cannot fill the memory."""
    parser = AmiParser(limit_bytes=100)
    parser.feed(b"Asterisk Call Manager/13.0.0\r\n" + b"x" * 100)

    with pytest.raises(MessageTooLong):
        parser.feed(b"x")


def test_a_field_may_come_twice_and_a_value_may_hold_colons() -> None:
    """The first value is the value, all are kept, and nothing behind the first colon is lost."""
    parsed = parse(b"Response: Success\r\nOutput: a: b\r\nOutput: c\r\nEmpty:\r\nOdd")

    assert (parsed.get("Output"), parsed.get("Empty"), parsed.get("Odd")) == ("a: b", "", "")
    assert [value for name, value in parsed.fields if name == "Output"] == ["a: b", "c"]
    assert parsed.event is None


def test_bytes_that_are_no_utf8_become_replacement_characters() -> None:
    """As Asterisk does itself: the rest of the message is unharmed."""
    parsed = parse("Event: X\r\nCallerIDName: Олена".encode() + b"\xd0\r\nUniqueid: 1.1")

    assert parsed.get("CallerIDName") == "Олена\ufffd"
    assert parsed.get("Uniqueid") == "1.1"


def test_an_action_cannot_smuggle_a_second_one() -> None:
    """A line break in a value is refused; what is written reads back."""
    action = encode([("Action", "Login"), ("Username", "Ж")])

    assert AmiParser().feed(action)[0].fields == (("Action", "Login"), ("Username", "Ж"))
    with pytest.raises(ValueError, match="line break"):
        encode([("Action", "Originate"), ("Channel", "x\r\nAction: Command")])


def test_a_recording_yields_every_message_with_its_time() -> None:
    """As many events as its truth counts, in the order and at the times of the recording."""
    truth = json.loads((RECORDINGS / f"{L01}.truth.json").read_text())
    recorded = list(ami_recording.read_messages(RECORDINGS / f"{L01}.jsonl.gz"))
    events = [item for item in recorded if item.message.event]

    assert len(events) == truth["events"]
    assert [item.received_at for item in recorded] == sorted(item.received_at for item in recorded)
    assert abs(recorded[0].received_at.timestamp() - truth["played"]) < 1


# --- ids -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names())
def test_ids_are_unique_and_the_same_at_every_reading(name: str) -> None:
    """A second reading is a repeat of the first; another source is not."""
    path = RECORDINGS / f"{name}.jsonl.gz"
    ids = [event.event_id for event in events_of_recording(name)]
    elsewhere = read_recording_sync(path, source="other")

    assert ids == [event.event_id for event in read_anew(path)]
    assert len(set(ids)) == len(ids)
    assert not set(ids) & {event.event_id for event in elsewhere}


def test_equal_texts_at_one_instant_are_different_events() -> None:
    """AMI does not number messages: equal ones at one instant are told apart by their count."""
    hold = message("Hold", Uniqueid="1.1", Linkedid="1.1")

    def ids() -> list[str]:
        normaliser = AsteriskNormaliser("pbx")
        times = (NOW, NOW, NOW + timedelta(seconds=1))
        return [str(e.event_id) for at in times for e in normaliser.events(hold, at)]

    assert len(set(ids())) == 3
    assert ids() == ids()


def test_with_timestamps_two_connections_see_the_same_events() -> None:
    """`timestampevents=yes`: the time is the PBX's, and so is the id, whenever it is received."""
    stamped = message("Hold", Uniqueid="1.1", Timestamp="1795377152.388123")
    (first,) = AsteriskNormaliser("pbx").events(stamped, NOW)
    (second,) = AsteriskNormaliser("pbx").events(stamped, NOW + timedelta(seconds=3))

    assert first == second
    assert first.time_quality == "pbx"
    assert first.occurred_at == datetime(2026, 11, 22, 19, 52, 32, 388123, tzinfo=UTC)


@pytest.mark.parametrize("stamp", ["", "nan", "inf", "1e400", "yesterday"])
def test_a_broken_timestamp_is_no_timestamp(stamp: str) -> None:
    """The time of receipt stands in, and says so."""
    event = translate("Hold", Uniqueid="1.1", Timestamp=stamp)

    assert event is not None
    assert (event.occurred_at, event.time_quality) == (NOW, "received")


async def test_shifting_moves_times_and_nothing_else() -> None:
    """So that a replay at another time is still a repeat."""
    events = await read_recording(RECORDINGS / f"{L01}.jsonl.gz", source="pbx")
    moved = shift(events, timedelta(days=9))

    assert [event.event_id for event in moved] == [event.event_id for event in events]
    assert [event.keys for event in moved] == [event.keys for event in events]
    assert {b.occurred_at - a.occurred_at for a, b in zip(events, moved, strict=True)} == {
        timedelta(days=9)
    }


# --- meaning ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "extension"),
    [
        ("PJSIP/301-00000123", "301"),
        ("Local/101@agents-00000227;1", "101"),
        ("PJSIP/trunk-00000122", None),
        ("Local/0441110001@from-trunk-00000226;2", None),
        ("PJSIP/301x-00000123", None),
        ("", None),
    ],
)
def test_a_telephone_and_a_trunk_differ_by_their_names(channel: str, extension: str | None) -> None:
    """An extension has two to six digits, between the technology and the call's number."""
    event = translate("Newchannel", Channel=channel, Uniqueid="1.1", Linkedid="1.1")

    assert event is not None
    assert event.extension == extension


def test_another_pbx_may_name_its_telephones_otherwise() -> None:
    """The pattern is the dialect's."""
    dialect = AsteriskDialect(extension=r"^PJSIP/ext-([a-z]+)-")
    newchannel = message("Newchannel", Channel="PJSIP/ext-olena-0001", Uniqueid="1.1")
    (event,) = AsteriskNormaliser("pbx", dialect).events(newchannel, NOW)

    assert event.extension == "olena"


def test_names_are_unescaped_and_unknown_is_nothing() -> None:
    """Asterisk escapes quotes as C does; `<unknown>` is nobody."""
    named = translate("NewCallerid", Uniqueid="1.1", CallerIDNum="101", CallerIDName="Ж\\'ю")
    nobody = translate("NewCallerid", Uniqueid="1.1", CallerIDNum="<unknown>", CallerIDName="")

    assert named is not None
    assert named.attrs == {"number_raw": "101", "short": True, "name": "Ж'ю"}
    assert nobody is None


def test_what_strangers_chose_is_bounded_and_storable() -> None:
    """A caller's name of 10,000 characters, with a NUL in it."""
    event = translate("NewCallerid", Uniqueid="1.1", CallerIDName="a\0" + "x" * 10_000)

    assert event is not None
    assert event.attrs["name"] == "a" + "x" * 199


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("SoftHangupRequest", {"Uniqueid": "1.1", "Cause": "16"}),
        ("Newstate", {"Uniqueid": "1.1", "ChannelStateDesc": "Ring"}),
        ("BridgeEnter", {"Uniqueid": "1.1", "BridgeTechnology": "holding_bridge"}),
        ("VarSet", {"Uniqueid": "1.1", "Variable": "CALLREF", "Value": "c1"}),
        ("VarSet", {"Uniqueid": "1.1", "Variable": "QUEUESTATUS", "Value": ""}),
        ("Newexten", {"Uniqueid": "1.1", "Application": "Log"}),
        ("BlindTransfer", {"TransfererUniqueid": "1.1", "Result": "Fail"}),
        ("QueueCallerJoin", {"Queue": "sales"}),
        ("NoSuchEvent", {"Uniqueid": "1.1"}),
    ],
)
def test_what_is_no_fact_about_a_call_gives_no_event(event: str, fields: dict[str, str]) -> None:
    """Requests end nothing, a parking lot is no conversation, test marks are not used."""
    assert translate(event, **fields) is None


def test_ring_times_of_either_unit_are_not_used() -> None:
    """Milliseconds in AgentRingNoAnswer, seconds in AgentConnect: times come from the events."""
    fields = {"Uniqueid": "1.1", "DestUniqueid": "1.2", "Queue": "q", "RingTime": "6000"}
    missed, connected = (
        translate("AgentRingNoAnswer", **fields),
        translate("AgentConnect", **fields),
    )

    assert missed is not None
    assert connected is not None
    assert (missed.leg_key, dict(missed.attrs)) == ("1.2", {"result": "no_answer"})
    assert (connected.leg_key, connected.peer_leg_key, dict(connected.attrs)) == ("1.1", "1.2", {})


def test_an_agent_complete_without_ids_is_survived() -> None:
    """It names queue and member only, so it belongs to no call: nothing is made of it."""
    assert translate("AgentComplete", Queue="sales", Interface="PJSIP/301", TalkTime="8") is None


def test_a_refused_caller_leaves_a_trace() -> None:
    """Queue full: no queue event, only the dialplan's step and its result."""
    wish = translate("Newexten", Uniqueid="1.1", Application="Queue", AppData="strict,tT,,,60")
    result = translate("VarSet", Uniqueid="1.1", Variable="QUEUESTATUS", Value="FULL")

    assert wish is not None
    assert result is not None
    assert (wish.type, wish.queue) == ("queue.requested", "strict")
    assert (result.type, result.attrs["outcome"]) == ("queue.outcome", "full")


def test_every_recording_is_read_without_a_complaint(caplog: pytest.LogCaptureFixture) -> None:
    """All types that appear are known, every event names a call or an agent."""
    for name in names():
        for event in events_of_recording(name):
            assert event.keys or event.type.startswith("agent.")
    assert not caplog.records


def test_missing_recordings_are_an_error_and_not_an_empty_day(tmp_path: Path) -> None:
    """A wrong name does not look like a PBX that said nothing."""
    with pytest.raises(FileNotFoundError):
        read_recording_sync(tmp_path / "none.jsonl.gz", source="pbx")
