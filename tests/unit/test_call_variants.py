"""Variants of calls that were folded wrongly: ends in one moment, late names, mobiles, attempts."""

from __future__ import annotations

from itertools import permutations, product

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

MOBILE = "PJSIP/trunk-00000009"


# --- queues: what ends one and begins the next, in one moment -------------------------------------


@pytest.mark.parametrize("queue", ["support", "sales"])
def test_an_end_belongs_to_the_queue_that_was_left_in_any_order(queue: str) -> None:
    """Sales gives up and the caller enters the next queue, or the same again, in one moment."""
    for order in permutations(range(5)):
        pbx = ScriptedPbx()
        pbx.into_queue()
        pbx.at(8)
        told = [
            ("QueueCallerAbandon", {"Queue": "sales"}),
            ("QueueCallerLeave", {"Queue": "sales"}),
            ("VarSet", {"Variable": "QUEUESTATUS", "Value": "TIMEOUT"}),
            ("Newexten", {"Application": "Queue", "AppData": f"{queue},t"}),
            ("QueueCallerJoin", {"Queue": queue}),
        ]
        for n in order:
            pbx.send(told[n][0], CALLER, **told[n][1])
        waiting = pbx.call
        pbx.at(20)
        pbx.send("QueueCallerAbandon", CALLER, Queue=queue)
        pbx.send("QueueCallerLeave", CALLER, Queue=queue)
        pbx.hangup(CALLER)

        assert [(s.queue, s.outcome) for s in waiting.stints] == [
            ("sales", "timeout"),
            (queue, None),
        ]
        assert [s.outcome for s in pbx.call.stints] == ["timeout", "abandoned"]
        assert [seconds(s.wait_ms) for s in pbx.call.stints] == [8, 12]


def test_a_refusal_belongs_to_its_request_in_any_order() -> None:
    """The first queue is full, the caller enters the next at once, and is answered there."""
    for order in permutations(range(4)):
        pbx = ScriptedPbx()
        pbx.call_in()
        told = [
            ("Newexten", {"Application": "Queue", "AppData": "sales,t"}),
            ("VarSet", {"Variable": "QUEUESTATUS", "Value": "FULL"}),
            ("Newexten", {"Application": "Queue", "AppData": "support,t"}),
            ("QueueCallerJoin", {"Queue": "support"}),
        ]
        for n in order:
            pbx.send(told[n][0], CALLER, **told[n][1])
        pbx.rings(A)
        pbx.at(5)
        pbx.up(A, CALLER)
        pbx.send("QueueCallerLeave", CALLER, Queue="support")
        pbx.send("AgentConnect", CALLER, A, Queue="support")
        pbx.enter("talk", A, CALLER)

        assert {(s.queue, s.outcome) for s in pbx.call.stints} == {
            ("sales", "full"),
            ("support", "connected"),
        }


# --- names and numbers that are told late --------------------------------------------------------

POINTS = ("created", "in the queue", "ringing", "connected", "parked", "fetched", "over")
COUNTS = POINTS.index("connected")
"""From here on a name is somebody else's."""


@pytest.mark.parametrize("known", [True, False], ids=["a number", "no number"])
def test_names_and_numbers_count_until_somebody_is_connected(known: bool) -> None:
    """Told at two of seven points of a call that is parked, and fetched by 303."""
    for first, second in product(range(len(POINTS)), repeat=2):
        if first >= second:
            continue
        pbx = ScriptedPbx()
        names = {first: ("Ivan", "0671112233"), second: ("Petro 102", "102")}

        def tell(point: int, pbx: ScriptedPbx = pbx, names: object = names) -> None:
            if told := names.get(point):  # type: ignore[attr-defined]
                pbx.send("NewCallerid", CALLER, CallerIDName=told[0], CallerIDNum=told[1])

        pbx.new(CALLER, number=NUMBER if known else "<unknown>")
        tell(0)
        pbx.at(1)
        pbx.send("QueueCallerJoin", CALLER, Queue="sales")
        pbx.at(2)
        tell(1)
        pbx.rings(A)
        pbx.at(4)
        tell(2)
        pbx.at(5)
        pbx.up(A, CALLER)
        pbx.answered(A)
        pbx.at(6)
        tell(3)
        pbx.leave(CALLER)
        pbx.hangup(A)
        pbx.at(8)
        tell(4)
        pbx.new(C, of=C, number="303")
        pbx.enter("fetched", CALLER, C)
        pbx.at(9)
        tell(5)
        pbx.hangup(CALLER, C)
        pbx.at(10)
        tell(6)

        counted = [names[point] for point in (first, second) if point < COUNTS]
        name, number = counted[0] if counted else (None, None)
        if known:
            number = number if first == 0 else NUMBER
        assert (pbx.call.caller_name, pbx.call.number_raw) == (name, number)


