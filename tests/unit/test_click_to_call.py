"""Click-to-call in all ways in which an Asterisk rings the caller first: taken, or not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ingest import parse_events
from ingest.model.call_state import CallState
from tests.support.call_truth import calls_of
from tests.support.scripted_pbx import T0, A, B, C, ScriptedPbx, talk_seconds
from tests.unit.test_callcenter import Core

MOBILE = "PJSIP/trunk-00000009"


def ring_first(pbx: ScriptedPbx, how: str, shown: str) -> str:
    """Let the PBX ring 301 to call somebody for it; return the channel that then dials."""
    if how == "telephone":
        pbx.new(A, of=A)
        pbx.send("NewCallerid", A, CallerIDNum=shown)
        pbx.dial("", A)
        pbx.ring(A)
        return A
    one, two = pbx.pair("301@from-internal", of="self")
    for half in (one, two):
        pbx.send("NewCallerid", half, CallerIDNum=shown)
    pbx.dial("", one)
    if how == "local":
        pbx.ring(one)
        return one
    devices = [A] if how == "local to a telephone" else [A, "PJSIP/301-0000000c"]
    for device in devices:
        pbx.new(device, of=one, number="301")
        pbx.dial(two, device)
        pbx.ring(device)
    return one


def take(pbx: ScriptedPbx, how: str) -> None:
    """Answer at 301."""
    one, two = "Local/301@from-internal-0000000a;1", "Local/301@from-internal-0000000a;2"
    if how == "telephone":
        pbx.up(A)
        return
    if how == "local":
        pbx.up(one)
        return
    pbx.up(A, two)
    pbx.up(one)
    pbx.enter("near", A, two)
    if how == "local to two telephones":
        pbx.hangup("PJSIP/301-0000000c", cause="26")


WAYS = ("telephone", "local", "local to a telephone", "local to two telephones")


def give_up(pbx: ScriptedPbx, how: str, cause: str) -> None:
    devices = {"telephone": [A], "local": [], "local to a telephone": [A]}
    pair = ["Local/301@from-internal-0000000a;2", "Local/301@from-internal-0000000a;1"]
    channels = devices.get(how, [A, "PJSIP/301-0000000c"]) + (pair if how != "telephone" else [])
    pbx.hangup(*channels, cause=cause)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("shown", ["0671234567", "+380671234567", "8 (067) 123-45-67", "12345678"])
@pytest.mark.parametrize(
    ("cause", "outcome"), [("19", "missed"), ("17", "missed"), ("21", "missed"), ("20", "failed")]
)
def test_click_to_call_that_is_not_taken_is_outbound_to_whom_it_shows(
    how: str, shown: str, cause: str, outcome: str
) -> None:
    """From its first ring to its end, for every way to ring, and however the number is written."""
    pbx = ScriptedPbx()
    ring_first(pbx, how, shown)
    ringing = pbx.call
    pbx.at(5)
    give_up(pbx, how, cause)

    for call in (ringing, pbx.call):
        assert (call.direction, call.number_raw, call.missed) == ("outbound", shown, False)
        assert all(leg.placed for leg in call.legs)
    assert (ringing.status, ringing.ringing) == ("ringing", frozenset({"301"}))
    assert (pbx.call.outcome, pbx.call.answered_extension) == (outcome, None)


@pytest.mark.parametrize("how", ["telephone", "local"])
def test_click_to_call_that_shows_a_colleague_is_internal(how: str) -> None:
    """Not taken: between two of ours, and no missed call."""
    pbx = ScriptedPbx()
    ring_first(pbx, how, "302")
    pbx.at(5)
    give_up(pbx, how, "19")

    assert (pbx.call.direction, pbx.call.number_raw, pbx.call.missed) == ("internal", "301", False)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("line", ["0671234567", "0441110001"])
@pytest.mark.parametrize("ends", ["talks", "nobody answers", "no channel"])
def test_click_to_call_that_is_taken_calls_whom_it_dials(how: str, line: str, ends: str) -> None:
    """The customer's number, also if the office's line is shown after the agent's answer."""
    pbx = ScriptedPbx()
    dials = ring_first(pbx, how, "0671234567")
    pbx.at(3)
    take(pbx, how)
    pbx.send("NewCallerid", dials, CallerIDNum=line)
    if ends != "no channel":
        pbx.new(MOBILE, of=dials)
        pbx.send("DialBegin", dials, MOBILE, DialString="0671234567@trunk")
        pbx.ring(MOBILE)
        pbx.at(10)
    if ends == "talks":
        pbx.up(MOBILE, dials)
        pbx.enter("far", MOBILE, dials)
        pbx.at(14)
    if ends != "no channel":
        pbx.hangup(MOBILE, cause="16" if ends == "talks" else "19")
    give_up(pbx, how if how != "local to two telephones" else "local to a telephone", "16")

    outcome = {"talks": "answered", "nobody answers": "missed", "no channel": "failed"}[ends]
    assert (pbx.call.direction, pbx.call.number_raw) == ("outbound", "0671234567")
    assert (pbx.call.outcome, pbx.call.missed) == (outcome, False)
    assert pbx.call.answered_extension == ("301" if ends == "talks" else None)
    assert talk_seconds(pbx.call) == ({"301": 4} if ends == "talks" else {})
    assert {leg.placed for leg in pbx.call.legs if leg.extension} == {True}


