"""Recordings of a call follow from the set of their events, and go where the call goes."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import orjson
import pytest

from ingest import (
    AsteriskNormaliser,
    FreeswitchNormaliser,
    InvalidCallback,
    group_by_call,
    twilio_events,
)
from ingest.fold.fold import fold
from ingest.framing.ami_messages import AmiParser
from ingest.model.call_state import RecordingState
from ingest.model.events import CallEvent
from ingest.model.recording_events import is_location
from ingest.normalise.webhook import parse_events
from tests.support.call_truth import CALL_ID, calls_of, events_of_recording
from tests.unit.test_fold import T0, answered, event, folded
from tests.unit.test_ingest_webhook import NOW, item

FILE = "/var/spool/asterisk/monitor/2026/11/22/in-101.wav"
ENDS = [event("leg.ended", 20), event("leg.ended", 20, "a")]


def recorded(*facts: CallEvent, ended: bool = True) -> tuple[RecordingState, ...]:
    return folded(*answered(), *facts, *(ENDS if ended else ())).recordings


def started(at: float, leg: str = "caller", **attrs: Any) -> CallEvent:
    return event("recording.started", at, leg, attrs=attrs)


def stopped(at: float, leg: str = "caller", **attrs: Any) -> CallEvent:
    return event("recording.stopped", at, leg, attrs=attrs)


def test_a_recording_ends_with_what_it_recorded() -> None:
    """It goes on while the call does; then its file is ready, as long as it ran."""
    begun = started(8, recording=FILE, url=FILE)
    (running,) = recorded(begun, ended=False)
    (over,) = recorded(begun)

    assert (running.state, running.stopped_at, running.duration_ms) == ("recording", None, None)
    assert (over.state, over.url, over.duration_ms) == ("ready", FILE, 12_000)
    assert over.id == running.id
    (plumbing,) = recorded(started(8, "Local/101@agents;2", recording=FILE, url=FILE))
    assert (plumbing.state, plumbing.duration_ms, plumbing.extension) == ("ready", 12_000, None)


def test_a_recording_of_a_telephone_ends_with_it_and_not_with_the_call() -> None:
    """The caller talks on with somebody else, who is not recorded."""
    leaves = event("leg.ended", 12, "a")
    going_on = folded(*answered(), started(8, "a", recording=FILE), leaves).recordings
    over = folded(*answered(), started(8, "a", recording=FILE), leaves, ENDS[0]).recordings

    assert [(one.state, one.duration_ms) for one in (*going_on, *over)] == [("stopped", 4_000)] * 2


def test_a_recording_that_goes_on_after_a_pause_is_one() -> None:
    """From the first beginning to the last stop, however often it stopped between."""
    facts = [started(8, recording="r"), stopped(9, recording="r"), started(12, recording="r")]
    (goes_on,) = recorded(*facts, ended=False)
    (over,) = recorded(*facts, stopped(15, recording="r"))

    assert (goes_on.state, goes_on.stopped_at) == ("recording", None)
    assert (over.state, over.duration_ms) == ("stopped", 7_000)


def test_a_channel_recorded_into_two_files_has_two_recordings() -> None:
    """A stop that names no file ends the one that runs."""
    two = recorded(
        started(8),
        started(8, recording="a.wav", url="a.wav"),
        stopped(10),
        started(12),
        started(12, recording="b.wav", url="b.wav"),
    )

    assert [(one.url, one.duration_ms) for one in two] == [("a.wav", 2_000), ("b.wav", 8_000)]


def test_a_recording_without_a_file_name_is_still_recorded() -> None:
    """There is one, without a link; a file reported later takes its place."""
    (nameless,) = recorded(started(8, "a"), stopped(9, "a"))

    assert (nameless.state, nameless.url, nameless.extension) == ("stopped", None, "101")
    assert len(recorded(started(8, "a"), started(8.001, "a", recording=FILE, url=FILE))) == 1


def test_a_link_that_comes_late_and_one_that_moves_are_taken() -> None:
    """What was said last counts, whenever it came; without a beginning its length gives one."""
    ready = event(
        "recording.ready",
        3_600,
        attrs={"recording": "RE1", "url": "https://one.example/1", "duration_ms": 5_000},
    )
    moved = event(
        "recording.ready", 7_200, attrs={"recording": "RE1", "url": "https://two.example/1"}
    )
    (one,) = recorded(moved, ready)

    assert (one.state, one.url, one.duration_ms) == ("ready", "https://two.example/1", 5_000)
    assert one.started_at == T0 + timedelta(seconds=3_595)


def test_a_recording_that_failed_says_so_unless_there_is_a_link() -> None:
    """Whichever of the two was reported first."""
    failed = stopped(9, recording="r", result="failed")
    ready = event("recording.ready", 8, attrs={"recording": "r", "url": "https://a.example/r"})

    assert [one.state for one in recorded(failed)] == ["failed"]
    assert [one.state for one in recorded(failed, ready)] == ["ready"]


def test_recordings_change_nothing_else_of_a_call() -> None:
    """A file that is ready a day later does not make the call a day long."""
    late = event("recording.ready", 86_400, attrs={"recording": "r", "url": "r.wav"})
    early = started(-5, recording="r")
    plain = folded(*answered(), *ENDS)
    with_them = folded(*answered(), *ENDS, late, early)

    assert (with_them.started_at, with_them.ended_at) == (plain.started_at, plain.ended_at)
    assert (with_them.stints, with_them.legs) == (plain.stints, plain.legs)
    assert fold([late], call_id=CALL_ID) is None


def test_the_recordings_of_a_transfer_stay_with_the_call_in_any_order() -> None:
    """Of both halves of an attended transfer, in 100 shuffles with repeats, byte for byte."""
    events = events_of_recording("s05_sip_attended_transfer")
    legs = sorted({one.leg_key for one in events if one.type == "leg.answered" and one.leg_key})
    for number, leg in enumerate(legs):
        at = min(one.occurred_at for one in events if one.leg_key == leg) - T0
        began = event("recording.started", at.total_seconds(), leg, call_key=None,
                      attrs={"recording": f"{number}.wav", "url": f"{number}.wav"})  # fmt: skip
        ended = event("recording.stopped", at.total_seconds() + 3, leg, call_key=None)
        events += [began, ended]
    expected = orjson.dumps(calls_of(events), default=str)
    dice = random.Random(5)

    (call,) = calls_of(events)
    assert len(group_by_call(events)) == 1
    assert sorted(one.url or "" for one in call.recordings) == [
        f"{number}.wav" for number in range(len(legs))
    ]
    assert len(legs) > 2
    for _ in range(100):
        shuffled = events + dice.choices(events, k=dice.randrange(len(events)))
        dice.shuffle(shuffled)
        assert orjson.dumps(calls_of(shuffled), default=str) == expected


def ami(name: str, **fields: str) -> CallEvent | None:
    facts = {
        "Event": name,
        "Uniqueid": "1.1",
        "Linkedid": "1.1",
        "Channel": "PJSIP/101-1",
        **fields,
    }
    text = "".join(f"{key}: {value}\r\n" for key, value in facts.items()) + "\r\n"
    (message,) = AmiParser().feed(text.encode())
    return next(iter(AsteriskNormaliser("pbx").events(message, NOW)), None)


def test_asterisk_names_the_file_in_a_variable() -> None:
    """MixMonitorStart tells of the channel, MIXMONITOR_FILENAME of the file."""
    named = ami("VarSet", Variable="MIXMONITOR_FILENAME", Value=FILE)
    begun, over = ami("MixMonitorStart"), ami("MixMonitorStop")

    assert named
    assert (named.type, named.attrs) == (
        "recording.started",
        {"recording": FILE, "url": FILE},
    )
    assert begun
    assert (begun.type, begun.leg_key, begun.attrs) == ("recording.started", "1.1", {})
    assert over
    assert over.type == "recording.stopped"
    assert ami("VarSet", Variable="MIXMONITOR_FILENAME", Value="../../etc/passwd") is None


def test_freeswitch_tells_of_a_file_when_it_begins_and_stops() -> None:
    """The same file, and how long it is."""
    fields = {"Unique-ID": "u", "Record-File-Path": "/rec/u.wav", "Core-UUID": "c"}
    tell = FreeswitchNormaliser("pbx").events
    (begun,) = tell({**fields, "Event-Name": "RECORD_START", "Event-Sequence": "1"}, NOW)
    lasted = {"Event-Name": "RECORD_STOP", "Event-Sequence": "2", "variable_record_ms": "4200"}
    (over,) = tell({**fields, **lasted}, NOW)

    assert (begun.type, over.type, begun.leg_key) == ("recording.started", "recording.stopped", "u")
    assert over.attrs == {"recording": "/rec/u.wav", "url": "/rec/u.wav", "duration_ms": 4_200}
    huge = {**fields, **lasted, "variable_record_ms": "9" * 5_000}
    assert "duration_ms" not in tell(huge, NOW)[0].attrs


def twilio(**fields: str) -> list[CallEvent]:
    return twilio_events({"CallSid": "CA1", **fields}, source="cloud", received_at=NOW)


def test_twilio_posts_a_link_when_a_recording_is_completed() -> None:
    """In a callback of its own, or with the end of the call; both are the same fact."""
    said = {
        "RecordingSid": "RE1", "RecordingUrl": "https://api.twilio.com/RE1",
        "RecordingDuration": "7", "RecordingChannels": "2",
    }  # fmt: skip
    began = "Sun, 22 Nov 2026 19:59:00 +0000"
    alone = twilio(**said, RecordingStatus="completed", RecordingStartTime=began)
    with_call = twilio(**said, CallStatus="completed", Direction="inbound", From="+14155551212")
    (absent,) = twilio(RecordingSid="RE1", RecordingStatus="absent")

    assert [one.type for one in alone] == ["recording.started", "recording.ready"]
    assert alone[1].attrs == {
        "recording": "RE1", "url": "https://api.twilio.com/RE1", "duration_ms": 7_000, "channels": 2
    }  # fmt: skip
    assert alone[1].event_id in {one.event_id for one in with_call}
    assert (absent.type, absent.attrs["result"]) == ("recording.stopped", "failed")


@pytest.mark.parametrize(
    "fields",
    [
        {"RecordingStatus": "completed", "RecordingSid": "RE1"},
        {"RecordingStatus": "completed", "RecordingSid": "RE1", "RecordingUrl": "file:///etc"},
        {"RecordingStatus": "completed", "RecordingUrl": "https://a.example"},
        {"RecordingStatus": "odd", "RecordingSid": "RE1"},
        {"RecordingStatus": "failed", "RecordingSid": "RE/1"},
        {"RecordingStatus": "completed", "RecordingSid": "RE1", "RecordingStartTime": "now",
         "RecordingUrl": "https://a.example"},
    ],
)  # fmt: skip
def test_a_recording_callback_that_is_none_is_refused(fields: dict[str, str]) -> None:
    """Signed or not."""
    with pytest.raises(InvalidCallback):
        twilio(**fields)


@pytest.mark.parametrize(
    ("attrs", "code"),
    [
        ({"url": "https://a.example/1"}, "event.no_recording"),
        ({"recording": "r"}, "event.no_recording"),
        ({"recording": "r", "url": ""}, "event.no_recording"),
        ({"recording": "r", "url": "javascript:alert(1)"}, "event.invalid"),
        ({"recording": "r", "url": "file:///etc/passwd"}, "event.invalid"),
        ({"recording": "r", "url": "//elsewhere.example/1"}, "event.invalid"),
        ({"recording": "r", "url": "https://"}, "event.invalid"),
        ({"recording": "r", "url": "a/../../b"}, "event.invalid"),
        ({"recording": "r", "url": "a\nb"}, "event.invalid"),
        ({"recording": "r", "url": "a\0b"}, "event.invalid"),
        ({"recording": "r", "url": "x" * 2_001}, "event.too_long"),
        ({"recording": "r", "url": "a", "duration_ms": 2**31}, "event.invalid"),
    ],
)
def test_a_posted_recording_that_leads_nowhere_is_refused(attrs: dict[str, Any], code: str) -> None:
    """Only http, https and plain paths are links; the events beside it are taken."""
    wrong = item(type="recording.ready", attrs=attrs)
    right = item(type="recording.ready", attrs={"recording": "r", "url": "https://a.example/1"})

    parsed = parse_events([wrong, right], source="pbx", now=NOW)

    assert [(one.index, one.code) for one in parsed.rejected] == [(0, code)]
    assert parsed.indexes == [1]


def test_what_is_a_place_and_what_is_none() -> None:
    """Windows has drives, and a URL has no credentials of others to hide behind a backslash."""
    assert all(map(is_location, (FILE, "C:/rec/a b.wav", "http://[::1]:80/a", "2026/a.wav")))
    assert not any(
        map(
            is_location,
            ("", "https:/a", "http://[::1", "https://a\\@b/", "ftp://a/b", "\\\\host\\a"),
        )
    )
