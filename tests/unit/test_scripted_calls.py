"""Calls without a recording, sent as Asterisk sends them: each folds to what happened."""

from __future__ import annotations

import pytest

from tests.support.scripted_pbx import (
    CALLER,
    NUMBER,
    A,
    B,
    C,
    ScriptedPbx,
    leg_of_extension,
    seconds,
    talk_seconds,
)


def test_a_redirect_that_the_queue_does_not_notice_ends_the_agents_talk() -> None:
    """The queue says 8 s for the agent who talked 3 s; bridges know better."""
    pbx = ScriptedPbx()
    pbx.queue_to(A)
    pbx.at(5)
    pbx.leave(CALLER)
    pbx.hangup(A)
    pbx.rings(B)
    pbx.at(6)
    pbx.up(B, CALLER)
    pbx.enter("second", B, CALLER)
    pbx.at(10)
    pbx.send("AgentComplete", CALLER, Queue="sales", TalkTime="8", Reason="caller")
    pbx.hangup(CALLER, B)

    assert talk_seconds(pbx.call) == {"301": 3, "302": 4}
    assert (pbx.call.outcome, pbx.call.answered_extension) == ("answered", "301")
    assert seconds(pbx.call.talk_ms) == 7


def test_moving_a_telephone_makes_no_second_one() -> None:
    """Redirecting the agent himself takes a channel of Asterisk's own, which is nobody."""
    pbx = ScriptedPbx()
    pbx.queue_to(A)
    pbx.at(5)
    helper = f"AsyncGoto/{A}"
    pbx.new(helper)
    pbx.leave(A)
    pbx.send("Hangup", f"{helper}<ZOMBIE>", Uniqueid=helper, Cause="16")
    pbx.hangup(A, CALLER)

    assert [leg.extension for leg in pbx.call.legs] == [None, "301"]
    assert pbx.call.status == "ended"


def test_a_parked_call_is_one_call_and_parking_is_no_talk() -> None:
    """301 parks after 3 s, 303 fetches 4 s later from a call of its own, and talks 5 s."""
    pbx = ScriptedPbx()
    pbx.queue_to(A)
    pbx.at(5)
    pbx.leave(CALLER)
    pbx.enter("lot", CALLER, BridgeTechnology="holding_bridge")
    pbx.hangup(A)
    pbx.at(9)
    pbx.new(C, of=C, number="303")
    pbx.send("BridgeLeave", CALLER, BridgeUniqueid="lot", BridgeTechnology="holding_bridge")
    pbx.enter("fetched", CALLER, C)
    pbx.at(14)
    pbx.send("AgentComplete", Queue="sales", MemberName="Alice 301", TalkTime="12")
    pbx.hangup(CALLER, C)

    assert talk_seconds(pbx.call) == {"301": 3, "303": 5}
    assert (pbx.call.direction, pbx.call.outcome) == ("inbound", "answered")
    assert pbx.call.answered_extension == "301"


def test_a_telephone_that_forwards_missed_nothing() -> None:
    """The queue rang 301 and credits 301; its telephone forwards, and 303 answers."""
    pbx = ScriptedPbx()
    pbx.into_queue()
    pbx.new(A)
    pbx.dial(CALLER, A)
    one, two = pbx.pair("303@internal")
    pbx.send("DialEnd", CALLER, A, DialStatus="CANCEL", Forward="303")
    pbx.dial(CALLER, one)
    pbx.hangup(A, cause="0")
    pbx.rings(C, by=two)
    pbx.at(2)
    pbx.up(C, two)
    pbx.up(one, CALLER)
    pbx.enter("inner", C, two)
    pbx.answered(one)
    pbx.at(5)
    pbx.hangup(C, two, one, CALLER)

    assert pbx.call.answered_extension == "303"
    assert leg_of_extension(pbx.call, "301").ended_reason == "canceled"
    assert leg_of_extension(pbx.call, "301").ringing_at is None
    assert talk_seconds(pbx.call) == {"303": 3}
    assert [stint.outcome for stint in pbx.call.stints] == ["connected"]


