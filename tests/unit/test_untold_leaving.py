"""Stints whose end no queue has told: what the caller did next says whether they gave up."""

from __future__ import annotations

import itertools

import pytest

from ingest.model.snapshot import lost_legs
from tests.support.scripted_pbx import CALLER, A, ScriptedPbx, seconds

MOBILE = "PJSIP/trunk-00000009"
NEXT = (
    "hangs up",
    "another queue",
    "mailbox",
    "parked",
    "mobile",
    "agent",
    "connection lost",
    "waits",
)
LEFT_AT, OVER_AT = 20, 90


def caller_who(does: str, *, rang: bool) -> ScriptedPbx:
    """Return a PBX that has told of nothing but the entry, and what came after 20 s."""
    pbx = ScriptedPbx()
    pbx.into_queue()
    if rang:
        pbx.rings(A)
        pbx.at(5)
        pbx.hangup(A, cause="19")
    pbx.at(LEFT_AT)
    match does:
        case "hangs up":
            pbx.hangup(CALLER)
        case "another queue":
            pbx.send("QueueCallerJoin", CALLER, Queue="support")
            pbx.at(OVER_AT)
            pbx.send("QueueCallerAbandon", CALLER, Queue="support")
            pbx.send("QueueCallerLeave", CALLER, Queue="support")
        case "mailbox":
            pbx.send("Newexten", CALLER, Application="VoiceMail", AppData="100")
        case "parked":
            pbx.send("ParkedCall", ParkeeUniqueid=CALLER, ParkingSpace="701")
        case "mobile" | "agent":
            channel = MOBILE if does == "mobile" else A
            pbx.rings(channel)
            pbx.up(channel, CALLER)
            pbx.enter("talk", CALLER, channel)
            pbx.at(OVER_AT)
            pbx.hangup(channel)
        case "connection lost":
            pbx.heard += lost_legs(frozenset({CALLER}), "pbx", pbx.heard[-1].occurred_at)
        case _:
            return pbx
    if does not in {"hangs up", "connection lost"}:
        pbx.at(OVER_AT)
        pbx.hangup(CALLER)
    return pbx


@pytest.mark.parametrize(("does", "rang"), list(itertools.product(NEXT, [True, False])))
def test_what_a_caller_does_next_says_how_they_left(does: str, rang: bool) -> None:
    """Only who ends, or is lost, in the queue has given up; nobody waits in two places."""
    call = caller_who(does, rang=rang).call
    stint = call.stints[0]

    expected = {"hangs up": "abandoned", "agent": "connected", "waits": None,
                "connection lost": "abandoned"}.get(does, "key")  # fmt: skip
    assert stint.outcome == expected
    if does == "connection lost":
        assert seconds(stint.wait_ms) == (5 if rang else 0)
    elif does != "waits":
        assert seconds(stint.wait_ms) == LEFT_AT
    assert call.status == ("waiting" if does == "waits" else "ended")


def test_a_stint_that_was_left_is_over_while_the_call_goes_on() -> None:
    """The wallboard would count the caller in both queues until the call ends."""
    pbx = ScriptedPbx()
    pbx.into_queue()
    pbx.at(LEFT_AT)
    pbx.send("QueueCallerJoin", CALLER, Queue="support")

    first, second = pbx.call.stints

    assert (first.outcome, seconds(first.wait_ms)) == ("key", LEFT_AT)
    assert (second.outcome, second.left_at) == (None, None)


@pytest.mark.parametrize("told", ["QueueCallerAbandon", "QueueCallerLeave", "QUEUESTATUS"])
def test_what_the_queue_tells_goes_before_it(told: str) -> None:
    """However late it is told."""
    pbx = caller_who("another queue", rang=False)
    pbx.at(LEFT_AT - 1)
    if told == "QUEUESTATUS":
        pbx.send("VarSet", CALLER, Variable="QUEUESTATUS", Value="TIMEOUT")
    else:
        pbx.send(told, CALLER, Queue="sales")

    stint = pbx.call.stints[0]

    by_queue = {"QueueCallerAbandon": "timeout", "QUEUESTATUS": "timeout"}.get(told, "key")
    assert (stint.outcome, seconds(stint.wait_ms)) == (by_queue, LEFT_AT - 1)


def test_an_outsider_who_answers_for_a_queue_is_never_taken_for_leaving_it() -> None:
    """The bridge is told before what the queue says of it."""
    pbx = ScriptedPbx()
    pbx.into_queue()
    pbx.rings(MOBILE)
    pbx.at(5)
    pbx.up(MOBILE, CALLER)
    pbx.enter("talk", MOBILE, CALLER)
    seen = [pbx.call.stints[0].outcome]
    pbx.send("QueueCallerLeave", CALLER, Queue="sales")
    seen.append(pbx.call.stints[0].outcome)
    pbx.send("AgentConnect", CALLER, MOBILE, Queue="sales", MemberName="Oksana")
    seen.append(pbx.call.stints[0].outcome)

    assert seen == [None, None, "connected"]
