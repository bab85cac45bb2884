"""Follow-me: who answers for a telephone on a mobile answers as that telephone's employee."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ingest.model.call_state import CallState
from tests.support.call_truth import RECORDINGS, calls_of, events_of_recording
from tests.support.scripted_pbx import CALLER, A, B, ScriptedPbx, seconds

MOBILE = "PJSIP/trunk-00000009"
Way = Callable[[ScriptedPbx, str], list[str]]
"""How a channel dials the mobile → the channels that end with it, the one in front first."""


def by_list(pbx: ScriptedPbx, by: str) -> list[str]:
    """FreePBX: by a pair that is named after the list and the number."""
    one, two = pbx.pair("FMGL-0507776655#@from-internal")
    pbx.dial(by, one)
    over_trunk(pbx, two)
    return [one, two, MOBILE]


def by_number(pbx: ScriptedPbx, by: str) -> list[str]:
    """Asterisk's own FollowMe(), Wazo: by a pair that is named after the number."""
    one, two = pbx.pair("0507776655@from-internal")
    pbx.dial(by, one)
    over_trunk(pbx, two)
    return [one, two, MOBILE]


def over_trunk(pbx: ScriptedPbx, by: str) -> list[str]:
    """In the dialplan of the extension: directly."""
    pbx.new(MOBILE)
    pbx.send("DialBegin", by, MOBILE, DialString="0507776655@trunk")
    pbx.ring(MOBILE)
    return [MOBILE]


def ring_member(pbx: ScriptedPbx, name: str) -> tuple[str, str]:
    """A queue rings one of its members by a pair."""
    one, two = f"Local/{name}-0000001f;1", f"Local/{name}-0000001f;2"
    pbx.new(one, two)
    pbx.send("AgentCalled", CALLER, one, Queue="sales", Interface=f"Local/{name}/n",
             MemberName="Oksana")  # fmt: skip
    pbx.dial(CALLER, one)
    return one, two


def answer(pbx: ScriptedPbx, by: str, channels: list[str]) -> None:
    """The mobile picks up, and the pair before it with it; both are bridged with who dialled."""
    pbx.at(8)
    pbx.up(MOBILE, channels[-2] if len(channels) > 1 else by)
    if len(channels) > 1:
        pbx.enter("behind", MOBILE, channels[1])
        pbx.up(channels[0], by)


def queue_call(way: Way, *, telephone: bool = True, late: bool = False) -> CallState:
    """Return a call of a queue whose member 301 answers on the mobile, for 30 s."""
    pbx = ScriptedPbx()
    pbx.into_queue()
    near, far = ring_member(pbx, "301@from-queue")
    if telephone:
        pbx.rings(A, by=far)
        if late:  # the telephone first, the mobile when nobody has picked up
            pbx.at(5)
            pbx.send("DialEnd", far, A, DialStatus="NOANSWER")
            pbx.hangup(A, cause="19")
    channels = way(pbx, far)
    answer(pbx, far, channels)
    if telephone and not late:
        pbx.hangup(A, cause="26")
    pbx.enter("between", channels[0], far)
    pbx.up(near, CALLER)
    pbx.answered(near)
    pbx.at(38)
    pbx.hangup(CALLER, near, far, *channels)
    return pbx.call


def test_a_reported_member_answers_on_the_mobile() -> None:
    """101's employee talks 30 s; desk telephone and mobile are two devices of one telephone."""
    (call,) = calls_of(events_of_recording("a5_member_answers_on_his_mobile",
                                           RECORDINGS / "reported"))  # fmt: skip

    assert (call.direction, call.outcome, call.answered_extension) == ("inbound", "answered", "101")
    assert seconds(call.talk_ms) == 30
    assert [(leg.extension, leg.kind, leg.ended_reason) for leg in call.legs] == [
        (None, "external", "completed"),
        ("101", "agent", "other_device"),
        ("101", "agent", "completed"),
    ]
    (stint,) = call.stints
    assert (stint.outcome, stint.queue) == ("connected", "sales")


