"""The search for the largest number of users: what it tries, when it stops, what it says."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from loadtests.report import table
from loadtests.roles.figures import Figures
from loadtests.scenarios.capacity import (
    CLOSE_ENOUGH,
    Trial,
    decisive,
    markdown,
    result_of,
    search,
    trial_of,
)

GOOD = Trial(46, {"deliver": 20.0, "call.offered": 30.0, "hello": 900.0}, 0, 20.0, 35.0)


def trials_with(limit: int, *, most: int = 5_000, times: int = 1_000) -> list[Trial]:
    """Search a gateway that serves this many users; after so many trials there is no time."""
    made: list[Trial] = []

    def attempt(users: int) -> Trial:
        p99 = 50.0 if users <= limit else 400.0
        made.append(replace(GOOD, users=users, p99_ms={"deliver": p99, "call.offered": 20.0}))
        return made[-1]

    return search(attempt, bound_ms=200.0, first=46, most=most, has_time=lambda: len(made) < times)


EDGES = (46, 47, 91, 92, 93, 4_999, 5_000, 9_999)


@pytest.mark.parametrize("limit", [*EDGES, *random.Random(7).sample(range(100, 4_000), 40)])
def test_the_largest_number_is_found(limit: int) -> None:
    """Whichever it is: at most a tenth too small, and never too large, in at most 20 trials."""
    trials = trials_with(limit)

    good = max(one.users for one in trials if one.holds(200.0))
    assert good <= limit
    assert min(limit, 5_000) - good <= max(1, good * CLOSE_ENOUGH)
    assert len(trials) <= 20
    assert all(46 <= one.users <= 5_000 for one in trials)


def test_it_doubles_and_then_halves_the_distance() -> None:
    """The order of the trials, for a gateway that serves 300 users; what fails is tried twice."""
    found = [one.users for one in trials_with(300)]

    assert found == [46, 92, 184, 368, 368, 276, 322, 322, 299]


@pytest.mark.parametrize("limit", [0, 1, 45])
def test_it_stops_when_the_smallest_number_fails(limit: int) -> None:
    """With fewer users not every role is there."""
    assert [one.users for one in trials_with(limit)] == [46, 46]


def test_one_disturbed_trial_decides_nothing() -> None:
    """The second one of the same number holds: the search goes on as if there were only that."""
    made: list[Trial] = []

    def attempt(users: int) -> Trial:
        disturbed = len(made) % 2 == 0
        made.append(replace(GOOD, users=users, failed=int(disturbed)))
        return made[-1]

    trials = search(attempt, bound_ms=200.0, first=46, most=100, has_time=lambda: True)

    assert [one.users for one in trials] == [46, 46, 92, 92, 100, 100]
    said = result_of(trials, 200.0, "mixed users")
    assert (said.failures, said.figures["largest_users"]) == ([], 100)
    assert said.figures["least_users_that_failed"] == 0
    assert [one.failed for one in decisive(trials, 200.0)] == [0, 0, 0]


@pytest.mark.parametrize("times", [0, 1, 3])
def test_no_trial_begins_when_the_time_is_over(times: int) -> None:
    """What was found until then is the answer."""
    assert len(trials_with(300, times=times)) == times


@pytest.mark.parametrize(
    "change",
    [
        {"p99_ms": {"deliver": 200.0, "call.offered": 30.0}},
        {"p99_ms": {"deliver": 20.0, "call.offered": 201.0}},
        {"p99_ms": {"deliver": 20.0}},
        {"p99_ms": {"deliver": math.nan, "call.offered": 30.0}},
        {"failed": 1},
        {"generator_percent": 90.1},
    ],
)
def test_a_trial_that_proves_nothing_does_not_hold(change: dict[str, object]) -> None:
    """Late, without calls, with a failure, or with a generator that was busy."""
    assert GOOD.holds(200.0)
    assert not replace(GOOD, **change).holds(200.0)  # type: ignore[arg-type]


def test_a_generator_at_its_limit_is_not_the_gateways() -> None:
    """The answer then is a failure that says so, and how to go on."""
    busy = replace(GOOD, users=92, generator_percent=97.0)

    said = result_of([GOOD, busy], 200.0, "mixed users")

    assert said.figures["largest_users"] == 46
    assert (said.figures["least_users_that_failed"], said.figures["void_trials"]) == (92, 1)
    assert any("void at 92" in failure and "--processes" in failure for failure in said.failures)


def test_no_number_that_holds_is_a_failure() -> None:
    """Neither none that was tried, nor one that failed, is an answer."""
    for trials in ([], [replace(GOOD, failed=3)]):
        said = result_of(trials, 200.0, "mixed users")

        assert said.figures["largest_users"] == 0
        assert not said.ok


def test_the_table_can_be_copied_into_the_document() -> None:
    """Markdown, by the number of users, with the verdict of each trial."""
    late = replace(GOOD, users=1_092, p99_ms={"deliver": 250.2, "call.offered": math.nan})

    rows = markdown([late, GOOD], 200.0).splitlines()[2:]

    assert len({row.count("|") for row in rows}) == 1
    assert rows[2].startswith("| 46 | 20, 30, 900 ms |")
    assert rows[2].endswith("| 35 % | 20 % | holds |")
    assert rows[3].startswith("| 1,092 | 250, - ms |")
    assert rows[3].endswith("| does not hold |")
    assert rows[2] in table(result_of([late, GOOD], 200.0, "mixed users"))


def test_a_trial_is_made_of_what_locust_left() -> None:
    """Rates by the second, CPU in percent of one core, all failures counted."""
    found = Figures(cpu_percent=33.33)
    for took in range(1, 101):
        found.note("deliver", float(took), 10, None)
        found.note("message.send", 1.0, 10, None)
    found.note("call.offered", 7.0, 10, None)
    found.note("hello", 1.0, 0, ValueError("http.503"))

    made = trial_of(found, 46, 10.0, 4.2)

    assert made.p99_ms["deliver"] == 99.0
    assert (made.p99_ms["call.offered"], made.failed) == (7.0, 1)
    assert (made.worker_percent, made.generator_percent) == (42.0, 33.3)
    assert made.per_s == {"messages": 10.0, "calls": 0.1, "replies": 20.1}
