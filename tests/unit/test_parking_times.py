"""Parkings that follow each other closely, and reports of them in another order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.model.call_state import CallState
from ingest.normalise.webhook import parse_events
from tests.support.call_truth import calls_of
from tests.support.scripted_pbx import NUMBER
from tests.unit.test_parking import parking_of


def posted_parking(*told: tuple[float, str, str], leg: str | None = "c") -> CallState:
    """Return a call that 301 answered, parked and unparked at these seconds, by whom or why."""
    began = datetime.now(UTC) - timedelta(hours=1)
    items: list[tuple[float, dict[str, Any]]] = [
        (0, {"type": "call.started", "leg_key": "c", "attrs": {"number": NUMBER}}),
        (1, {"type": "offer.started", "leg_key": "a", "peer_leg_key": "c", "extension": "301"}),
        (2, {"type": "leg.answered", "leg_key": "a", "extension": "301"}),
        (10, {"type": "leg.ended", "leg_key": "a"}),
    ]
    for at, kind, said in told:
        if kind == "ended":
            items.append((at, {"type": "leg.ended", "leg_key": "c"}))
            continue
        name = "slot" if kind == "parked" else "reason" if said == "timeout" else "by"
        attrs = {name: said} if said else {}
        items.append((at, {"type": f"call.{kind}", "leg_key": leg, "attrs": attrs}))
    parsed = parse_events(
        [
            {"call_key": "k", "occurred_at": (began + timedelta(seconds=at)).isoformat(), **item}
            for at, item in items
        ],
        source="pbx",
    )
    assert not parsed.rejected
    (call,) = calls_of(parsed.events)
    return call


def test_parking_whose_end_is_told_first_is_over() -> None:
    """By a PBX whose threads report the two within some milliseconds."""
    parked = parking_of(posted_parking((20.0, "unparked", ""), (20.005, "parked", "701")))

    assert (parked.slot, parked.until is None) == ("701", False)


def test_the_end_of_a_parking_that_nobody_told_is_not_that_of_the_next() -> None:
    """The call is put into another slot at once, where it stays."""
    call = posted_parking(
        (20.0, "unparked", ""), (20.005, "parked", "702"), (50.005, "unparked", "302")
    )
    parked = parking_of(call)

    assert (parked.slot, parked.result, parked.to_extension) == ("702", "picked_up", "302")
    assert call.parked_ms == 30_000


def test_who_picks_up_a_call_that_was_parked_again_did_so_once() -> None:
    """The first time it came back, although the second one is over soon after."""
    call = posted_parking(
        (20, "parked", "701"), (50, "unparked", "timeout"),
        (50.5, "parked", "702"), (51.5, "unparked", "302"),
    )  # fmt: skip

    assert [(one.slot, one.result, one.to_extension) for one in call.parkings] == [
        ("701", "timeout", None),
        ("702", "picked_up", "302"),
    ]


def test_parking_without_a_leg_ends_with_the_callers_leg() -> None:
    """Although that has a key of its own, and the PBX tells of no other end."""
    call = posted_parking((20, "parked", "701"), (50, "ended", ""), leg=None)
    parked = parking_of(call)

    assert (call.status, parked.result, call.parked_ms) == ("ended", "given_up", 30_000)