@pytest.mark.parametrize("way", [by_list, by_number, over_trunk])
@pytest.mark.parametrize(
    ("telephone", "late"), [(True, False), (True, True), (False, False)],
    ids=["with the telephone", "after the telephone", "telephone offline"],
)  # fmt: skip
def test_a_member_of_a_queue_answers_on_the_mobile(way: Way, telephone: bool, late: bool) -> None:
    """However it is dialled behind the member's pair, and also when only the mobile rings."""
    call = queue_call(way, telephone=telephone, late=late)

    assert (call.outcome, call.answered_extension) == ("answered", "301")
    assert seconds(call.talk_ms) == 30
    assert [leg.extension for leg in call.legs if leg.kind == "external"] == [None]


@pytest.mark.parametrize("way", [by_list, by_number, over_trunk])
@pytest.mark.parametrize("inside", [True, False], ids=["from inside", "from outside"])
def test_an_extension_that_is_called_answers_on_the_mobile(way: Way, inside: bool) -> None:
    """A pair that also rings the telephone of its name is the telephone's, without a queue."""
    pbx = ScriptedPbx()
    caller = B if inside else CALLER
    pbx.new(caller, number="302" if inside else "+380671234567")
    near, far = pbx.pair("301@from-internal", of=caller)
    pbx.dial(caller, near)
    pbx.rings(A, by=far)
    channels = way(pbx, far)
    answer(pbx, far, channels)
    pbx.hangup(A, cause="26")
    pbx.enter("between", channels[0], far)
    pbx.up(near, caller)
    pbx.enter("talk", near, caller)
    pbx.at(38)
    pbx.hangup(caller, near, far, *channels)

    assert pbx.call.direction == ("internal" if inside else "inbound")
    assert (pbx.call.outcome, pbx.call.answered_extension) == ("answered", "301")


@pytest.mark.parametrize("first", [True, False], ids=["FMPR", "telephone"])
def test_freepbx_dials_the_list_from_the_callers_own_channel(first: bool) -> None:
    """The extension is in the name of the pair for itself, or is the one telephone that rings."""
    pbx = ScriptedPbx()
    pbx.call_in()
    if first:
        one, two = pbx.pair("FMPR-301@from-internal")
        pbx.dial(CALLER, one)
        pbx.rings(A, by=two)
    else:
        pbx.rings(A, by=CALLER)
    channels = by_list(pbx, CALLER)
    answer(pbx, CALLER, channels)
    pbx.hangup(A, cause="26")
    if first:
        pbx.hangup(one, two, cause="26")
    pbx.enter("talk", channels[0], CALLER)
    pbx.at(38)
    pbx.hangup(CALLER, *channels)

    assert (pbx.call.outcome, pbx.call.answered_extension) == ("answered", "301")
    assert seconds(pbx.call.talk_ms) == 30


def test_the_mobile_in_a_group_belongs_to_nobody_in_it() -> None:
    """The pair has the group's number, which is no telephone: the call was forwarded outside."""
    pbx = ScriptedPbx()
    pbx.call_in()
    near, far = pbx.pair("600@from-internal")
    pbx.dial(CALLER, near)
    pbx.rings(A, by=far)
    pbx.rings(B, by=far)
    channels = by_number(pbx, far)
    answer(pbx, far, channels)
    pbx.hangup(A, B, cause="26")
    pbx.enter("between", channels[0], far)
    pbx.up(near, CALLER)
    pbx.enter("talk", near, CALLER)
    pbx.at(38)
    pbx.hangup(CALLER, near, far, *channels)

    assert (pbx.call.outcome, pbx.call.answered_extension) == ("answered", None)
    assert [leg.kind for leg in pbx.call.legs].count("external") == 2


def test_a_mobile_to_which_the_member_transfers_is_not_the_members() -> None:
    """The far half of the member's pair dials it, but only after the member has answered."""
    pbx = ScriptedPbx()
    pbx.into_queue()
    near, far = ring_member(pbx, "301@from-queue")
    pbx.rings(A, by=far)
    pbx.at(2)
    pbx.up(A, far)
    pbx.enter("between", A, far)
    pbx.up(near, CALLER)
    pbx.answered(near)
    pbx.at(12)
    pbx.leave(A, far)
    pbx.hangup(A)
    over_trunk(pbx, far)
    pbx.at(15)
    pbx.up(MOBILE, far)
    pbx.enter("onward", MOBILE, far)
    pbx.at(38)
    pbx.hangup(CALLER, near, far, MOBILE)

    assert pbx.call.answered_extension == "301"
    assert seconds(pbx.call.talk_ms) == 10
    assert pbx.call.legs[-1].kind == "external"
