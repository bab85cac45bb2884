"""A telephone with several devices is offered a call once, however many of them ring."""

from __future__ import annotations

import random
from itertools import combinations
from typing import Any

from ingest.model.call_state import CallState
from ingest.model.events import CallEvent
from tests.support.amounts import seeds
from tests.unit.test_fold import event, folded


def device(
    leg: str,
    rings: int,
    ends: int,
    *,
    answers: int | None = None,
    cause: int = 19,
    ext: str = "101",
) -> list[CallEvent]:
    """Let a device ring from one second to another; it may answer at the end of its ringing."""
    told = [
        event("offer.started", rings, leg, extension=ext, peer_leg_key="caller"),
        event("leg.ringing", rings, leg),
    ]
    if answers is not None:
        told += [event("leg.answered", answers, leg),
                 event("bridge.joined", answers, leg, attrs={"bridge": "b"})]  # fmt: skip
    return [*told, event("leg.ended", ends, leg, attrs={"cause": cause})]


def called(*devices: list[CallEvent], until: int = 100) -> CallState:
    caller: dict[str, Any] = {"attrs": {"number_raw": "0671112233"}}
    return folded(
        event("leg.created", 0, **caller),
        *(told for one in devices for told in one),
        event("leg.ended", until, attrs={"cause": 16}),
    )


def reasons(call: CallState) -> dict[str, str | None]:
    return {leg.leg_key: leg.ended_reason for leg in call.legs if leg.extension}


def test_the_device_that_answers_stands_for_the_telephone() -> None:
    """The other one was not asked before a colleague; a real colleague's telephone was."""
    call = called(
        device("a", 1, 30, answers=8, cause=16),
        device("b", 1, 8, cause=26),
        device("c", 1, 8, cause=26, ext="102"),
    )

    assert reasons(call) == {"a": "completed", "b": "other_device", "c": "answered_elsewhere"}
    assert (call.outcome, call.answered_extension) == ("answered", "101")


def test_devices_that_ring_out_together_miss_one_call() -> None:
    """Also when one stops earlier than the other, or cannot be reached at all."""
    call = called(device("a", 1, 4, cause=20), device("b", 1, 30), device("c", 2, 30))

    assert sorted(map(str, reasons(call).values())) == ["no_answer", "other_device", "other_device"]
    assert call.outcome == "missed"


def test_a_call_refused_on_one_device_is_refused() -> None:
    """The other device stops, or rings on: the employee has said no."""
    call = called(device("a", 1, 5, cause=21), device("b", 1, 5, cause=16))

    assert reasons(call) == {"a": "rejected", "b": "other_device"}


def test_a_telephone_that_is_rung_again_has_another_offer() -> None:
    """A queue tries it again in the second in which it has stopped."""
    call = called(device("a", 1, 15), device("b", 15, 30), until=40)

    assert reasons(call) == {"a": "no_answer", "b": "no_answer"}


def test_devices_that_talk_one_after_the_other_both_took_part() -> None:
    """The call is moved from the desk to the app: its conversation is not left out."""
    call = called(device("a", 1, 20, answers=5, cause=16), device("b", 4, 60, answers=20, cause=16))

    assert reasons(call) == {"a": "completed", "b": "completed"}


@seeds(40, 200)
def test_offers_are_the_groups_of_rings_that_share_a_second(seed: int) -> None:
    """Compared with rings as sets of seconds, joined while any two of them meet."""
    dice = random.Random(seed)
    rings: dict[str, tuple[int, int]] = {}
    for number in range(dice.randrange(1, 8)):
        begins = dice.randrange(1, 40)
        rings[f"d{number}"] = begins, begins + dice.randrange(1, 15)
    answering = dice.choice([None, *rings])
    groups = [{name} for name in rings]
    for one, other in combinations(rings, 2):
        if set(range(*rings[one])) & set(range(*rings[other])):
            mine, theirs = (next(g for g in groups if name in g) for name in (one, other))
            groups = [g for g in groups if g not in (mine, theirs)] + [mine | theirs]

    call = called(*(
        device(name, begins, 90, answers=ends, cause=16) if name == answering
        else device(name, begins, ends)
        for name, (begins, ends) in rings.items()
    ))  # fmt: skip

    standing = {name for name, reason in reasons(call).items() if reason != "other_device"}
    assert sorted(len(standing & group) for group in groups) == [1] * len(groups)
    assert answering is None or answering in standing
