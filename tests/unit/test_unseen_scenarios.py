"""Calls of which no recording is here, told as Asterisk tells them: each folds to what happened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.connectors import recording
from ingest.connectors.ami_messages import AmiMessage
from ingest.events import CallEvent
from ingest.normalise.asterisk import AsteriskDialect, AsteriskNormaliser
from ingest.state import CallState, LegState
from tests.unit.call_truth import (
    RECORDINGS,
    call_for,
    calls_of,
    differences,
    names,
    truths_of,
)

T0 = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
CALLER = "PJSIP/trunk-00000001"
NUMBER = "+380671234567"


class Pbx:
    """Says what an Asterisk would; a channel's name, told once, is its unique id."""

    def __init__(self) -> None:
        self._at = 0.0
        self._linked: dict[str, str] = {}
        self._bridges: dict[str, str] = {}
        self._heard: list[CallEvent] = []
        self._normaliser = AsteriskNormaliser("pbx", AsteriskDialect(region="UA"))

    def at(self, seconds: float) -> None:
        self._at = seconds

    def say(self, event: str, channel: str = "", dest: str = "", **fields: str) -> None:
        told = {"Event": event}
        for prefix, name in (("", channel), ("Dest", dest)):
            if name:
                told |= {f"{prefix}Channel": name, f"{prefix}Uniqueid": name}
                told[f"{prefix}Linkedid"] = self._linked.get(name, name)
        message = AmiMessage(tuple((told | fields).items()))
        self._at += 0.001
        moment = T0 + timedelta(seconds=self._at)
        self._heard += self._normaliser.events(message, moment)

    def new(self, *channels: str, of: str = CALLER, number: str = "<unknown>") -> None:
        for channel in channels:
            self._linked[channel] = self._linked.get(of, of)
            self.say("Newchannel", channel, CallerIDNum=number, ChannelStateDesc="Down")

    def dial(self, by: str, channel: str) -> None:
        self.say("DialBegin", by, channel)

    def ring(self, channel: str) -> None:
        self.say("Newstate", channel, ChannelStateDesc="Ringing")

    def up(self, channel: str, by: str = "") -> None:
        self.say("Newstate", channel, ChannelStateDesc="Up")
        self.say("DialEnd", by, channel, DialStatus="ANSWER")

    def enter(self, bridge: str, *channels: str, **fields: str) -> None:
        for channel in channels:
            self._bridges[channel] = bridge
            self.say("BridgeEnter", channel, BridgeUniqueid=bridge, **fields)

    def leave(self, *channels: str) -> None:
        for channel in channels:
            self.say("BridgeLeave", channel, BridgeUniqueid=self._bridges.pop(channel))

    def hangup(self, *channels: str, cause: str = "16") -> None:
        for channel in channels:
            if channel in self._bridges:
                self.leave(channel)
            self.say("Hangup", channel, Cause=cause)

    def call_in(self) -> None:
        self.new(CALLER, number=NUMBER)

    def into_queue(self) -> None:
        self.call_in()
        self.say("Newexten", CALLER, Application="Queue", AppData="sales,t")
        self.say("QueueCallerJoin", CALLER, Queue="sales")

    def answered(self, agent: str) -> None:
        """The caller has come out of the queue to this channel, and both are in one bridge."""
        self.say("QueueCallerLeave", CALLER, Queue="sales")
        self.say("AgentConnect", CALLER, agent, Queue="sales", MemberName="Alice 301")
        self.enter("talk", agent, CALLER)

    def queue_to(self, agent: str, after: float = 2) -> None:
        """A caller in a queue, and the agent who answers him."""
        self.into_queue()
        self.new(agent)
        self.dial(CALLER, agent)
        self.ring(agent)
        self.at(after)
        self.up(agent, CALLER)
        self.answered(agent)

    def pair(self, name: str, of: str = CALLER) -> tuple[str, str]:
        one, two = f"Local/{name}-0000000a;1", f"Local/{name}-0000000a;2"
        self.new(one, two, of=of)
        return one, two

    @property
    def calls(self) -> list[CallState]:
        """The calls so far, the same from the last to the first and with repeats."""
        found = calls_of(self._heard)
        assert calls_of([*reversed(self._heard), *self._heard[::3]]) == found
        return found

    @property
    def call(self) -> CallState:
        (call,) = self.calls
        return call


