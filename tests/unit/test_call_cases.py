"""Calls that were once folded wrongly, and times of one moment, in which no rule may trust."""

from __future__ import annotations

import random

import orjson
import pytest

from ingest.fold.event_order import canonical
from ingest.fold.fold import fold, group_by_call
from ingest.model.events import CallEvent
from tests.support.amounts import tries
from tests.support.call_cases import (
    CallCase,
    call_cases,
    changes,
    meaning,
    shuffled_moments,
    swaps,
)
from tests.support.call_truth import CALL_ID, SHARED, calls_of, events_of_recording, names

CASES = call_cases()
BUSY = "m01_mixed_local"


def changed_by_swaps(events: list[CallEvent]) -> tuple[int, list[str]]:
    """Return how many pairs were swapped, and what that changed."""
    swapped, found = 0, []
    for call in map(canonical, group_by_call(events)):
        before = fold(call, call_id=CALL_ID)
        for one, other, told in swaps(call):
            swapped += 1
            times = one.occurred_at, other.occurred_at
            after = fold(told, call_id=CALL_ID)
            found += [
                f"{one.type} / {other.type} at {times[0]}: {change}"
                for change in changes(meaning(before, *times), meaning(after, *times))
            ]
    return swapped, found


def changed_by_shuffles(events: list[CallEvent], dice: random.Random, ways: int) -> list[str]:
    """Return what changes when the events of each moment exchange their times in so many ways."""
    found: list[str] = []
    for call in map(canonical, group_by_call(events)):
        before = fold(call, call_id=CALL_ID)
        for _ in range(ways):
            for times, told in shuffled_moments(call, dice):
                after = fold(told, call_id=CALL_ID)
                found += changes(meaning(before, *times), meaning(after, *times))
    return found


@tries(20, 200)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_folds_to_what_is_right(case: CallCase, tries: int) -> None:
    """As it was reported, and in 200 other orders of arrival with repeats."""
    events = case.events()
    (call,) = calls_of(events)
    expected = orjson.dumps([call])
    dice = random.Random(case.name)

    assert not case.differences(call)
    for _ in range(tries):
        shuffled = events + dice.choices(events, k=dice.randrange(len(events)))
        dice.shuffle(shuffled)
        assert orjson.dumps(calls_of(shuffled)) == expected


def test_all_cases_are_there() -> None:
    """Each of them says what is right about it."""
    assert len(CASES) == 9
    assert all(case.right and case.messages for case in CASES)


@pytest.mark.parametrize("name", names())
def test_of_one_moment_no_order_changes_a_recorded_call(name: str) -> None:
    """Each two neighbouring events within 10 ms exchange their times, and nothing else changes."""
    swapped, found = changed_by_swaps(events_of_recording(name))

    assert swapped
    assert not found


@tries(1, 4)
@pytest.mark.parametrize("name", names())
def test_a_moment_told_in_any_order_changes_no_recorded_call(name: str, tries: int) -> None:
    """All events of 10 ms exchange their times, each moment in four ways."""
    assert not changed_by_shuffles(events_of_recording(name), random.Random(name), tries)


@tries(5, 50)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_moment_told_in_any_order_changes_no_case(case: CallCase, tries: int) -> None:
    """Each moment in 50 ways, that of the transfer with all that it causes among them."""
    assert not changed_by_shuffles(case.events(), random.Random(case.name), tries)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_of_one_moment_no_order_changes_a_case(case: CallCase) -> None:
    """Here the neighbours are 1 ms apart, the transfer among them."""
    swapped, found = changed_by_swaps(case.events())

    assert swapped
    assert not found


@pytest.mark.slow
def test_of_one_moment_no_order_changes_a_busy_mornings_calls() -> None:
    """The same of 214 calls at once."""
    if not (SHARED / f"{BUSY}.jsonl.gz").exists():
        pytest.skip(f"{BUSY} is not beside this repository")
    swapped, found = changed_by_swaps(events_of_recording(BUSY, SHARED))

    assert swapped > 5_000
    assert not found