def test_the_number_of_somebody_called_is_not_that_of_who_fetches_the_call() -> None:
    """A customer whom the PBX calls without saying what it dialled; later it shows 102 there."""
    pbx = ScriptedPbx()
    pbx.new(C, of=C, number="303")
    pbx.new(MOBILE, of=C, number="0671234567")
    pbx.dial(C, MOBILE)
    pbx.at(4)
    pbx.up(MOBILE, C)
    pbx.enter("talk", MOBILE, C)
    pbx.at(8)
    pbx.send("NewCallerid", MOBILE, CallerIDNum="102", CallerIDName="Petro 102")
    pbx.hangup(MOBILE, C)

    assert (pbx.call.direction, pbx.call.number_raw) == ("outbound", "0671234567")


# --- mobiles -------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["nobody", "unanswered", "beside", "handed on", "two agents"])
@pytest.mark.parametrize("bridges", [True, False])
def test_a_call_that_goes_on_with_a_mobile_is_talking(before: str, bridges: bool) -> None:
    """Straight, after one of ours did not answer, rung beside them, or handed on to it."""
    pbx = ScriptedPbx()
    if before in {"handed on", "two agents"}:
        pbx.queue_to(A)
    else:
        pbx.call_in()
    if before in {"unanswered", "beside"}:
        pbx.rings(A)
    pbx.at(6)
    if before == "unanswered":
        pbx.hangup(A, cause="19")
    if before == "two agents":
        pbx.leave(CALLER)
        pbx.hangup(A)
        pbx.rings(B)
        pbx.hangup(B, cause="17")
    if before == "handed on":
        pbx.leave(CALLER)
        pbx.send("BlindTransfer", Result="Success", TransfererUniqueid=A, Extension="0501112233",
                 TransfereeUniqueid=CALLER)  # fmt: skip
        pbx.hangup(A)
    pbx.new(MOBILE)
    pbx.dial(CALLER, MOBILE)
    pbx.ring(MOBILE)
    ringing = pbx.call.status
    pbx.at(10)
    pbx.up(MOBILE, CALLER)
    if before == "beside":
        pbx.hangup(A, cause="26")
    if not bridges and before in {"handed on", "two agents"}:
        return  # this PBX reports bridges, so that the mobile is in none yet
    if bridges:
        pbx.enter("after", MOBILE, CALLER)
    talking = pbx.call.status
    pbx.at(15)
    pbx.hangup(MOBILE, CALLER)

    assert (ringing, talking, pbx.call.status) == ("ringing", "talking", "ended")
    assert (pbx.call.outcome, pbx.call.missed) == ("answered", False)


def test_a_caller_handed_to_a_mobile_after_a_consultation_is_talking() -> None:
    """301 asks somebody on the mobile, joins both, and is gone."""
    pbx, own = ScriptedPbx(), "PJSIP/301-00000009"
    pbx.queue_to(A)
    pbx.at(5)
    pbx.new(own, of=own, number="301")
    pbx.new(MOBILE, of=own)
    pbx.send("DialBegin", own, MOBILE, DialString="0501112233@trunk")
    pbx.at(8)
    pbx.up(MOBILE, own)
    pbx.enter("consult", MOBILE, own)
    pbx.at(12)
    pbx.leave(own, CALLER)
    pbx.enter("consult", CALLER)
    pbx.send("AttendedTransfer", Result="Success", OrigTransfererUniqueid=A, DestType="Bridge",
             SecondTransfererUniqueid=own, TransferTargetUniqueid=MOBILE)  # fmt: skip
    pbx.hangup(own, A)

    (moved,) = pbx.call.transfers
    assert (pbx.call.direction, pbx.call.status) == ("inbound", "talking")
    assert (moved.kind, moved.to_number, seconds(moved.consult_ms)) == ("attended", "0501112233", 4)


# --- attempts through a Local channel that dials nobody -------------------------------------------

NAMES = ("FMPR-301@from-internal", "uzyebgp2@wazo_wait_for_registration", "s@find-me", "vmu301@app")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("internal", [True, False], ids=["internal", "inbound"])
@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize("cause", ["20", "19", "0"])
def test_a_local_channel_that_dials_nobody_is_no_telephone(
    name: str, internal: bool, answers: bool, cause: str
) -> None:
    """In a group beside 302, in every order of its ends."""
    for order in permutations(range(3)):
        pbx = ScriptedPbx()
        caller = "PJSIP/105-00000001" if internal else CALLER
        pbx.new(caller, of=caller, number="105" if internal else NUMBER)
        one, two = pbx.pair(name, of=caller)
        pbx.dial(caller, one)
        pbx.rings(B, by=caller)
        for n in order:
            if n == 2:
                pbx.send("DialEnd", caller, one, DialStatus="CHANUNAVAIL")
            else:
                pbx.hangup((one, two)[n], cause=cause)
        pbx.at(3)
        if answers:
            pbx.up(B, caller)
            pbx.enter("talk", B, caller)
            pbx.at(8)
        pbx.hangup(B, cause="16" if answers else "19")
        pbx.hangup(caller)

        assert pbx.call.direction == ("internal" if internal else "inbound")
        assert pbx.call.number_raw == ("105" if internal else NUMBER)
        assert pbx.call.outcome == ("answered" if answers else "missed")
        assert [leg.extension for leg in pbx.call.legs] == ["105" if internal else None, "302"]
        assert talk_seconds(pbx.call).get("302") == (5 if answers else None)