def seconds(milliseconds: int | None) -> int:
    return round((milliseconds or 0) / 1000)


def leg(call: CallState, extension: str) -> LegState:
    (found,) = (leg for leg in call.legs if leg.extension == extension)
    return found


def talked(call: CallState) -> dict[str, int]:
    """How many seconds each of our telephones talked."""
    ours = (leg for leg in call.legs if leg.extension and leg.talk_ms)
    return {str(leg.extension): seconds(leg.talk_ms) for leg in ours}


A, B, C = "PJSIP/301-00000002", "PJSIP/302-00000003", "PJSIP/303-00000004"


def test_a_redirect_that_the_queue_does_not_notice_ends_the_agents_talk() -> None:
    """The queue says 8 s for the agent who talked 3 s; bridges know better."""
    pbx = Pbx()
    pbx.queue_to(A)
    pbx.at(5)
    pbx.leave(CALLER)
    pbx.hangup(A)
    pbx.new(B)
    pbx.dial(CALLER, B)
    pbx.ring(B)
    pbx.at(6)
    pbx.up(B, CALLER)
    pbx.enter("second", B, CALLER)
    pbx.at(10)
    pbx.say("AgentComplete", CALLER, Queue="sales", TalkTime="8", Reason="caller")
    pbx.hangup(CALLER, B)

    assert talked(pbx.call) == {"301": 3, "302": 4}
    assert (pbx.call.outcome, pbx.call.answered_extension) == ("answered", "301")
    assert seconds(pbx.call.talk_ms) == 7


def test_moving_a_telephone_makes_no_second_one() -> None:
    """Redirecting the agent himself takes a channel of Asterisk's own, which is nobody."""
    pbx = Pbx()
    pbx.queue_to(A)
    pbx.at(5)
    helper = f"AsyncGoto/{A}"
    pbx.new(helper)
    pbx.leave(A)
    pbx.say("Hangup", f"{helper}<ZOMBIE>", Uniqueid=helper, Cause="16")
    pbx.hangup(A, CALLER)

    assert [leg.extension for leg in pbx.call.legs] == [None, "301"]
    assert pbx.call.status == "ended"


def test_a_parked_call_is_one_call_and_parking_is_no_talk() -> None:
    """301 parks after 3 s, 303 fetches 4 s later from a call of its own, and talks 5 s."""
    pbx = Pbx()
    pbx.queue_to(A)
    pbx.at(5)
    pbx.leave(CALLER)
    pbx.enter("lot", CALLER, BridgeTechnology="holding_bridge")
    pbx.hangup(A)
    pbx.at(9)
    pbx.new(C, of=C, number="303")
    pbx.say("BridgeLeave", CALLER, BridgeUniqueid="lot", BridgeTechnology="holding_bridge")
    pbx.enter("fetched", CALLER, C)
    pbx.at(14)
    pbx.say("AgentComplete", Queue="sales", MemberName="Alice 301", TalkTime="12")
    pbx.hangup(CALLER, C)

    assert talked(pbx.call) == {"301": 3, "303": 5}
    assert (pbx.call.direction, pbx.call.outcome) == ("inbound", "answered")
    assert pbx.call.answered_extension == "301"


def test_a_telephone_that_forwards_missed_nothing() -> None:
    """The queue rang 301 and credits 301; its telephone forwards, and 303 answers."""
    pbx = Pbx()
    pbx.into_queue()
    pbx.new(A)
    pbx.dial(CALLER, A)
    one, two = pbx.pair("303@internal")
    pbx.say("DialEnd", CALLER, A, DialStatus="CANCEL", Forward="303")
    pbx.dial(CALLER, one)
    pbx.hangup(A, cause="0")
    pbx.new(C)
    pbx.dial(two, C)
    pbx.ring(C)
    pbx.at(2)
    pbx.up(C, two)
    pbx.up(one, CALLER)
    pbx.enter("inner", C, two)
    pbx.answered(one)
    pbx.at(5)
    pbx.hangup(C, two, one, CALLER)

    assert pbx.call.answered_extension == "303"
    assert leg(pbx.call, "301").ended_reason == "canceled"
    assert leg(pbx.call, "301").ringing_at is None
    assert talked(pbx.call) == {"303": 3}
    assert [stint.outcome for stint in pbx.call.stints] == ["connected"]