@pytest.mark.parametrize("by", ["mobile", "customer"])
def test_an_employee_who_takes_click_to_call_on_a_mobile_is_no_customer(by: str) -> None:
    """The PBX rings it beside the telephone in the office; whoever hangs up is told apart."""
    pbx, customer = ScriptedPbx(), "PJSIP/trunk-00000008"
    one, two = pbx.pair("301@from-internal", of=A)
    pbx.send("DialBegin", dest=one)
    pbx.new(A, MOBILE, customer, of=A)
    pbx.dial(two, A)
    pbx.ring(A)
    pbx.send("DialBegin", two, MOBILE, DialString="trunk/0509998877")
    pbx.ring(MOBILE)
    pbx.at(4)
    pbx.up(MOBILE, two)
    pbx.hangup(A, cause="26")
    pbx.enter("near", two, MOBILE)
    pbx.at(5)
    pbx.send("DialBegin", one, customer, DialString="trunk/0671234567")
    pbx.ring(customer)
    pbx.at(9)
    pbx.up(customer, one)
    pbx.enter("far", customer, one)
    pbx.at(60)
    pbx.send("HangupRequest", MOBILE if by == "mobile" else customer)
    pbx.hangup(MOBILE, two, one, customer)

    assert pbx.call.number_raw == "0671234567"
    assert pbx.call.ended_by == ("agent" if by == "mobile" else "customer")


def test_a_telephone_that_the_pbx_rings_with_its_own_number_calls_nobody() -> None:
    """Whom it is to call is not known yet."""
    pbx = ScriptedPbx()
    pbx.new(A, of=A)
    pbx.send("NewCallerid", A, CallerIDNum="301")
    pbx.dial("", A)
    pbx.ring(A)

    assert (pbx.call.direction, pbx.call.number_raw) == ("internal", "301")


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("consults", ["301 calls", "302 calls", "303 calls 302", "303 calls 301"])
def test_a_consultation_after_click_to_call_is_not_its_beginning(how: str, consults: str) -> None:
    """301 called 302 by a click; whoever then consults 303, it is still 301 who called 302."""
    pbx = ScriptedPbx()
    dials = ring_first(pbx, how, "302")
    pbx.at(2)
    take(pbx, how)
    pbx.new(B, of=dials)
    pbx.dial(dials, B)
    pbx.ring(B)
    pbx.at(4)
    pbx.up(B, dials)
    pbx.enter("far", B, dials)
    pbx.at(8)
    by = "302" if "302" in consults else "301"
    line = f"PJSIP/{by}-00000009"
    one, other = (C, line) if consults.startswith("303") else (line, C)
    pbx.new(one, of=one, number=one[6:9])
    pbx.new(other, of=one)
    pbx.dial(one, other)
    pbx.ring(other)
    pbx.at(10)
    pbx.up(other, one)
    pbx.enter("consult", other, one)
    pbx.at(14)
    first, stays = (B, dials) if by == "302" else (A if how == "telephone" else dials, B)
    if by == "301" and how.startswith("local to"):
        first = A
    pbx.send(
        "AttendedTransfer", Result="Success", OrigTransfererUniqueid=first, DestType="Bridge",
        SecondTransfererUniqueid=line, TransferTargetUniqueid=C,
    )  # fmt: skip
    pbx.leave(stays)
    pbx.enter("consult", stays)

    call = pbx.call
    assert (call.direction, call.number_raw, call.answered_extension) == ("internal", "301", "302")
    assert seconds_of(call) == 4
    assert [(t.by_extension, t.to_extension) for t in call.transfers] == [(by, "303")]


def seconds_of(call: CallState) -> int:
    assert call.answered_at
    return round((call.answered_at - call.started_at).total_seconds())


