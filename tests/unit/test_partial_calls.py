"""Calls of which a part was not heard, or late: nothing is made up, what comes late counts."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ingest.model.events import CallEvent
from tests.support.scripted_pbx import CALLER, A, ScriptedPbx, talk_seconds
from tests.unit.test_fold import T0, answered, event, folded, in_queue

OVER = event("leg.ended", 40, attrs={"cause": 16})


def lost(at: float, leg: str) -> CallEvent:
    """Give a telephone up, as a snapshot does in which it is no more."""
    return event("leg.ended", at, leg, time_quality="derived", attrs={"result": "lost"})


@pytest.mark.parametrize(
    "late",
    [event("leg.ended", 30, "a", attrs={"cause": 16}), event("call.ended", 30, None)],
    ids=["its own", "that of the call"],
)
def test_an_end_that_is_reported_after_all_counts_instead_of_the_guess(late: CallEvent) -> None:
    """A telephone that was given up as lost has then ended as any other, when the PBX says so."""
    guessed = folded(*answered(), lost(20, "a"))
    known = folded(*answered(), lost(20, "a"), late)

    ends = [
        (leg.ended_at, leg.ended_reason)
        for call in (guessed, known)
        for leg in call.legs
        if leg.extension
    ]
    assert ends == [
        (T0 + timedelta(seconds=20), "lost"),
        (T0 + timedelta(seconds=30), "completed"),
    ]


def test_a_telephone_of_which_only_the_conversation_was_heard_is_in_the_call() -> None:
    """The gateway connected to the PBX when it had been answered already."""
    call = folded(
        *in_queue()[:1],
        event("bridge.joined", 7, attrs={"bridge": "b"}),
        event("bridge.joined", 7, "x", attrs={"bridge": "b"}),
        event("leg.ended", 20, "x", attrs={"cause": 16}),
        OVER,
    )

    assert [leg.leg_key for leg in call.legs] == ["caller", "x"]


def test_a_caller_who_left_the_queue_and_hung_up_at_once_left_it_by_key() -> None:
    """No PBX says why: there is nothing more to wait for when the caller is gone."""
    call = folded(
        *in_queue(),
        event("leg.ended", 7, "a"),
        event("queue.left", 7, queue="sales"),
        event("leg.ended", 8),
    )

    assert ([stint.outcome for stint in call.stints], call.outcome) == (["key"], "left_queue")


def test_who_was_in_a_conversation_with_somebody_unheard_of_talked() -> None:
    """The gateway connected when the others had entered the bridge already."""
    pbx = ScriptedPbx()
    pbx.call_in()
    one, two = pbx.pair("301@agents")
    pbx.dial(CALLER, one)
    pbx.rings(A, by=two)
    pbx.at(2)
    pbx.up(A, two)
    pbx.enter("inner", A)
    pbx.at(9)
    pbx.hangup(A, two, one, CALLER)

    assert talk_seconds(pbx.call) == {"301": 7}
    assert pbx.call.answered_extension == "301"


def test_a_call_that_was_answered_before_talks_when_a_queue_connects_it() -> None:
    """The answer from before the queue says nothing of whom the queue has found."""
    told = [
        *in_queue()[:1],
        event("offer.started", 1, "a", peer_leg_key="caller", extension="101"),
        event("leg.answered", 3, "a"),
        event("leg.ended", 5, "a"),
        event("queue.entered", 6, queue="sales"),
    ]

    assert folded(*told).status == "waiting"
    assert folded(*told, event("queue.connected", 9, queue="sales")).status == "talking"
