"""Calls in queues, without a recording: who was connected, and when a stint is over."""

from __future__ import annotations

import pytest

from ingest.model.snapshot import lost_legs
from tests.support.call_truth import calls_of
from tests.support.scripted_pbx import (
    CALLER,
    A,
    B,
    ScriptedPbx,
    leg_of_extension,
    seconds,
    talk_seconds,
)


def give_up(pbx: ScriptedPbx, channel: str = CALLER) -> None:
    pbx.send("QueueCallerAbandon", channel, Queue="sales")
    pbx.send("QueueCallerLeave", channel, Queue="sales")
    pbx.hangup(channel)


def dump(pbx: ScriptedPbx) -> None:
    """301 picks up, and hangs up while the queue announces the caller."""
    pbx.into_queue()
    pbx.rings(A)
    pbx.at(2)
    pbx.up(A, CALLER)
    pbx.at(3)
    pbx.send("AgentDump", CALLER, A, Queue="sales")
    pbx.send("DialEnd", CALLER, A, DialStatus="NOANSWER")
    pbx.hangup(A)


def test_an_agent_who_hangs_up_in_the_announcement_answered_nothing() -> None:
    """The caller waits on, gives up, and was missed."""
    pbx = ScriptedPbx()
    dump(pbx)
    waiting = pbx.call
    pbx.at(10)
    give_up(pbx)

    assert (waiting.status, waiting.stints[0].outcome) == ("waiting", None)
    assert (pbx.call.outcome, pbx.call.missed) == ("abandoned", True)
    assert leg_of_extension(pbx.call, "301").ended_reason == "rejected"


def test_the_next_agent_answers_whom_the_first_one_refused() -> None:
    """302 is who answered, after all of the wait."""
    pbx = ScriptedPbx()
    dump(pbx)
    pbx.rings(B)
    pbx.at(8)
    pbx.up(B, CALLER)
    pbx.answered(B)
    pbx.at(12)
    pbx.hangup(CALLER, B)

    assert (pbx.call.outcome, pbx.call.answered_extension) == ("answered", "302")
    assert seconds(pbx.call.wait_ms) == 8
    assert talk_seconds(pbx.call) == {"302": 4}


def test_a_caller_who_gives_up_during_the_announcement_was_not_answered() -> None:
    """The agent's telephone is up, but nobody was put through."""
    pbx = ScriptedPbx()
    pbx.into_queue()
    pbx.rings(A)
    pbx.at(2)
    pbx.up(A, CALLER)
    pbx.at(4)
    pbx.hangup(A)
    give_up(pbx)

    assert (pbx.call.outcome, pbx.call.missed) == ("abandoned", True)
    assert (pbx.call.answered_extension, pbx.call.talk_ms) == (None, None)


def test_of_two_who_pick_up_at_once_the_one_who_talks_answered() -> None:
    """302 was up a millisecond before 301, and was let go."""
    pbx = ScriptedPbx()
    pbx.into_queue()
    pbx.rings(A)
    pbx.rings(B)
    pbx.at(2)
    pbx.send("Newstate", B, ChannelStateDesc="Up")
    pbx.up(A, CALLER)
    pbx.answered(A)
    pbx.hangup(B, cause="26")
    pbx.at(6)
    pbx.hangup(CALLER, A)

    assert pbx.call.answered_extension == "301"


@pytest.mark.parametrize("answers", [True, False])
def test_who_is_put_into_a_queue_through_a_local_channel_leaves_it_in_the_end(
    answers: bool,
) -> None:
    """Dial(Local/8001@queues): it is the channel's far half that waits, and gives up."""
    pbx = ScriptedPbx()
    pbx.call_in()
    one, two = pbx.pair("8001@queues")
    pbx.dial(CALLER, one)
    pbx.send("QueueCallerJoin", two, Queue="sales")
    pbx.send("Newstate", two, ChannelStateDesc="Up")
    pbx.up(one, CALLER)
    pbx.enter("outer", one, CALLER)
    pbx.rings(A, by=two)
    pbx.at(8)
    if answers:
        pbx.up(A, two)
        pbx.send("QueueCallerLeave", two, Queue="sales")
        pbx.send("AgentConnect", two, A, Queue="sales")
        pbx.enter("inner", A, two)
        pbx.at(12)
        pbx.hangup(CALLER, one, two, A)
    else:
        pbx.hangup(CALLER, one, A)
        give_up(pbx, two)

    (stint,) = pbx.call.stints
    assert stint.outcome == ("connected" if answers else "abandoned")
    assert pbx.call.outcome == ("answered" if answers else "abandoned")
    assert seconds(pbx.call.wait_ms) == 8


