"""Several callers in one conference: a call for each, and what an agent talks counts once."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from ingest.framing.ami_messages import AmiMessage
from ingest.model.call_state import CallState
from tests.support.amounts import seeds
from tests.support.call_truth import calls_of
from tests.support.scripted_pbx import NUMBER, T0, ScriptedPbx, seconds
from tests.unit.test_twilio_conferences import Meeting, events

END_S = 120
ROOM = "conf-7100"


@dataclass
class Plan:
    """Who is in the conference, and when."""

    dice: random.Random
    callers: dict[str, tuple[int, int]] = field(default_factory=dict)
    """A caller's channel → the seconds of entering and leaving."""
    agents: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, seed: int) -> Plan:
        plan = cls(random.Random(seed))
        seconds_left = list(range(2, END_S))
        for number in range(plan.dice.randint(2, 3)):
            plan.callers[f"PJSIP/trunk-0000000{number}"] = plan._stay(seconds_left)
        for number in range(plan.dice.randint(1, 2)):
            plan.agents[f"PJSIP/30{number}-0000001{number}"] = plan._stay(seconds_left)
        return plan

    def _stay(self, free: list[int]) -> tuple[int, int]:
        """Return a stay; nothing else happens in its seconds of entering and leaving."""
        came, left = sorted(self.dice.sample(free, 2))
        free.remove(came)
        free.remove(left)
        return came, left

    def together(self, caller: str, agent: str) -> set[int]:
        (came, left), (entered, went) = self.callers[caller], self.agents[agent]
        return set(range(max(came, entered), min(left, went)))

    def talks(self, agent: str) -> int:
        """Return the seconds in which the agent was there with any caller."""
        return len(set().union(*(self.together(caller, agent) for caller in self.callers)))


def extension(channel: str) -> str:
    return channel.partition("/")[2].partition("-")[0]


def played(plan: Plan) -> ScriptedPbx:
    """Return what Asterisk tells of callers in a room, and of agents who dial into it."""
    pbx = ScriptedPbx()
    steps = [
        (at, is_end, channel)
        for channel, stay in (plan.callers | plan.agents).items()
        for is_end, at in enumerate(stay)
    ]
    for at, is_end, channel in sorted(steps):
        pbx.at(at)
        if is_end:
            pbx.hangup(channel)
            continue
        number = f"+38067000000{channel[-1]}" if channel in plan.callers else extension(channel)
        pbx.new(channel, of=channel, number=number)
        pbx.enter(ROOM, channel, BridgeCreator="ConfBridge", BridgeName="7100")
    return pbx


def of_caller(calls: list[CallState], channel: str) -> CallState:
    (found,) = (one for one in calls if one.number_raw == f"+38067000000{channel[-1]}")
    return found


@seeds(12, 60)
def test_each_caller_has_a_call_and_each_agent_talks_in_all(seed: int) -> None:
    """As long as they were there together; alone, or with other callers alone, nobody talked."""
    plan = Plan.of(seed)
    calls = played(plan).calls

    inbound = [call for call in calls if call.direction == "inbound"]
    assert len(inbound) == len(plan.callers)
    assert {call.room for call in calls} == {"7100"}
    for caller in plan.callers:
        call = of_caller(calls, caller)
        talked = {extension(a): len(plan.together(caller, a)) for a in plan.agents}
        found = {
            str(leg.extension): seconds(leg.talk_ms) for leg in call.legs if leg.kind == "agent"
        }
        assert found == {who: s for who, s in talked.items() if s}
        assert call.outcome == ("answered" if any(talked.values()) else "abandoned")


@seeds(12, 60)
def test_what_an_agent_talks_with_several_callers_counts_once(seed: int) -> None:
    """As the statistics add it up: each second in which any caller was there."""
    plan = Plan.of(seed)
    calls = played(plan).calls

    for agent in plan.agents:
        legs = [leg for call in calls for leg in call.legs if leg.extension == extension(agent)]
        once_ms = sum((leg.talk_ms or 0) - (leg.overlap_ms or 0) for leg in legs)
        assert once_ms / 1_000 == pytest.approx(plan.talks(agent), abs=0.2)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_order_the_calls_are_the_same(seed: int) -> None:
    """All events of a conference, shuffled and repeated."""
    pbx = played(Plan.of(seed))
    expected, dice = pbx.calls, random.Random(seed)

    for _ in range(15):
        heard = dice.sample(pbx.heard, len(pbx.heard))
        assert calls_of([*heard, *dice.choices(heard, k=9)]) == expected


@pytest.mark.parametrize("ringing", [True, False])
def test_of_twilio_too(ringing: bool) -> None:
    """An agent whom the API rang belongs to the caller who came first."""
    meeting = Meeting()
    for at, sid in ((0, "CAcaller"), (10, "CAsecond")):
        meeting.leg(at, sid, "in-progress", Direction="inbound", From=f"+38067123456{at // 10}")
        meeting.participant(at + 1, sid, "join")
    if ringing:
        meeting.leg(18, "CAagent", "ringing", To="client:101")
    meeting.leg(20, "CAagent", "in-progress", To="client:101")
    meeting.participant(20, "CAagent", "join")
    for at, sid in ((50, "CAcaller"), (80, "CAsecond"), (90, "CAagent")):
        meeting.participant(at, sid, "leave")
        meeting.leg(at, sid, "completed")

    first, second = calls_of(events(meeting.told))

    assert [call.room for call in (first, second)] == ["room", "room"]
    assert [call.answered_extension for call in (first, second)] == ["101", "101"]
    assert [seconds(call.talk_ms) for call in (first, second)] == [30, 60]
    (own,) = (leg for leg in first.legs if leg.extension == "101")
    (guest,) = (leg for leg in second.legs if leg.extension == "101")
    assert (own.shared, guest.shared) == (False, True)
    assert (seconds(guest.talk_ms), seconds(guest.overlap_ms)) == (60, 30)