def test_an_attended_transfer_by_key_codes_survives_merge_and_optimisation() -> None:
    """Local halves, a second bridge, BridgeMerge, and a swap as the pair is optimised away."""
    pbx = ScriptedPbx()
    pbx.queue_to(A)
    pbx.at(5)
    pbx.send("Hold", A)
    pbx.send("MusicOnHoldStart", CALLER)
    one, two = pbx.consult(A, C)
    pbx.at(7)
    pbx.up(C, two)
    pbx.enter("far", C)
    pbx.up(one)
    pbx.enter("far", two)
    pbx.at(10)
    pbx.leave(A)
    pbx.send("BridgeMerge", ToBridgeUniqueid="talk", FromBridgeUniqueid="consult")
    pbx.leave(one)
    pbx.enter("talk", one)
    pbx.send("MusicOnHoldStop", CALLER)
    pbx.send("AttendedTransfer", Result="Success", OrigTransfererUniqueid=A,
            SecondTransfererUniqueid=A, DestType="Bridge")  # fmt: skip
    pbx.hangup(A)
    pbx.leave(C, one)
    pbx.enter("talk", C, SwapUniqueid=one)
    pbx.leave(two)
    pbx.hangup(two, one)
    pbx.at(14)
    pbx.hangup(CALLER, C)

    assert talk_seconds(pbx.call) == {"301": 8, "303": 7}
    assert seconds(leg_of_extension(pbx.call, "301").hold_ms) == 5
    assert [leg.extension for leg in pbx.call.legs] == [None, "301", "303"]
    assert pbx.call.answered_extension == "301"


@pytest.mark.parametrize("answers", [True, False])
def test_a_caller_transferred_into_a_queue_waits_in_it(answers: bool) -> None:
    """301 enters another queue to announce the caller, and hands him on while it waits there."""
    pbx = ScriptedPbx()
    pbx.queue_to(A)
    pbx.at(5)
    own = "PJSIP/301-00000009"
    pbx.new(own, of=own, number="301")
    pbx.send("QueueCallerJoin", own, Queue="support")
    pbx.at(8)
    pbx.leave(CALLER)
    pbx.send("AttendedTransfer", Result="Success", OrigTransfererUniqueid=A,
            SecondTransfererUniqueid=own, DestType="App")  # fmt: skip
    pbx.hangup(own, A)
    waiting = pbx.call.stints[1]
    pbx.at(15)
    pbx.send("QueueCallerLeave", CALLER, Queue="support")
    if answers:
        pbx.new(C)
        pbx.dial(CALLER, C)
        pbx.up(C, CALLER)
        pbx.send("AgentConnect", CALLER, C, Queue="support", HoldTime="10")
        pbx.enter("after", C, CALLER)
        pbx.at(20)
        pbx.hangup(C)
    else:
        pbx.send("QueueCallerAbandon", CALLER, Queue="support")
    pbx.hangup(CALLER)

    ended = "connected" if answers else "abandoned"
    assert (waiting.queue, waiting.outcome) == ("support", None)
    assert [(stint.queue, stint.outcome) for stint in pbx.call.stints] == [
        ("sales", "connected"),
        ("support", ended),
    ]
    assert seconds(pbx.call.stints[1].wait_ms) == 10


@pytest.mark.parametrize("status", ["BUSY", "NOANSWER"])
def test_a_consultation_that_nobody_takes_is_no_missed_call(status: str) -> None:
    """301 asks 303, who does not answer, and comes back to the caller."""
    pbx = ScriptedPbx()
    pbx.queue_to(A)
    pbx.at(5)
    pbx.send("Hold", A)
    one, two = pbx.consult(A, C)
    pbx.at(8)
    pbx.send("DialEnd", two, C, DialStatus=status)
    pbx.hangup(C, two, one, cause="17" if status == "BUSY" else "19")
    pbx.leave(A)
    pbx.enter("talk", A)
    pbx.at(12)
    pbx.hangup(CALLER, A)

    assert talk_seconds(pbx.call) == {"301": 10}
    assert leg_of_extension(pbx.call, "303").ended_reason == (
        "busy" if status == "BUSY" else "no_answer"
    )
    assert (pbx.call.outcome, pbx.call.missed) == ("answered", False)


def test_an_optimised_inner_leg_is_transferred_like_any_other() -> None:
    """FreePBX without /n: the telephone swaps in, hands on blindly, and AgentComplete misnames."""
    pbx = ScriptedPbx()
    pbx.into_queue()
    one, two = pbx.pick_up_behind("301@from-queue", A)
    pbx.up(one, CALLER)
    pbx.enter("inner", A, two)
    pbx.answered(one)
    pbx.leave(A, one)
    pbx.enter("talk", A, SwapUniqueid=one)
    pbx.leave(two)
    pbx.hangup(two, one)
    pbx.at(6)
    pbx.send("Unhold", A)
    pbx.leave(CALLER, A)
    pbx.send("BlindTransfer", TransfererUniqueid=A, TransfererLinkedid=CALLER,
            TransfereeUniqueid=CALLER, Extension="303", Result="Success")  # fmt: skip
    pbx.send("AgentComplete", CALLER, A, Queue="sales", Reason="transfer")
    pbx.hangup(A)
    pbx.rings(C)
    pbx.at(8)
    pbx.up(C, CALLER)
    pbx.enter("after", C, CALLER)
    pbx.at(11)
    pbx.hangup(CALLER, C)

    assert talk_seconds(pbx.call) == {"301": 4, "303": 3}
    assert [leg.extension for leg in pbx.call.legs] == [None, "301", "303"]
    assert leg_of_extension(pbx.call, "301").hold_ms is None