def test_an_attended_transfer_by_key_codes_survives_merge_and_optimisation() -> None:
    """Local halves, a second bridge, BridgeMerge, and a swap as the pair is optimised away."""
    pbx = Pbx()
    pbx.queue_to(A)
    pbx.at(5)
    pbx.say("Hold", A)
    pbx.say("MusicOnHoldStart", CALLER)
    one, two = pbx.pair("303@internal")
    pbx.enter("consult", one)
    pbx.new(C)
    pbx.dial(two, C)
    pbx.leave(A)
    pbx.enter("consult", A)
    pbx.ring(C)
    pbx.at(7)
    pbx.up(C, two)
    pbx.enter("far", C)
    pbx.up(one)
    pbx.enter("far", two)
    pbx.at(10)
    pbx.leave(A)
    pbx.say("BridgeMerge", ToBridgeUniqueid="talk", FromBridgeUniqueid="consult")
    pbx.leave(one)
    pbx.enter("talk", one)
    pbx.say("MusicOnHoldStop", CALLER)
    pbx.say("AttendedTransfer", Result="Success", OrigTransfererUniqueid=A,
            SecondTransfererUniqueid=A, DestType="Bridge")  # fmt: skip
    pbx.hangup(A)
    pbx.leave(C, one)
    pbx.enter("talk", C, SwapUniqueid=one)
    pbx.leave(two)
    pbx.hangup(two, one)
    pbx.at(14)
    pbx.hangup(CALLER, C)

    assert talked(pbx.call) == {"301": 8, "303": 7}
    assert seconds(leg(pbx.call, "301").hold_ms) == 5
    assert [leg.extension for leg in pbx.call.legs] == [None, "301", "303"]
    assert pbx.call.answered_extension == "301"


@pytest.mark.parametrize("answers", [True, False])
def test_a_caller_handed_on_into_a_queue_waits_in_it(answers: bool) -> None:
    """301 enters another queue to announce the caller, and hands him on while it waits there."""
    pbx = Pbx()
    pbx.queue_to(A)
    pbx.at(5)
    own = "PJSIP/301-00000009"
    pbx.new(own, of=own, number="301")
    pbx.say("QueueCallerJoin", own, Queue="support")
    pbx.at(8)
    pbx.leave(CALLER)
    pbx.say("AttendedTransfer", Result="Success", OrigTransfererUniqueid=A,
            SecondTransfererUniqueid=own, DestType="App")  # fmt: skip
    pbx.hangup(own, A)
    waiting = pbx.call.stints[1]
    pbx.at(15)
    pbx.say("QueueCallerLeave", CALLER, Queue="support")
    if answers:
        pbx.new(C)
        pbx.dial(CALLER, C)
        pbx.up(C, CALLER)
        pbx.say("AgentConnect", CALLER, C, Queue="support", HoldTime="10")
        pbx.enter("after", C, CALLER)
        pbx.at(20)
        pbx.hangup(C)
    else:
        pbx.say("QueueCallerAbandon", CALLER, Queue="support")
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
    pbx = Pbx()
    pbx.queue_to(A)
    pbx.at(5)
    pbx.say("Hold", A)
    one, two = pbx.pair("303@internal")
    pbx.enter("consult", one)
    pbx.new(C)
    pbx.dial(two, C)
    pbx.leave(A)
    pbx.enter("consult", A)
    pbx.ring(C)
    pbx.at(8)
    pbx.say("DialEnd", two, C, DialStatus=status)
    pbx.hangup(C, two, one, cause="17" if status == "BUSY" else "19")
    pbx.leave(A)
    pbx.enter("talk", A)
    pbx.at(12)
    pbx.hangup(CALLER, A)

    assert talked(pbx.call) == {"301": 10}
    assert leg(pbx.call, "303").ended_reason == ("busy" if status == "BUSY" else "no_answer")
    assert (pbx.call.outcome, pbx.call.missed) == ("answered", False)


