"""Conferences: which one a call was in, and who talks in it."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from ingest import twilio_events
from ingest.model.call_state import CallState
from ingest.normalise.webhook import parse_events
from tests.support.call_truth import calls_of
from tests.support.scripted_pbx import CALLER, NUMBER, A, B, ScriptedPbx, seconds, talk_seconds
from tests.unit.test_callcenter import Core

NOW = datetime.now(UTC)
COMES_S = (5, 20)
"""When the first and the second enter."""


def enter(pbx: ScriptedPbx, channel: str, room: str = "7100") -> None:
    pbx.enter(f"conf-{room}", channel, BridgeCreator="ConfBridge", BridgeName=room,
              BridgeTechnology="softmix")  # fmt: skip


def conference(*, first: str, waits: str) -> ScriptedPbx:
    """Return a PBX with a caller and an agent who dialled in; both leave after 60 s."""
    pbx = ScriptedPbx()
    if waits == "queue":
        pbx.into_queue()
        pbx.send("MusicOnHoldStart", CALLER)
        pbx.at(3)
        pbx.send("QueueCallerLeave", CALLER, Queue="sales")
        pbx.send("MusicOnHoldStop", CALLER)
    else:
        pbx.call_in()
    order = [CALLER, A] if first == "caller" else [A, CALLER]
    for at, channel in zip(COMES_S, order, strict=True):
        pbx.at(at)
        if channel == A:
            pbx.new(A, of=A, number="301")
        enter(pbx, channel)
        if at == COMES_S[0] and waits == "alone with music":
            pbx.send("MusicOnHoldStart", channel)
    if waits == "alone with music":
        pbx.send("MusicOnHoldStop", order[0])
    pbx.at(60)
    pbx.hangup(CALLER, A)
    return pbx


@pytest.mark.parametrize("first", ["caller", "agent"])
@pytest.mark.parametrize("waits", ["nothing", "queue", "alone with music"])
def test_who_meets_in_a_confbridge_talks_from_when_both_are_there(first: str, waits: str) -> None:
    """Alone there nobody does, whoever comes first; a queue's music before it is no hold."""
    call = conference(first=first, waits=waits).call

    assert (call.room, call.direction, call.outcome) == ("7100", "inbound", "answered")
    assert (call.answered_extension, talk_seconds(call)) == ("301", {"301": 40})
    assert [leg.hold_ms for leg in call.legs if leg.hold_ms] == []


@pytest.mark.parametrize("channel", [CALLER, A])
def test_who_stays_alone_in_a_conference_talked_with_nobody(channel: str) -> None:
    """A caller who gives up there was missed."""
    pbx = ScriptedPbx()
    pbx.new(channel, of=channel, number=NUMBER if channel == CALLER else "301")
    enter(pbx, channel)
    pbx.at(40)
    pbx.hangup(channel)

    assert (pbx.call.room, pbx.call.talk_ms) == ("7100", None)
    assert pbx.call.missed == (channel == CALLER)


def test_of_several_conferences_the_last_is_named() -> None:
    """Shuffled, too."""
    pbx = ScriptedPbx()
    pbx.call_in()
    for at, room in ((5, "7300"), (20, "7200")):
        pbx.at(at)
        enter(pbx, CALLER, room)
        pbx.at(at + 10)
        pbx.leave(CALLER)
    pbx.hangup(CALLER)
    expected, dice = pbx.calls, random.Random(3)

    assert pbx.call.room == "7200"
    for _ in range(30):
        assert calls_of(dice.sample(pbx.heard, len(pbx.heard))) == expected


@pytest.mark.parametrize("number", ["100", "8600051"])
def test_callers_of_one_meetme_stay_two_calls_with_its_number(number: str) -> None:
    """Asterisk does not say who is there with whom, and uses the number again tomorrow."""
    pbx = ScriptedPbx()
    for at, channel in ((0, CALLER), (60, "PJSIP/trunk-00000008")):
        pbx.at(at)
        pbx.new(channel, of=channel, number=NUMBER)
        pbx.send("MeetmeJoin", channel, Meetme=number, Usernum="1")
        pbx.at(at + 100)
        pbx.hangup(channel)

    assert [(call.room, call.direction) for call in pbx.calls] == [(number, "inbound")] * 2


def test_freeswitch_names_the_conference_as_the_leg_ends() -> None:
    """Two callers of it are two calls."""
    core = Core()
    for uuid in ("a", "b"):
        core.say(0, "CHANNEL_CREATE", uuid, Call_Direction="inbound",
                 Channel_Name="sofia/external/trunk", Caller_Caller_ID_Number=NUMBER)  # fmt: skip
        core.say(9, "CHANNEL_HANGUP_COMPLETE", uuid, variable_conference_name="3000")

    assert [call.room for call in calls_of(core.heard)] == ["3000", "3000"]


def test_twilio_names_it_as_it_was_called() -> None:
    """Not by its id, which is another one each time."""
    sid = "CA" + "1" * 32
    call = {"CallSid": sid, "Direction": "inbound", "From": NUMBER, "CallStatus": "ringing"}
    joined = {"CallSid": sid, "ConferenceSid": "CF" + "2" * 32, "FriendlyName": "room-17",
              "StatusCallbackEvent": "participant-join"}  # fmt: skip
    events = [e for f in (call, joined) for e in twilio_events(f, source="p", received_at=NOW)]

    assert [one.room for one in calls_of(events)] == ["room-17"]


def posted(**attrs: str) -> CallState:
    items = [
        {"type": kind, "occurred_at": NOW.isoformat(), "call_key": "c", "leg_key": leg, **more}
        for kind, leg, more in (
            ("call.started", "c", {"attrs": {"number": NUMBER}}),
            ("bridge.joined", "c", {"attrs": {"bridge": "b", **attrs}}),
        )
    ]
    parsed = parse_events(items, source="pbx")
    assert not parsed.rejected
    (call,) = calls_of(parsed.events)
    return call


def test_a_posted_conference_has_a_name() -> None:
    """A bridge without one is no conference."""
    assert posted(conference="7100").room == "7100"
    assert posted().room is None


def test_a_bridge_of_two_is_no_conference() -> None:
    """Asterisk's other bridges have no names, or technical ones."""
    pbx = ScriptedPbx()
    pbx.call_in()
    pbx.rings(B)
    pbx.at(4)
    pbx.up(B, CALLER)
    pbx.enter("talk", CALLER, B, BridgeCreator="<unknown>", BridgeName="<unknown>")
    pbx.at(20)
    pbx.hangup(CALLER, B)

    assert (pbx.call.room, seconds(pbx.call.talk_ms)) == (None, 16)