def test_a_hidden_number_is_kept_as_the_trunk_gave_it() -> None:
    """A trusted trunk gives the real number; one that does not, no number to call back."""
    trusted, anonymous = ScriptedPbx(), ScriptedPbx()
    trusted.call_in()
    trusted.send("NewCallerid", CALLER, CallerIDNum=NUMBER, CallerIDName="<unknown>",
                **{"CID-CallingPres": "32 (Presentation Prohibited, Not Screened)"})  # fmt: skip
    anonymous.new(CALLER, number="anonymous")
    for pbx in (trusted, anonymous):
        pbx.hangup(CALLER)

    assert (trusted.call.number_raw, trusted.call.number_e164) == (NUMBER, NUMBER)
    assert (anonymous.call.number_raw, anonymous.call.number_e164) == ("anonymous", None)
    assert trusted.call.missed


@pytest.mark.parametrize("accepts", [True, False])
def test_picking_up_without_accepting_by_key_is_no_answer(accepts: bool) -> None:
    """A ring group that asks `press 1 to accept`: a voicemail that picks up answered nothing."""
    pbx = ScriptedPbx()
    pbx.call_in()
    one, two = pbx.pick_up_behind("301@confirm", A)
    pbx.enter("asking", A, two)
    pbx.at(6)
    if accepts:
        pbx.up(one, CALLER)
        pbx.enter("talk", one, CALLER)
        pbx.at(9)
    pbx.hangup(A, two, one, CALLER)

    assert pbx.call.outcome == ("answered" if accepts else "missed")
    assert pbx.call.missed == (not accepts)
    assert talk_seconds(pbx.call) == ({"301": 3} if accepts else {})


def test_a_caller_waits_on_until_somebody_has_accepted() -> None:
    """A queue's member who is asked for a key has picked up; the caller is still in the queue."""
    pbx = ScriptedPbx()
    pbx.into_queue()
    one, two = pbx.pick_up_behind("301@confirm", A)
    pbx.enter("asking", A, two)
    asked = pbx.call
    pbx.at(6)
    pbx.up(one, CALLER)
    pbx.answered(one)

    assert (asked.status, asked.stints[0].outcome) == ("waiting", None)
    assert (pbx.call.status, pbx.call.stints[0].outcome) == ("talking", "connected")
    assert seconds(pbx.call.wait_ms) == 6


@pytest.mark.parametrize("answers", [True, False])
def test_a_call_forwarded_to_an_outsider_is_answered_by_him_alone(answers: bool) -> None:
    """A mobile telephone that takes the office's calls: no missed call when it answers."""
    pbx = ScriptedPbx()
    mobile = "PJSIP/trunk-00000009"
    pbx.call_in()
    pbx.rings(mobile)
    pbx.at(3)
    if answers:
        pbx.up(mobile, CALLER)
        pbx.enter("talk", mobile, CALLER)
        pbx.at(8)
    pbx.hangup(mobile, CALLER)

    assert (pbx.call.direction, pbx.call.missed) == ("inbound", not answers)
    assert pbx.call.answered_extension is None
    assert seconds(pbx.call.talk_ms) == (5 if answers else 0)


def test_a_mobile_that_is_up_but_talks_with_nobody_has_not_taken_the_call() -> None:
    """Its network answers with an announcement; the caller waits in a bridge of one, and leaves."""
    pbx = ScriptedPbx()
    mobile = "PJSIP/trunk-00000009"
    pbx.call_in()
    pbx.enter("waiting-room", CALLER)
    pbx.rings(A)
    pbx.rings(mobile)
    pbx.at(3)
    pbx.up(mobile, CALLER)
    pbx.at(8)
    pbx.hangup(mobile, A, CALLER)

    assert (pbx.call.direction, pbx.call.answered_at) == ("inbound", None)
    assert pbx.call.missed


@pytest.mark.parametrize("cause", ["18", "19"])
def test_a_telephone_that_rang_out_or_did_not_respond_has_not_answered(cause: str) -> None:
    """Nobody took the call back: the employee missed it."""
    pbx = ScriptedPbx()
    pbx.call_in()
    pbx.rings(A)
    pbx.at(20)
    pbx.hangup(A, cause=cause)
    pbx.hangup(CALLER)

    assert leg_of_extension(pbx.call, "301").ended_reason == "no_answer"
    assert (pbx.call.outcome, pbx.call.missed) == ("missed", True)
