"""Another installation's calls: each folds to what was expected of it there, in any order."""

from __future__ import annotations

import random

import orjson
import pytest

from tests.support.amounts import tries
from tests.support.cacofonisk import FOLDER, FoldedScenario, Scenario, differences, scenarios
from tests.support.call_truth import calls_of

SCENARIOS = scenarios()

pytestmark = pytest.mark.skipif(
    not SCENARIOS, reason=f"{FOLDER.name} is not beside this repository"
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("by_clock", [False, True], ids=["1ms", "clock"])
def test_a_stream_from_elsewhere_folds_to_what_was_expected(
    scenario: Scenario, by_clock: bool
) -> None:
    """One call; who rang, answered and talked with whom, transfers, and no false missed call."""
    judged = FoldedScenario(scenario, scenario.events(by_clock=by_clock))

    assert len(judged.calls) == 1
    assert not differences(judged)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@tries(20, 200)
def test_a_stream_from_elsewhere_folds_alike_in_any_order(scenario: Scenario, tries: int) -> None:
    """Shuffled, with random repeats: the same calls, byte for byte."""
    events = scenario.events()
    expected = orjson.dumps(calls_of(events))
    dice = random.Random(scenario.name)

    for _ in range(tries):
        shuffled = events + dice.choices(events, k=dice.randrange(len(events)))
        dice.shuffle(shuffled)
        assert orjson.dumps(calls_of(shuffled)) == expected


def test_all_of_what_was_expected_is_compared() -> None:
    """Twenty-five sequences, each of another stream, none left out."""
    assert len({scenario.name for scenario in SCENARIOS}) == 25