@pytest.mark.parametrize("name", NAMES)
def test_a_local_channel_that_dials_after_a_while_leads_to_its_telephone(name: str) -> None:
    """It waits until 301 is registered, and rings it: before that there is no leg for it."""
    pbx = ScriptedPbx()
    pbx.new(C, of=C, number="303")
    one, two = pbx.pair(name, of=C)
    pbx.dial(C, one)
    waiting = pbx.call
    pbx.at(6)
    pbx.rings(A, by=two)
    pbx.at(9)
    pbx.up(A, two)
    pbx.up(one, C)
    pbx.enter("near", one, C)
    pbx.enter("far", A, two)
    pbx.at(12)
    pbx.hangup(C, one, two, A)

    assert [leg.extension for leg in waiting.legs] == ["303"]
    assert waiting.direction == "internal"
    assert (pbx.call.direction, pbx.call.answered_extension) == ("internal", "301")
    assert leg_of_extension(pbx.call, "301").ended_reason == "completed"


@pytest.mark.parametrize("internal", [True, False])
@pytest.mark.parametrize(("cause", "outcome"), [("20", "failed"), ("19", "missed"), ("16", None)])
def test_a_call_that_reaches_no_telephone_ends_as_its_attempts_do(
    internal: bool, cause: str, outcome: str | None
) -> None:
    """Nobody is registered, or nobody answers in time; or the caller gives up before."""
    pbx = ScriptedPbx()
    caller = C if internal else CALLER
    pbx.new(caller, of=caller, number="303" if internal else NUMBER)
    one, two = pbx.pair("FMPR-301@from-internal", of=caller)
    pbx.dial(caller, one)
    pbx.at(5)
    pbx.hangup(two, one, caller, cause=cause)

    gave_up = "missed" if internal else "abandoned"
    assert pbx.call.outcome == (outcome or gave_up)
    assert pbx.call.missed == (not internal)


# --- callers --------------------------------------------------------------------------------------


def test_a_caller_who_came_in_through_a_local_channel_and_gave_up_is_missed() -> None:
    """The pair is named after an extension, and no telephone rang: it is the caller."""
    pbx = ScriptedPbx()
    one, two = "Local/105@office-0000000a;1", "Local/105@office-0000000a;2"
    pbx.new(one, two, of=one, number=NUMBER)
    pbx.send("QueueCallerJoin", two, Queue="sales")
    pbx.at(8)
    pbx.send("QueueCallerAbandon", two, Queue="sales")
    pbx.send("QueueCallerLeave", two, Queue="sales")
    pbx.hangup(two, one)

    assert (pbx.call.direction, pbx.call.number_e164) == ("inbound", NUMBER)
    assert (pbx.call.outcome, pbx.call.missed) == ("abandoned", True)


def test_the_number_that_the_telephone_showed_when_it_rang_stays_the_callers() -> None:
    """Whatever the dialplan writes into the caller id while it rings."""
    pbx = ScriptedPbx()
    pbx.call_in()
    pbx.rings(A)
    pbx.at(3)
    pbx.send("NewCallerid", CALLER, CallerIDNum="+380441112233")
    pbx.at(5)
    pbx.up(A, CALLER)
    pbx.enter("talk", A, CALLER)

    assert pbx.call.number_e164 == NUMBER


# --- hold -----------------------------------------------------------------------------------------


def test_between_two_holds_by_key_the_call_is_not_on_hold() -> None:
    """A key code sends Hold and never Unhold: each hold ends with the music of its own."""
    pbx = ScriptedPbx()
    pbx.queue_to(A)
    for at in (5, 20):
        pbx.at(at)
        pbx.send("Hold", A)
        pbx.send("MusicOnHoldStart", CALLER)
        pbx.at(at + 3)
        pbx.send("MusicOnHoldStop", CALLER)
    pbx.at(30)
    pbx.hangup(A, CALLER)

    assert seconds(leg_of_extension(pbx.call, "301").hold_ms) == 6


# --- pairs in a row ------------------------------------------------------------------------------


def test_who_waits_in_front_of_two_pairs_talks_when_these_are_connected() -> None:
    """The caller is at the far end before, and 301 at the near one."""
    pbx = ScriptedPbx()
    pbx.call_in()
    one, two = pbx.pair("600@from-internal")
    near, far = pbx.pair("301@agents")
    pbx.dial(CALLER, one)
    pbx.dial(two, near)
    pbx.rings(A, by=far)
    pbx.at(2)
    pbx.up(one, CALLER)
    pbx.enter("outer", one, CALLER)
    pbx.enter("between", two)
    pbx.up(A, far)
    pbx.enter("inner", A, far)
    pbx.at(10)
    pbx.up(near, two)
    pbx.enter("between", near)
    pbx.at(15)
    pbx.hangup(CALLER, one, two, near, far, A)

    assert talk_seconds(pbx.call) == {"301": 5}
