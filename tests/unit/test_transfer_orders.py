"""Transfers of Asterisk, told in every order in which its threads may tell of their moment."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from ingest.model.call_state import CallState, TransferState
from tests.support.amounts import tries
from tests.support.interleaving import Step, merge, merges
from tests.support.scripted_pbx import CALLER, T0, A, B, C, ScriptedPbx

MOBILE = "PJSIP/trunk-00000009"
OWN = "PJSIP/301-00000009"
"""The agent's second line."""
SOME_ORDERS = tries(10, 60)


def sent(pbx: ScriptedPbx, event: str, *channels: str, **fields: str) -> Step:
    return lambda: pbx.send(event, *channels, **fields)


def left(pbx: ScriptedPbx, channel: str) -> Step:
    return lambda: pbx.leave(channel)


def entered(pbx: ScriptedPbx, bridge: str, channel: str) -> Step:
    return lambda: pbx.enter(bridge, channel)


def hung_up(pbx: ScriptedPbx, channel: str) -> Step:
    return sent(pbx, "Hangup", channel, Cause="16")


def dialled(pbx: ScriptedPbx, channel: str) -> list[Step]:
    return [lambda: pbx.new(channel), lambda: pbx.dial(CALLER, channel)]


def into_queue(pbx: ScriptedPbx, channel: str, queue: str) -> list[Step]:
    return [
        sent(pbx, "Newexten", channel, Application="Queue", AppData=f"{queue},t"),
        sent(pbx, "QueueCallerJoin", channel, Queue=queue),
    ]


def seconds(at: object, call: CallState) -> float | None:
    return round((at - T0).total_seconds(), 1) if at else None  # type: ignore[operator]


def blind(pbx: ScriptedPbx, to: str, *, by: str = A) -> Step:
    return sent(
        pbx, "BlindTransfer", Result="Success", TransfererUniqueid=by, TransfererLinkedid=CALLER,
        TransfereeUniqueid=CALLER, TransfereeLinkedid=CALLER, Extension=to,
    )  # fmt: skip