def test_one_caller_in_a_conference_has_one_call_with_all_who_are_there() -> None:
    """Nobody is a guest."""
    callers, agents = {"PJSIP/trunk-00000001": (5, 60)}, {"PJSIP/301-00000011": (9, 70)}
    plan = Plan(random.Random(0), callers, agents)
    (call,) = played(plan).calls

    assert (call.outcome, seconds(call.talk_ms)) == ("answered", 51)
    assert [leg.shared for leg in call.legs] == [False, False]


@pytest.mark.parametrize("told", ["7100", "7100,default_bridge,admin_user"])
def test_a_host_who_entered_unheard_talks_with_all_callers(told: str) -> None:
    """Only the snapshot after the reconnection shows who is in the room."""
    callers = {f"PJSIP/trunk-0000000{number}": (5 + number, 60 + number) for number in range(2)}
    host = "PJSIP/301-00000011"
    pbx = played(Plan(random.Random(0), callers))
    fields = {
        "Event": "CoreShowChannel", "ActionID": "t-CoreShowChannels", "Channel": host,
        "Uniqueid": host, "Linkedid": host, "CallerIDNum": "301", "ChannelStateDesc": "Up",
        "Application": "ConfBridge", "ApplicationData": told, "Duration": "00:00:05",
        "BridgeId": ROOM,
    }  # fmt: skip
    snapshot = pbx.normaliser.new_snapshot("t")
    snapshot.accept(AmiMessage(tuple(fields.items())))
    pbx.heard += snapshot.result(T0 + timedelta(seconds=20)).facts
    pbx.at(70)
    pbx.send("BridgeLeave", host, BridgeUniqueid=ROOM)
    pbx.hangup(host)

    inbound = [call for call in pbx.calls if call.direction == "inbound"]

    assert [seconds(call.talk_ms) for call in inbound] == [40, 41]
    assert {call.room for call in pbx.calls} == {"7100"}
    assert [call.outcome for call in inbound] == ["answered", "answered"]


HOST = "PJSIP/301-00000011"
CALLERS = ("PJSIP/trunk-00000000", "PJSIP/trunk-00000001")


@pytest.mark.parametrize("by_itself", [True, False])
def test_a_host_who_hangs_up_ends_the_calls_of_all_callers(by_itself: bool) -> None:
    """In the calls in which the telephone is a guest, too; unless the PBX ended it."""
    pbx = ScriptedPbx()
    for at, channel in enumerate((*CALLERS, HOST)):
        number = "301" if channel == HOST else NUMBER
        pbx.at(5 + at)
        pbx.new(channel, of=channel, number=number)
        pbx.enter(ROOM, channel, BridgeCreator="ConfBridge", BridgeName="7100")
    pbx.at(50)
    if by_itself:
        pbx.send("HangupRequest", HOST)
    pbx.hangup(HOST)
    pbx.at(51)
    pbx.hangup(*CALLERS)

    ended = {
        (call.ended_by, call.ended_by_extension)
        for call in pbx.calls
        if call.direction == "inbound"
    }

    assert ended == {("agent", "301") if by_itself else ("pbx", None)}


@pytest.mark.parametrize("order", list(itertools.permutations((*CALLERS, HOST))))
def test_a_telephone_that_enters_with_all_callers_belongs_to_the_first(
    order: tuple[str, ...],
) -> None:
    """In whatever order the PBX tells who entered in that moment."""
    pbx = ScriptedPbx()
    for number, caller in enumerate(CALLERS):
        pbx.at(5 + number)
        pbx.new(caller, of=caller, number=f"+38067000000{number}")
    pbx.at(8)
    pbx.new(HOST, of="")
    pbx.dial("", HOST)
    pbx.at(9)
    pbx.up(HOST)
    pbx.at(10)
    pbx.enter(ROOM, *order, BridgeCreator="ConfBridge", BridgeName="7100")

    shared = [
        leg.shared
        for caller in CALLERS
        for leg in of_caller(pbx.calls, caller).legs
        if leg.extension == "301"
    ]

    assert shared == [False, True]


def test_an_outsider_who_finds_one_of_ours_in_the_room_calls_in() -> None:
    """The host has an internal call, as with several callers, and is a guest in the outsider's."""
    caller = CALLERS[0]
    calls = played(Plan(random.Random(0), {caller: (20, 60)}, {HOST: (5, 70)})).calls

    (inbound,) = (call for call in calls if call.direction == "inbound")
    (internal,) = (call for call in calls if call.direction != "inbound")

    assert internal.direction == "internal"
    assert inbound.number_raw == "+380670000000"
    assert (inbound.outcome, inbound.answered_extension) == ("answered", "301")
    assert seconds(inbound.talk_ms) == 40
    assert [(leg.extension, leg.shared) for leg in inbound.legs] == [(None, False), ("301", True)]
