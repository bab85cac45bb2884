"""Who hung up: as the telephones' own logs say, and in calls generated for each kind of end."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import replace
from typing import Any

import pytest

from ingest import group_by_call
from ingest.fold.fold import fold
from ingest.model.call_state import CallState
from ingest.model.events import CallEvent
from tests.support.amounts import seeds
from tests.support.call_truth import (
    CALL_ID,
    SHARED,
    call_for,
    calls_of,
    events_of_recording,
    names,
    truths_of,
)
from tests.support.scripted_pbx import CALLER, NUMBER, A, B, C, ScriptedPbx

M01 = "m01_mixed_local"
NOT_HEARD = "l34_ami_connection_lost_in_mid_call"
"""The connection was lost before the end."""
BY_COMMAND = "a01_ari_stasis_call"
"""A program ends the call, by the agent's channel: no telephone hangs up."""
AT_ONCE_S = 0.01

Ended = tuple[str | None, str | None]


def ended(call: CallState) -> Ended:
    return call.ended_by, call.ended_by_extension


def really(truth: dict[str, Any]) -> Ended | None:
    """Return who hung up according to the telephones' logs; None when they do not say."""
    talks = [one for one in truth.get("talks") or () if one["talked_s"]]
    last = talks[-1] if talks else None
    agent = last["agent"] if last else truth.get("answered_by", "")
    match str(truth.get("ended_by")).split():
        case ["caller" | "customer"]:
            return ("agent", truth["caller"]) if truth.get("direction") == "internal" else CUSTOMER
        case ["agent", extension]:
            return "agent", extension
        case ["agent"]:
            return "agent", agent
        case [extension] if extension.isdecimal():
            return "agent", extension
    if last and last["ended_by"] == "agent":
        return "agent", agent
    if truth.get("caller_hung_up_at"):
        return CUSTOMER
    sent_on = (truth.get("transfer") or {}).get("ami") == "Success"
    return PBX if "queues" in truth and (sent_on or not last) else None


CUSTOMER: Ended = ("customer", None)
PBX: Ended = ("pbx", None)
UNKNOWN: Ended = (None, None)


@pytest.mark.parametrize("name", names())
def test_recorded_calls_tell_who_hung_up(name: str) -> None:
    """As the telephones logged it, in every recording in which it was told."""
    calls = calls_of(events_of_recording(name))
    for truth in truths_of(name):
        call, expected = call_for(truth, calls), really(truth)
        if name == NOT_HEARD:
            expected = UNKNOWN
        elif name == BY_COMMAND:
            expected = PBX
        if expected:
            assert ended(call) == expected, truth


def test_most_recordings_are_compared() -> None:
    """Few logs say nothing of the end."""
    told = [name for name in names() if any(really(truth) for truth in truths_of(name))]

    assert len(told) >= len(names()) - 5


needs_m01 = pytest.mark.skipif(
    not (SHARED / f"{M01}.queue_log").exists(), reason=f"{SHARED} has no {M01}.queue_log"
)


@needs_m01
def test_two_hundred_mixed_calls_tell_who_hung_up() -> None:
    """As the telephones logged it, of each call."""
    calls, wrong = calls_of(events_of_recording(M01, SHARED)), {}
    truths = json.loads((SHARED / f"{M01}.truth.json").read_text(encoding="utf-8"))["calls"]

    for truth in truths:
        found, expected = ended(call_for(truth, calls)), really(truth)
        if found != expected:
            wrong[truth["ref"]] = found, expected

    assert len(truths) == 200
    assert wrong == {}


@needs_m01
def test_the_queue_log_agrees_on_who_hung_up() -> None:
    """Of each call whose last entry says it: COMPLETECALLER, COMPLETEAGENT or ABANDON."""
    said = {"COMPLETECALLER": "customer", "ABANDON": "customer", "COMPLETEAGENT": "agent"}
    with (SHARED / f"{M01}.queue_log").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="|"))
    last = {row[1]: row[4] for row in rows if row[4] not in {"RINGNOANSWER", "RINGCANCELED"}}
    compared = 0
    for events in group_by_call(events_of_recording(M01, SHARED)):
        call = fold(events, call_id=CALL_ID)
        ends = {last[key] for event in events if (key := event.leg_key) in last}
        for end in ends & said.keys():
            assert call is not None
            compared += 1
            assert call.ended_by == said[end], (call.number_raw, end)

    assert compared == sum(end in said for end in last.values())


# --- generated calls -----------------------------------------------------------------------------


