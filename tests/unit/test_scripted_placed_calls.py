"""Calls that the PBX places, without a recording: none of them is missed."""

from __future__ import annotations

import pytest

from tests.support.scripted_pbx import (
    CALLER,
    NUMBER,
    A,
    C,
    ScriptedPbx,
    leg_of_extension,
    talk_seconds,
)


@pytest.mark.parametrize("status", ["BUSY", "NOANSWER", "ANSWER"])
def test_click_to_call_that_the_agent_refuses_is_no_missed_call(status: str) -> None:
    """Originate by Local/301@from-internal, with the customer's number as the caller id shown."""
    pbx = ScriptedPbx()
    one, two = pbx.pair("301@from-internal", of="self")
    pbx.send("NewCallerid", one, CallerIDNum="0671234567")
    pbx.dial("", one)
    pbx.new(A, of=one)
    pbx.dial(two, A)
    pbx.ring(A)
    pbx.at(3)
    if status != "ANSWER":
        pbx.send("DialEnd", two, A, DialStatus=status)
        pbx.hangup(A, two, one, cause="17" if status == "BUSY" else "19")
        assert (pbx.call.direction, pbx.call.missed) == ("outbound", False)
        assert (pbx.call.number_raw, pbx.call.outcome) == ("0671234567", "missed")
        assert [(leg.extension, leg.placed) for leg in pbx.call.legs] == [("301", True)]
        return
    customer = "PJSIP/trunk-00000009"
    pbx.up(A, two)
    pbx.up(one)
    pbx.enter("near", A, two)
    pbx.new(customer, of=one)
    pbx.send("DialBegin", one, customer, DialString="0671234567@trunk")
    pbx.ring(customer)
    pbx.at(10)
    pbx.up(customer, one)
    pbx.enter("far", customer, one)
    pbx.at(14)
    pbx.hangup(customer, one, two, A)

    assert (pbx.call.direction, pbx.call.outcome) == ("outbound", "answered")
    assert (pbx.call.number_raw, pbx.call.answered_extension) == ("0671234567", "301")
    assert [leg.placed for leg in pbx.call.legs] == [True, False]
    assert talk_seconds(pbx.call) == {"301": 4}


def test_a_customer_whom_the_pbx_rings_first_and_does_not_reach_has_not_called() -> None:
    """A callback placed by Originate to the trunk: outbound, whether or not he answers."""
    pbx = ScriptedPbx()
    pbx.new(CALLER, number=NUMBER)
    pbx.send("DialBegin", "", CALLER, DialString="0671234567@trunk")
    pbx.ring(CALLER)
    pbx.at(20)
    pbx.send("DialEnd", "", CALLER, DialStatus="NOANSWER")
    pbx.hangup(CALLER, cause="19")

    assert (pbx.call.direction, pbx.call.outcome, pbx.call.missed) == ("outbound", "missed", False)
    assert pbx.call.number_raw == "0671234567"


def test_a_local_channel_named_for_whom_it_dials_is_a_way_out() -> None:
    """Originate by Local/0671234567@out, with the office's line as the caller id: outbound."""
    pbx = ScriptedPbx()
    one, two = pbx.pair("0671234567@out", of="self")
    pbx.send("NewCallerid", one, CallerIDNum="0441110001")
    pbx.dial("", one)
    near, far = pbx.pair("0671234567@pstn", of=one)
    pbx.send("DialBegin", two, near, DialString="0671234567@pstn/n")
    pbx.ring(near)
    pbx.at(20)
    pbx.hangup(far, near, two, one, cause="19")

    assert (pbx.call.direction, pbx.call.number_raw) == ("outbound", "0671234567")
    assert (pbx.call.outcome, pbx.call.missed) == ("missed", False)


@pytest.mark.parametrize("answers", [True, False])
def test_a_local_channel_that_dials_out_for_a_short_number_is_its_call(answers: bool) -> None:
    """Local/0671234567@out for 105, by whom it is shown: outbound, and no missed call from 105."""
    pbx = ScriptedPbx()
    customer = "PJSIP/trunk-00000009"
    one, two = pbx.pair("0671234567@out", of="self")
    for half in (one, two):
        pbx.send("NewCallerid", half, CallerIDNum="105")
    pbx.dial("", one)
    pbx.new(customer, of=one)
    pbx.send("DialBegin", two, customer, DialString="0671234567@trunk")
    pbx.ring(customer)
    pbx.at(3)
    if answers:
        pbx.up(customer, two)
        pbx.enter("talk", customer, two)
        pbx.at(7)
    pbx.hangup(customer, two, one, cause="16" if answers else "19")

    assert (pbx.call.direction, pbx.call.missed) == ("outbound", False)
    assert pbx.call.outcome == ("answered" if answers else "missed")
    assert (pbx.call.number_raw, pbx.call.answered_extension) == (
        "0671234567",
        "105" if answers else None,
    )


def test_a_feature_code_through_a_local_channel_is_dialled_by_one_of_ours() -> None:
    """Local/*8@internal for 303 picks up what rings at 301."""
    pbx = ScriptedPbx()
    pbx.call_in()
    pbx.rings(A)
    pbx.at(2)
    one, two = pbx.pair("*8@internal", of="self")
    for half in (one, two):
        pbx.send("NewCallerid", half, CallerIDNum="303")
    pbx.dial("", one)
    pbx.send("Pickup", two, TargetUniqueid=A, TargetLinkedid=CALLER)
    pbx.hangup(A)
    pbx.enter("talk", two, CALLER)
    pbx.at(6)
    pbx.hangup(CALLER, two, one)

    assert (pbx.call.direction, pbx.call.answered_extension) == ("inbound", "303")
    assert leg_of_extension(pbx.call, "301").ended_reason == "answered_elsewhere"
    assert talk_seconds(pbx.call) == {"303": 4}


def test_channels_that_asterisk_makes_for_itself_are_nobodys_call() -> None:
    """One that passes SIP texts on and never ends, one that says that an Originate failed."""
    pbx = ScriptedPbx()
    for name in ("Message/ast_msg_queue", "OutgoingSpoolFailed"):
        pbx.new(name, of=name)
        pbx.send("Newstate", name, ChannelStateDesc="Up")
    pbx.hangup("OutgoingSpoolFailed")

    assert pbx.calls == []


def test_a_far_end_that_only_sends_its_ringing_tone_rings() -> None:
    """SIP 183 and never 180, as many trunks answer a call out."""
    pbx = ScriptedPbx()
    customer = "PJSIP/trunk-00000009"
    pbx.new(C, of=C, number="303")
    pbx.new(customer, of=C)
    pbx.send("DialBegin", C, customer, DialString="0671234567@trunk")
    pbx.send("DialState", C, customer, DialStatus="PROGRESS")

    assert pbx.call.status == "ringing"