def test_a_stint_through_a_local_channel_ends_with_a_lost_call() -> None:
    """Nobody heard the end: the far half, which waits, is no telephone, and is lost like one."""
    pbx = ScriptedPbx()
    pbx.call_in()
    one, two = pbx.pair("8001@queues")
    pbx.dial(CALLER, one)
    pbx.send("QueueCallerJoin", two, Queue="sales")
    pbx.up(one, CALLER)
    pbx.enter("outer", one, CALLER)
    pbx.rings(A, by=two)
    last = pbx.heard[-1]
    keys = sorted({event.leg_key for event in pbx.heard if event.leg_key})

    pbx.heard += lost_legs(frozenset(keys), last.source, last.occurred_at)

    (stint,) = pbx.call.stints
    assert (pbx.call.status, stint.outcome) == ("ended", "abandoned")


@pytest.mark.parametrize("refused", [True, False])
def test_an_entry_received_on_two_connections_is_one_stint(refused: bool) -> None:
    """Without `timestampevents` the second has a time of its own, 30 ms later."""
    pbx = ScriptedPbx()
    pbx.call_in()
    for at in (1, 1.03):
        pbx.at(at)
        pbx.send("Newexten", CALLER, Application="Queue", AppData="sales,t")
        if refused:
            pbx.send("VarSet", CALLER, Variable="QUEUESTATUS", Value="FULL")
        else:
            pbx.send("QueueCallerJoin", CALLER, Queue="sales")
    if not refused:
        pbx.at(9)
        give_up(pbx)
    pbx.hangup(CALLER)

    assert [stint.outcome for stint in pbx.call.stints] == ["full" if refused else "abandoned"]


def test_a_caller_who_returns_to_a_queue_at_once_has_two_stints() -> None:
    """A dialplan that goes round when the queue gives up."""
    pbx = ScriptedPbx()
    pbx.into_queue()
    pbx.at(0.5)
    pbx.send("QueueCallerAbandon", CALLER, Queue="sales")
    pbx.send("QueueCallerLeave", CALLER, Queue="sales")
    pbx.send("VarSet", CALLER, Variable="QUEUESTATUS", Value="TIMEOUT")
    pbx.send("QueueCallerJoin", CALLER, Queue="sales")
    pbx.at(9)
    give_up(pbx)

    assert [stint.outcome for stint in pbx.call.stints] == ["timeout", "abandoned"]


def test_a_call_of_which_only_the_end_arrived_is_none() -> None:
    """We began to listen in the middle and may not ask for a list: nobody was missed."""
    pbx = ScriptedPbx()
    pbx.queue_to(A)
    heard = len(pbx.heard)
    pbx.at(9)
    pbx.leave(A, CALLER)
    pbx.send("AgentComplete", CALLER, A, Queue="sales", TalkTime="7", Reason="caller")
    pbx.hangup(A, CALLER)

    assert calls_of(pbx.heard[heard:]) == []


def test_an_answer_in_the_next_queue_is_not_one_in_the_queue_before() -> None:
    """Even if it follows at once, and no queue reports the connection."""
    pbx = ScriptedPbx()
    pbx.into_queue()
    pbx.at(9)
    pbx.send("QueueCallerLeave", CALLER, Queue="sales")
    pbx.send("QueueCallerJoin", CALLER, Queue="support")
    pbx.rings(A)
    pbx.at(9.3)
    pbx.up(A, CALLER)
    pbx.enter("talk", A, CALLER)
    pbx.at(20)
    pbx.hangup(A, CALLER)

    assert [(one.queue, one.outcome) for one in pbx.call.stints] == [
        ("sales", "key"), ("support", "connected"),
    ]  # fmt: skip