def freeswitch_rings(shown: str) -> Core:
    """`originate {origination_caller_id_number=…}user/1001 &bridge(…)`: its first leg rings."""
    core = Core()
    core.say(0, "CHANNEL_CREATE", "agent", Call_Direction="outbound", Channel_Call_UUID="agent",
             Channel_Name="sofia/internal/1001@10.0.0.9", Caller_Destination_Number="1001",
             Caller_Caller_ID_Number=shown)  # fmt: skip
    core.say(0, "CHANNEL_PROGRESS", "agent", Call_Direction="outbound")
    return core


@pytest.mark.parametrize(
    ("cause", "outcome"), [("NO_ANSWER", "missed"), ("CALL_REJECTED", "missed")]
)
def test_freeswitchs_click_to_call_that_is_not_taken_is_outbound(cause: str, outcome: str) -> None:
    """To the number that the telephone shows, from its first ring."""
    core = freeswitch_rings("0671234567")
    ringing = core.call
    core.hangup(6, "agent", cause)

    for call in (ringing, core.call):
        assert (call.direction, call.number_raw) == ("outbound", "0671234567")
        assert (call.number_e164, call.missed) == ("+380671234567", False)
        assert [(leg.extension, leg.placed) for leg in call.legs] == [("1001", True)]
    assert core.call.outcome == outcome


@pytest.mark.parametrize("shown", ["0000000000", "1002", "anonymous", ""])
def test_freeswitchs_click_to_call_without_a_number_to_show_is_internal(shown: str) -> None:
    """Its default caller id is ten zeros; a colleague's number is short."""
    core = freeswitch_rings(shown)
    core.hangup(6, "agent", "NO_ANSWER")

    assert (core.call.direction, core.call.number_raw) == ("internal", "1001")


def test_freeswitchs_click_to_call_that_is_taken_is_with_whom_it_bridges() -> None:
    """The second leg names the agent's as its originator."""
    core = freeswitch_rings("0671234567")
    core.say(3, "CHANNEL_ANSWER", "agent")
    core.say(3, "CHANNEL_CREATE", "customer", Call_Direction="outbound",
             Channel_Name="sofia/gateway/trunk/0671234567", Channel_Call_UUID="customer",
             Caller_Destination_Number="0671234567", variable_originator="agent")  # fmt: skip
    core.say(8, "CHANNEL_ANSWER", "customer")
    core.say(
        8, "CHANNEL_BRIDGE", "agent", Bridge_A_Unique_ID="agent", Bridge_B_Unique_ID="customer"
    )
    core.hangup(12, "customer")
    core.hangup(12, "agent")

    assert (core.call.direction, core.call.outcome) == ("outbound", "answered")
    assert (core.call.number_raw, core.call.answered_extension) == ("0671234567", "1001")
    assert talk_seconds(core.call) == {"1001": 4}
    assert [leg.placed for leg in core.call.legs] == [True, False]


@pytest.mark.parametrize("direction", ["outbound", "inbound"])
def test_a_posted_click_to_call_rings_the_telephone_with_which_it_began(direction: str) -> None:
    """A call that came in is never placed, though the PBX names the rung telephone as its first."""
    told = [
        (0, "call.started", {"attrs": {"direction": direction, "number": "0671234567"}}),
        (0, "leg.ringing", {}),
        (9, "leg.ended", {"attrs": {"result": "no_answer"}}),
        (9, "call.ended", {}),
    ]
    items = [
        {"type": kind, "call_key": "c", "leg_key": "a", "extension": "101",
         "occurred_at": (T0 + timedelta(seconds=at)).isoformat(), **more}
        for at, kind, more in told
    ]  # fmt: skip
    parsed = parse_events(items, source="main", region="UA", now=T0 + timedelta(minutes=1))
    (call,) = calls_of(parsed.events)

    assert (call.direction, call.outcome) == (direction, "missed")
    assert call.number_raw == "0671234567"
    assert [leg.placed for leg in call.legs] == [direction == "outbound"]


@pytest.mark.parametrize("further", [False, True])
@pytest.mark.parametrize("written", ["0671234567", "+380671234567"])
def test_an_outside_number_that_the_pbx_rings_first_is_one_telephone(
    written: str, further: bool
) -> None:
    """Its own connections are none, however the number is written and however many there are."""
    pbx = ScriptedPbx()
    one, two = pbx.pair(f"{written}@out", of="self")
    pbx.dial("", one)
    if further:
        inner, outer = pbx.pair("route@trunks", of="self")
        pbx.dial(two, inner)
        two = outer
    pbx.new(MOBILE, of="self")
    pbx.send("DialBegin", two, MOBILE, DialString=f"{written}@trunk")
    pbx.ring(MOBILE)

    assert [leg.leg_key for leg in pbx.call.legs] == [MOBILE]
    assert (pbx.call.direction, pbx.call.number_e164) == ("outbound", "+380671234567")
