"""How long processes waited for a processor: sums over times, and what the kernel counts."""

from __future__ import annotations

import asyncio
import os
import random
import sys

import pytest

from tests.faults.starvation import (
    OBSERVER,
    Starvation,
    StarvationWatch,
    StarvedTimes,
    children,
    run_delay_s,
)
from tests.support.desk import eventually


def test_the_wait_in_a_time_is_that_of_the_samples_that_touch_it() -> None:
    """Against a plain sum over all samples, at random times."""
    dice = random.Random(7)
    times, samples, at = StarvedTimes(), [], 0.0
    for _ in range(200):
        began, at = at, at + dice.uniform(0.05, 0.3)
        samples.append((began, at, waited := dice.choice([0.0, dice.uniform(0.01, at - began)])))
        times.add(began, at, waited)

    for _ in range(500):
        since, until = sorted((dice.uniform(-1, at + 1), dice.uniform(-1, at + 1)))
        plain = sum(w for began, end, w in samples if end > since and began <= until)
        assert times.between(since, until) == pytest.approx(plain)


def test_of_those_who_waited_at_one_moment_the_longest_wait_counts() -> None:
    """What is under way is held up by one process at a time, and by one after another."""
    starvation = Starvation()
    starvation.add(0.0, 1.0, {"worker 1": 0.4, "Redis": 0.7})
    starvation.add(1.0, 2.0, {"worker 1": 0.5, "Redis": 0.0})
    starvation.add(5.0, 6.0, {"Redis": 0.2})

    assert starvation.held_up(0.0, 0.9) == pytest.approx(0.7)
    assert starvation.held_up(0.0, 2.0) == pytest.approx(1.2)
    assert starvation.held_up(4.0, 9.0) == pytest.approx(0.2)
    assert starvation.held_up(2.0, 3.0) == 0.0
    assert Starvation().held_up(0.0, 9.0) == 0.0
    assert starvation.of("worker 1").in_all == pytest.approx(0.9)


@pytest.mark.skipif(run_delay_s(os.getpid()) is None, reason="this kernel does not count waits")
async def test_two_processes_on_one_processor_starve_each_other() -> None:
    """Each waits while the other one runs; a process that sleeps waits for nothing."""
    processor = min(os.sched_getaffinity(0))
    busy = f"import os; os.sched_setaffinity(0, [{processor}])\nwhile True: pass"
    programs = {"one": busy, "other": busy, "sleeper": "import time; time.sleep(60)"}
    running = {
        name: await asyncio.create_subprocess_exec(sys.executable, "-c", program)
        for name, program in programs.items()
    }
    found = Starvation()
    watch = StarvationWatch(found, lambda: {name: [one.pid] for name, one in running.items()})
    watching = asyncio.create_task(watch.run())
    try:
        assert {one.pid for one in running.values()} <= set(children(os.getpid()))
        await eventually(lambda: found.of("one").in_all > 0.1 and found.of("other").in_all > 0.1)
        assert found.of("sleeper").in_all < found.of("one").in_all
    finally:
        watching.cancel()
        for one in running.values():
            one.kill()
            await one.wait()
    assert set(found.times) <= {OBSERVER, *programs}