def test_an_optimised_inner_leg_is_transferred_like_any_other() -> None:
    """FreePBX without /n: the telephone swaps in, hands on blindly, and AgentComplete misnames."""
    pbx = Pbx()
    pbx.into_queue()
    one, two = pbx.pair("301@from-queue")
    pbx.dial(CALLER, one)
    pbx.new(A)
    pbx.dial(two, A)
    pbx.ring(A)
    pbx.at(2)
    pbx.up(A, two)
    pbx.up(one, CALLER)
    pbx.enter("inner", A, two)
    pbx.answered(one)
    pbx.leave(A, one)
    pbx.enter("talk", A, SwapUniqueid=one)
    pbx.leave(two)
    pbx.hangup(two, one)
    pbx.at(6)
    pbx.say("Unhold", A)
    pbx.leave(CALLER, A)
    pbx.say("BlindTransfer", TransfererUniqueid=A, TransfererLinkedid=CALLER,
            TransfereeUniqueid=CALLER, Extension="303", Result="Success")  # fmt: skip
    pbx.say("AgentComplete", CALLER, A, Queue="sales", Reason="transfer")
    pbx.hangup(A)
    pbx.new(C)
    pbx.dial(CALLER, C)
    pbx.ring(C)
    pbx.at(8)
    pbx.up(C, CALLER)
    pbx.enter("after", C, CALLER)
    pbx.at(11)
    pbx.hangup(CALLER, C)

    assert talked(pbx.call) == {"301": 4, "303": 3}
    assert [leg.extension for leg in pbx.call.legs] == [None, "301", "303"]
    assert leg(pbx.call, "301").hold_ms is None


def test_a_hidden_number_is_kept_as_the_trunk_gave_it() -> None:
    """A trusted trunk gives the real number; one that does not, no number to call back."""
    trusted, anonymous = Pbx(), Pbx()
    trusted.call_in()
    trusted.say("NewCallerid", CALLER, CallerIDNum=NUMBER, CallerIDName="<unknown>",
                **{"CID-CallingPres": "32 (Presentation Prohibited, Not Screened)"})  # fmt: skip
    anonymous.new(CALLER, number="anonymous")
    for pbx in (trusted, anonymous):
        pbx.hangup(CALLER)

    assert (trusted.call.number_raw, trusted.call.number_e164) == (NUMBER, NUMBER)
    assert (anonymous.call.number_raw, anonymous.call.number_e164) == ("anonymous", None)
    assert trusted.call.missed


@pytest.mark.parametrize(
    "name", [name for name in names() if name[:3] not in {"l22", "l26", "l34"}]
)
def test_a_user_with_few_rights_sees_the_same_calls(name: str) -> None:
    """read=call,agent: no VarSet, no Newexten; only refusals and queues that empty need them."""
    normaliser = AsteriskNormaliser("pbx", AsteriskDialect(region="UA"))
    heard = [
        event
        for told in recording.read(RECORDINGS / f"{name}.jsonl.gz")
        if told.message.event not in {"VarSet", "Newexten", "FullyBooted", "Cdr"}
        for event in normaliser.events(told.message, told.received_at)
    ]
    calls = calls_of(heard)

    for truth in truths_of(name):
        call = call_for(truth, calls) if "caller" in truth else calls[0]
        assert not differences(call, truth)


# --- calls that the PBX places -------------------------------------------------------------------


@pytest.mark.parametrize("status", ["BUSY", "NOANSWER", "ANSWER"])
def test_click_to_call_that_the_agent_refuses_is_no_missed_call(status: str) -> None:
    """Originate by Local/301@from-internal, with the customer's number as the caller id shown."""
    pbx = Pbx()
    one, two = pbx.pair("301@from-internal", of="self")
    pbx.say("NewCallerid", one, CallerIDNum="0671234567")
    pbx.dial("", one)
    pbx.new(A, of=one)
    pbx.dial(two, A)
    pbx.ring(A)
    pbx.at(3)
    if status != "ANSWER":
        pbx.say("DialEnd", two, A, DialStatus=status)
        pbx.hangup(A, two, one, cause="17" if status == "BUSY" else "19")
        assert (pbx.call.direction, pbx.call.missed) == ("internal", False)
        assert [leg.extension for leg in pbx.call.legs] == ["301"]
        return
    customer = "PJSIP/trunk-00000009"
    pbx.up(A, two)
    pbx.up(one)
    pbx.enter("near", A, two)
    pbx.new(customer, of=one)
    pbx.say("DialBegin", one, customer, DialString="0671234567@trunk")
    pbx.ring(customer)
    pbx.at(10)
    pbx.up(customer, one)
    pbx.enter("far", customer, one)
    pbx.at(14)
    pbx.hangup(customer, one, two, A)

    assert (pbx.call.direction, pbx.call.outcome) == ("outbound", "answered")
    assert (pbx.call.number_raw, pbx.call.answered_extension) == ("0671234567", "301")
    assert talked(pbx.call) == {"301": 4}