class EndingPbx(ScriptedPbx):
    """Tells of an end in any order, as fast as a PBX does."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self.dice = dice

    def ends(self, at: float, *channels: str, by: str | None = None) -> None:
        """End these channels in one moment; `by`: the one whose telephone hung up."""
        told: list[tuple[str, str, dict[str, str]]] = []
        for channel in channels:
            if channel == by:
                told.append(("HangupRequest", channel, {}))
            else:
                told.append(("SoftHangupRequest", channel, {"Cause": "16"}))
            if channel in self._bridges:
                told.append(("BridgeLeave", channel, {"BridgeUniqueid": self._bridges[channel]}))
            told.append(("Hangup", channel, {"Cause": "16"}))
        self.dice.shuffle(told)
        for n, (event, channel, fields) in enumerate(told):
            self.at(at + AT_ONCE_S * n / len(told) / 2)
            self.send(event, channel, **fields)

    def hands_on(self, at: float, by: str, to: str) -> None:
        """Transfer the caller blindly; the telephone hangs up itself, before or after."""
        self.at(at)
        told = ["transfer", "leave", "hang up"]
        self.dice.shuffle(told)
        for what in told:
            if what == "transfer":
                self.send(
                    "BlindTransfer",
                    Result="Success",
                    TransfererUniqueid=by,
                    TransfereeUniqueid=CALLER,
                    TransfererLinkedid=CALLER,
                    Extension=to,
                )
            elif what == "leave":
                self.leave(by, CALLER)
            else:
                self.send("HangupRequest", by)
        self.send("Hangup", by, Cause="16")


def talking(pbx: ScriptedPbx, agent: str, at: float) -> None:
    pbx.at(at)
    pbx.rings(agent)
    pbx.at(at + 2)
    pbx.up(agent, CALLER)
    pbx.enter(f"talk with {agent}", agent, CALLER)


@seeds(12, 60)
def test_the_last_conversation_counts_however_often_a_call_is_handed_on(seed: int) -> None:
    """Each agent hangs up when handing the call on, and none of them ended it."""
    dice = random.Random(seed)
    pbx = EndingPbx(dice)
    pbx.into_queue()
    agents = [A, B, C][: dice.randrange(1, 4)]
    for n, agent in enumerate(agents):
        if n:
            pbx.hands_on(10 * n, agents[n - 1], f"30{n + 1}")
        talking(pbx, agent, 10 * n + 1)
    last = agents[-1]
    who = dice.choice((CALLER, last, None))
    pbx.ends(10 * len(agents) + 5, CALLER, last, by=who)

    extension = f"30{len(agents)}"
    expected = {CALLER: CUSTOMER, last: ("agent", extension), None: PBX}[who]
    assert ended(pbx.call) == expected


@seeds(5, 20)
def test_a_call_handed_on_in_vain_is_ended_by_the_caller_or_the_pbx(seed: int) -> None:
    """The agent has left, nobody answers the transfer, and the caller waits or not."""
    dice = random.Random(seed)
    pbx = EndingPbx(dice)
    pbx.call_in()
    talking(pbx, A, 1)
    pbx.hands_on(20, A, "302")
    pbx.at(20.02)
    pbx.rings(B)
    by_caller = dice.random() < 0.5
    pbx.ends(30, CALLER, B, by=CALLER if by_caller else None)

    assert ended(pbx.call) == (CUSTOMER if by_caller else PBX)


@pytest.mark.parametrize("by", [CALLER, None])
def test_a_call_handed_on_to_a_mailbox_is_not_ended_by_the_agent(by: str | None) -> None:
    """No telephone rings after the transfer; only the transfer itself shows that it went on."""
    pbx = EndingPbx(random.Random(1))
    pbx.call_in()
    talking(pbx, A, 1)
    pbx.hands_on(20, A, "*97")
    pbx.ends(40, CALLER, by=by)

    assert ended(pbx.call) == (CUSTOMER if by else PBX)


@pytest.mark.parametrize("seed", range(10))
def test_who_leaves_while_others_talk_on_did_not_end_the_call(seed: int) -> None:
    """Three talk; one of ours hangs up, half a second before the others end."""
    dice = random.Random(seed)
    pbx = EndingPbx(dice)
    pbx.call_in()
    talking(pbx, A, 1)
    pbx.rings(B, by=A)
    pbx.at(9)
    pbx.up(B, A)
    pbx.enter(f"talk with {A}", B)
    pbx.ends(20, A, by=A)
    who = dice.choice((CALLER, B, None))
    pbx.ends(20.5, CALLER, B, by=who)

    assert ended(pbx.call) == {CALLER: CUSTOMER, B: ("agent", "302"), None: PBX}[who]


def test_questions_after_the_agent_has_hung_up_are_no_part_of_the_conversation() -> None:
    """The caller is asked how it was, and hangs up a minute later."""
    pbx = EndingPbx(random.Random(1))
    pbx.call_in()
    talking(pbx, A, 1)
    pbx.at(30)
    pbx.leave(CALLER)
    pbx.ends(30, A, by=A)
    pbx.ends(90, CALLER, by=CALLER)

    assert ended(pbx.call) == ("agent", "301")


@pytest.mark.parametrize("ringing", [False, True])
@pytest.mark.parametrize("queue", [False, True])
@pytest.mark.parametrize("by", [CALLER, None])
def test_a_call_that_nobody_took_is_ended_by_the_caller_or_the_pbx(
    by: str | None, queue: bool, ringing: bool
) -> None:
    """In the menu, in a queue, while telephones ring; a telephone that refuses ends no call."""
    pbx = EndingPbx(random.Random(1))
    if queue:
        pbx.into_queue()
    else:
        pbx.call_in()
    if ringing:
        pbx.rings(A)
        pbx.ends(5, A, by=A)
        pbx.rings(B)
    pbx.ends(9, *([CALLER, B] if ringing else [CALLER]), by=by)

    assert ended(pbx.call) == (CUSTOMER if by else PBX)


@pytest.mark.parametrize("far", [A, "PJSIP/trunk-00000002"])
@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("by", ["near", "far", None])
def test_calls_from_inside_are_ended_by_either_side(
    by: str | None, answered: bool, far: str
) -> None:
    """Of a call to a colleague both sides are agents; of a call out the other is the customer."""
    near = "PJSIP/309-00000001"
    pbx = EndingPbx(random.Random(1))
    pbx.new(near, of=near, number="309")
    pbx.send("Newchannel", far, CallerIDNum="309", Context="from-internal")
    pbx._linked[far] = near
    pbx.dial(near, far)
    pbx.ring(far)
    if answered:
        pbx.up(far, near)
        pbx.enter("talk", near, far)
    pbx.ends(9, near, far, by={"near": near, "far": far, None: None}[by])

    other: Ended = ("agent", "301") if far == A else CUSTOMER
    refused = PBX  # it never took the call
    expected = {"near": ("agent", "309"), "far": other if answered else refused, None: PBX}
    assert ended(pbx.call) == expected[by]


def test_an_outside_telephone_to_which_a_call_was_forwarded_is_not_the_customer() -> None:
    """It stands for one of ours, and has no extension."""
    mobile = "PJSIP/trunk-00000009"
    for by, expected in ((mobile, ("agent", None)), (CALLER, CUSTOMER)):
        pbx = EndingPbx(random.Random(1))
        pbx.call_in()
        pbx.new(mobile)
        pbx.send("DialBegin", CALLER, mobile, DialString="trunk/0507776655")
        pbx.up(mobile, CALLER)
        pbx.enter("talk", mobile, CALLER)
        pbx.ends(9, CALLER, mobile, by=by)

        assert ended(pbx.call) == expected


@pytest.mark.parametrize("by", ["caller", "agent", None])
def test_behind_local_channels_the_far_end_hangs_up(by: str | None) -> None:
    """Each half that ends tells the other one: only the near half says what a telephone did."""
    pbx = EndingPbx(random.Random(1))
    near, far = "Local/0441110001@from-trunk-0000000b;2", "Local/0441110001@from-trunk-0000000b;1"
    pbx.new(far, near, of=near, number=NUMBER)
    one, two = "Local/101@agents-0000000a;1", "Local/101@agents-0000000a;2"
    pbx.new(one, two, of=near)
    pbx.dial(near, one)
    pbx.ring(one)
    pbx.at(3)
    pbx.up(one, near)
    pbx.enter("talk", one, near)
    heard = {"caller": (near, two), "agent": (one, far), None: (two, far)}[by]
    pbx.at(9)
    for channel in heard:
        pbx.send("HangupRequest", channel)
    pbx.hangup(one, near, two, far)

    assert ended(pbx.call) == {"caller": CUSTOMER, "agent": ("agent", "101"), None: PBX}[by]


def test_nobody_has_hung_up_while_a_call_goes_on() -> None:
    """A telephone that asks to be hung up is still in the call."""
    pbx = EndingPbx(random.Random(1))
    pbx.call_in()
    talking(pbx, A, 1)
    pbx.send("HangupRequest", CALLER)

    assert pbx.call.status == "talking"
    assert ended(pbx.call) == UNKNOWN


def as_stored_before(events: list[CallEvent]) -> list[CallEvent]:
    """Return what an earlier release would have stored."""
    return [
        replace(event, attrs={k: v for k, v in event.attrs.items() if k != "hang_up_told"})
        for event in events
        if event.type != "leg.hung_up"
    ]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("caller", CUSTOMER), ("agent", ("agent", "301")), ("transfer", UNKNOWN), (None, UNKNOWN)],
)
def test_calls_of_earlier_releases_tell_what_their_queue_told(
    reason: str | None, expected: Ended
) -> None:
    """A rebuild reads it from the queue's own report, and takes no silence for the PBX."""
    pbx = EndingPbx(random.Random(1))
    pbx.queue_to(A)
    pbx.at(20)
    if reason:
        pbx.send("AgentComplete", CALLER, A, Queue="sales", Reason=reason)
    pbx.ends(20, CALLER, A, by=A)
    (call,) = calls_of(as_stored_before(pbx.heard))

    assert ended(call) == expected


def test_giving_up_in_a_queue_is_the_caller_whatever_else_is_known() -> None:
    """Also of calls that an earlier release stored."""
    pbx = EndingPbx(random.Random(1))
    pbx.into_queue()
    pbx.at(9)
    pbx.send("QueueCallerAbandon", CALLER, Queue="sales")
    pbx.ends(9, CALLER, by=CALLER)
    (call,) = calls_of(as_stored_before(pbx.heard))

    assert ended(call) == ended(pbx.call) == CUSTOMER