def handed_on(to: str, leads: Callable[[ScriptedPbx], list[Step]], tries: int) -> list[ScriptedPbx]:
    """301 hands the caller on after 4 s; one call for each order tried of what that causes."""
    found = []
    for n in range(tries):
        pbx = ScriptedPbx()
        pbx.queue_to(A)
        pbx.at(6)
        caller = [left(pbx, CALLER), *leads(pbx)]
        agent = [left(pbx, A), hung_up(pbx, A)]
        orders = list(merges(caller, [blind(pbx, to)], agent))
        assert len(orders) >= tries
        for step in orders[n * len(orders) // tries]:
            step()
        found.append(pbx)
    return found


def only(call: CallState) -> TransferState:
    (transfer,) = call.transfers
    return transfer


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.parametrize(("target", "extension"), [(C, "303"), (MOBILE, None)])
@SOME_ORDERS
def test_a_blind_transfer_names_who_was_rung(
    target: str, extension: str | None, answers: bool, tries: int
) -> None:
    """A colleague or a mobile, dialled before or after the transfer was told."""
    for pbx in handed_on("303", lambda pbx: dialled(pbx, target), tries):
        pbx.ring(target)
        pbx.at(9)
        if answers:
            pbx.up(target, CALLER)
            pbx.enter("after", target, CALLER)
            pbx.at(12)
        pbx.hangup(target, CALLER)
        moved = only(pbx.call)

        assert (moved.kind, moved.by_extension, moved.to_number) == ("blind", "301", "303")
        assert (moved.to_extension, moved.queue) == (extension, None)
        assert seconds(moved.answered_at, pbx.call) == (9.0 if answers else None)


@SOME_ORDERS
def test_a_blind_transfer_to_one_who_is_busy_names_them(tries: int) -> None:
    """Dialled, and over before the transfer was told."""

    def busy(pbx: ScriptedPbx) -> list[Step]:
        ends = [sent(pbx, "DialEnd", CALLER, C, DialStatus="BUSY"), hung_up(pbx, C)]
        return [*dialled(pbx, C), *ends]

    for pbx in handed_on("303", busy, tries):
        pbx.at(7)
        pbx.hangup(CALLER)
        moved = only(pbx.call)

        assert (moved.by_extension, moved.to_extension, moved.answered_at) == ("301", "303", None)


@pytest.mark.parametrize("ends", ["answered", "abandoned", "full"])
@SOME_ORDERS
def test_a_blind_transfer_into_a_queue_names_the_queue(ends: str, tries: int) -> None:
    """Entered, or refused, before or after the transfer was told; 303 answers there."""

    def leads(pbx: ScriptedPbx) -> list[Step]:
        asked, joined = into_queue(pbx, CALLER, "support")
        refused = sent(pbx, "VarSet", CALLER, Variable="QUEUESTATUS", Value="FULL")
        return [asked, refused if ends == "full" else joined]

    for pbx in handed_on("8002", leads, tries):
        pbx.at(9)
        if ends == "answered":
            pbx.rings(C)
            pbx.up(C, CALLER)
            pbx.send("QueueCallerLeave", CALLER, Queue="support")
            pbx.send("AgentConnect", CALLER, C, Queue="support")
            pbx.enter("after", C, CALLER)
            pbx.at(12)
            pbx.hangup(C)
        elif ends == "abandoned":
            pbx.send("QueueCallerAbandon", CALLER, Queue="support")
            pbx.send("QueueCallerLeave", CALLER, Queue="support")
        pbx.hangup(CALLER)
        moved = only(pbx.call)

        assert (moved.queue, moved.by_extension) == ("support", "301")
        assert moved.to_extension == ("303" if ends == "answered" else None)
        assert [(stint.queue, stint.outcome) for stint in pbx.call.stints] == [
            ("sales", "connected"),
            ("support", "connected" if ends == "answered" else ends),
        ]


@SOME_ORDERS
def test_each_of_two_transfers_has_what_it_caused(tries: int) -> None:
    """301 hands on to 302, who hands on into a queue; what 302 was asked before is not of it."""
    for n in range(tries):
        pbx, dice = ScriptedPbx(), random.Random(n)
        pbx.queue_to(A)
        pbx.at(6)
        for step in merge(dice, [left(pbx, CALLER), *dialled(pbx, B)], [blind(pbx, "302")],
                          [left(pbx, A), hung_up(pbx, A)]):  # fmt: skip
            step()
        pbx.at(8)
        pbx.up(B, CALLER)
        pbx.enter("second", B, CALLER)
        pbx.at(11)
        again = blind(pbx, "8002", by=B)
        caller = [left(pbx, CALLER), *into_queue(pbx, CALLER, "support")]
        for step in merge(dice, caller, [again], [left(pbx, B), hung_up(pbx, B)]):
            step()
        pbx.at(20)
        pbx.hangup(CALLER)
        first, second = pbx.call.transfers

        assert (first.to_extension, first.queue) == ("302", None)
        assert (second.by_extension, second.to_extension, second.queue) == ("302", None, "support")


def talking(pbx: ScriptedPbx, customer: str, *, placed: bool) -> None:
    """301 talks with a customer: one who was called, or one who came through a queue."""
    if not placed:
        pbx.queue_to(A)
        return
    pbx.new(A, of=A, number="301")
    pbx.new(customer, of=A)
    pbx.send("DialBegin", A, customer, DialString="0671234567@trunk")
    pbx.at(2)
    pbx.up(customer, A)
    pbx.enter("talk", customer, A)


def consultation(pbx: ScriptedPbx, *, calls: bool, local: bool = False) -> None:
    """301 asks 303 from a second line, or is called there by 303; they talk."""
    one, other = (OWN, C) if calls else (C, OWN)
    pbx.new(one, of=one, number="301" if calls else "303")
    by = one
    if local:
        near, by = pbx.pair(f"{other[6:9]}@internal", of=one)
        pbx.dial(one, near)
    pbx.new(other, of=one)
    pbx.dial(by, other)
    pbx.ring(other)
    pbx.at(8)
    pbx.up(other, by)
    if local:
        pbx.up(near, one)
        pbx.enter("inner", other, by)
    pbx.enter("consult", near if local else other, one)
    if local:  # the pair is optimised away
        pbx.leave(other, near)
        pbx.enter("consult", other, SwapUniqueid=near)
        pbx.hangup(by, near)


def joined(pbx: ScriptedPbx, *, first: str, target: str) -> Step:
    """301 joins both conversations; its telephone asks for that on either of its lines."""
    second = OWN if first == A else A
    fields = {"TransferTargetUniqueid": target} if target else {}
    return sent(
        pbx, "AttendedTransfer", Result="Success", OrigTransfererUniqueid=first,
        OrigTransfererLinkedid=CALLER, SecondTransfererUniqueid=second, DestType="Bridge", **fields,
    )  # fmt: skip


@pytest.mark.parametrize("placed", [True, False], ids=["to a customer", "from a customer"])
@pytest.mark.parametrize("first", [A, OWN], ids=["first line", "second line"])
@pytest.mark.parametrize("names", ["right", "the other", "nobody"])
@pytest.mark.parametrize("local", [True, False], ids=["through Local", "directly"])
@pytest.mark.parametrize("calls", [True, False], ids=["301 calls", "303 calls"])
@tries(2, 10)
def test_a_consultation_names_the_colleague_whoever_called(
    *, calls: bool, placed: bool, first: str, names: str, local: bool, tries: int
) -> None:
    """Whoever called whom, on whichever line it is asked for, and whomever the PBX names."""
    for n in range(tries):
        pbx, dice, customer = ScriptedPbx(), random.Random(n), MOBILE if placed else CALLER
        talking(pbx, customer, placed=placed)
        pbx.at(6)
        consultation(pbx, calls=calls, local=local)
        pbx.at(12)
        target = {"right": C, "the other": customer, "nobody": ""}[names]
        ends = [hung_up(pbx, A)], [hung_up(pbx, OWN)], [left(pbx, A)], [left(pbx, OWN)]
        moves = [left(pbx, customer), entered(pbx, "consult", customer)]
        for step in merge(dice, [joined(pbx, first=first, target=target)], moves, *ends):
            step()
        pbx.at(18)
        pbx.hangup(customer, C)
        moved = only(pbx.call)

        assert (moved.kind, moved.by_extension, moved.to_extension) == ("attended", "301", "303")
        assert (moved.consult_ms or 0) // 100 == 40
        assert (pbx.call.direction, pbx.call.answered_extension) == (
            "outbound" if placed else "inbound",
            "301",
        )


def test_a_customer_who_called_second_is_handed_on_to_the_colleague() -> None:
    """303 talks with 301, a customer calls 301 on a second line, and 301 joins both."""
    pbx = ScriptedPbx()
    pbx.new(C, of=C, number="303")
    pbx.new(A, of=C)
    pbx.dial(C, A)
    pbx.at(2)
    pbx.up(A, C)
    pbx.enter("first", A, C)
    pbx.at(4)
    pbx.call_in()
    pbx.rings(OWN)
    pbx.at(6)
    pbx.up(OWN, CALLER)
    pbx.enter("second", OWN, CALLER)
    pbx.at(9)
    joined(pbx, first=A, target=CALLER)()
    pbx.hangup(A, OWN)
    pbx.leave(CALLER)
    pbx.enter("first", CALLER)
    pbx.at(12)
    pbx.hangup(CALLER, C)

    assert (only(pbx.call).by_extension, only(pbx.call).to_extension) == ("301", "303")


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("placed", [True, False], ids=["to a customer", "from a customer"])
@SOME_ORDERS
def test_an_attended_transfer_into_a_queue_names_the_queue(
    connected: bool, placed: bool, tries: int
) -> None:
    """301 enters a queue to announce a customer, and hands them on from there."""
    for n in range(tries):
        pbx, dice, customer = ScriptedPbx(), random.Random(n), MOBILE if placed else CALLER
        talking(pbx, customer, placed=placed)
        pbx.at(5)
        pbx.new(OWN, of=OWN, number="301")
        for step in into_queue(pbx, OWN, "support"):
            step()
        if connected:
            pbx.rings(C, by=OWN)
            pbx.at(8)
            pbx.up(C, OWN)
            pbx.send("QueueCallerLeave", OWN, Queue="support")
            pbx.send("AgentConnect", OWN, C, Queue="support")
            pbx.enter("consult", C, OWN)
        pbx.at(12)
        moves = [left(pbx, customer)]
        if connected:
            moves.append(entered(pbx, "consult", customer))
        own = [left(pbx, OWN)] if connected else []
        ends = [left(pbx, A), hung_up(pbx, A)], [*own, hung_up(pbx, OWN)]
        for step in merge(
            dice, [joined(pbx, first=A, target=C if connected else "")], moves, *ends
        ):
            step()
        now = pbx.call

        assert [(stint.queue, stint.outcome) for stint in now.stints][-1:] == [
            ("support", "connected" if connected else None)
        ]
        assert (only(now).queue, only(now).by_extension) == ("support", "301")
        assert only(now).to_extension == ("303" if connected else None)
        assert only(now).kind == ("attended" if connected else "blonde")


@pytest.mark.parametrize("connected", [True, False])
@SOME_ORDERS
def test_a_transfer_into_a_queue_by_key_codes_names_the_queue(connected: bool, tries: int) -> None:
    """301 dials the queue by keys: a Local channel's far half waits in it, on one line of 301."""
    for n in range(tries):
        pbx, dice = ScriptedPbx(), random.Random(n)
        pbx.queue_to(A)
        pbx.at(5)
        one, two = pbx.pair("8002@internal")
        begin = [entered(pbx, "consult", one)], into_queue(pbx, two, "support")
        for step in merge(dice, *begin, [left(pbx, A), entered(pbx, "consult", A)]):
            step()
        if connected:
            pbx.rings(C, by=two)
            pbx.at(8)
            pbx.up(C, two)
            pbx.send("QueueCallerLeave", two, Queue="support")
            pbx.send("AgentConnect", two, C, Queue="support")
            pbx.enter("far", C, two)
        pbx.at(12)
        told = sent(pbx, "AttendedTransfer", Result="Success", OrigTransfererUniqueid=A,
                    SecondTransfererUniqueid=A, DestType="Bridge")  # fmt: skip
        moves = [left(pbx, one), entered(pbx, "talk", one)]
        for step in merge(dice, [told], moves, [left(pbx, A), hung_up(pbx, A)]):
            step()
        moved = only(pbx.call)

        assert (moved.queue, moved.by_extension) == ("support", "301")
        assert moved.to_extension == ("303" if connected else None)
        assert [(stint.queue, stint.outcome) for stint in pbx.call.stints] == [
            ("sales", "connected"),
            ("support", "connected" if connected else None),
        ]