def test_a_customer_whom_the_pbx_rings_first_and_does_not_reach_has_not_called() -> None:
    """A callback placed by Originate to the trunk: outbound, whether or not he answers."""
    pbx = Pbx()
    pbx.new(CALLER, number=NUMBER)
    pbx.say("DialBegin", "", CALLER, DialString="0671234567@trunk")
    pbx.ring(CALLER)
    pbx.at(20)
    pbx.say("DialEnd", "", CALLER, DialStatus="NOANSWER")
    pbx.hangup(CALLER, cause="19")

    assert (pbx.call.direction, pbx.call.outcome, pbx.call.missed) == ("outbound", "missed", False)
    assert pbx.call.number_raw == "0671234567"


def test_a_local_channel_named_for_whom_it_dials_is_a_way_out() -> None:
    """Originate by Local/0671234567@out, with the office's line as the caller id: outbound."""
    pbx = Pbx()
    one, two = pbx.pair("0671234567@out", of="self")
    pbx.say("NewCallerid", one, CallerIDNum="0441110001")
    pbx.dial("", one)
    near, far = pbx.pair("0671234567@pstn", of=one)
    pbx.say("DialBegin", two, near, DialString="0671234567@pstn/n")
    pbx.ring(near)
    pbx.at(20)
    pbx.hangup(far, near, two, one, cause="19")

    assert (pbx.call.direction, pbx.call.number_raw) == ("outbound", "0671234567")
    assert (pbx.call.outcome, pbx.call.missed) == ("missed", False)


@pytest.mark.parametrize("accepts", [True, False])
def test_picking_up_without_accepting_by_key_is_no_answer(accepts: bool) -> None:
    """A ring group that asks `press 1 to accept`: a voicemail that picks up answered nothing."""
    pbx = Pbx()
    pbx.call_in()
    one, two = pbx.pair("301@confirm")
    pbx.dial(CALLER, one)
    pbx.new(A)
    pbx.dial(two, A)
    pbx.ring(A)
    pbx.at(2)
    pbx.up(A, two)
    pbx.enter("asking", A, two)
    pbx.at(6)
    if accepts:
        pbx.up(one, CALLER)
        pbx.enter("talk", one, CALLER)
        pbx.at(9)
    pbx.hangup(A, two, one, CALLER)

    assert pbx.call.outcome == ("answered" if accepts else "missed")
    assert pbx.call.missed == (not accepts)
    assert talked(pbx.call) == ({"301": 3} if accepts else {})


def test_a_caller_waits_on_until_somebody_has_accepted() -> None:
    """A queue's member who is asked for a key has picked up; the caller is still in the queue."""
    pbx = Pbx()
    pbx.into_queue()
    one, two = pbx.pair("301@confirm")
    pbx.dial(CALLER, one)
    pbx.new(A)
    pbx.dial(two, A)
    pbx.ring(A)
    pbx.at(2)
    pbx.up(A, two)
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
    pbx = Pbx()
    mobile = "PJSIP/trunk-00000009"
    pbx.call_in()
    pbx.new(mobile)
    pbx.dial(CALLER, mobile)
    pbx.ring(mobile)
    pbx.at(3)
    if answers:
        pbx.up(mobile, CALLER)
        pbx.enter("talk", mobile, CALLER)
        pbx.at(8)
    pbx.hangup(mobile, CALLER)

    assert (pbx.call.direction, pbx.call.missed) == ("inbound", not answers)
    assert pbx.call.answered_extension is None
    assert seconds(pbx.call.talk_ms) == (5 if answers else 0)
