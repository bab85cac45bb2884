"""Steps of much CPU are taken one at a time, and leave time for everybody else."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from gateway.limits.loop_share import REST, SHORTEST_S, LoopShare

TASKS, STEPS = 10, 5


async def test_between_two_steps_everybody_else_runs() -> None:
    """However many tasks take steps, a task that never takes one has a turn after each."""
    share, order = LoopShare(), []

    async def worker(name: int) -> None:
        for _ in range(STEPS):
            await share.run(lambda: order.append(name))

    async def other() -> None:
        while True:
            order.append(-1)
            await asyncio.sleep(0)

    watching = asyncio.create_task(other())
    await asyncio.gather(*(worker(name) for name in range(TASKS)))
    watching.cancel()

    steps = [place for place, name in enumerate(order) if name >= 0]
    assert len(steps) == TASKS * STEPS
    assert all(later - earlier > 1 for earlier, later in pairwise(steps))
    taken = [name for name in order if name >= 0]
    assert {tuple(sorted(taken[at : at + TASKS])) for at in range(0, len(taken), TASKS)} == {
        tuple(range(TASKS))
    }


@pytest.mark.parametrize("step_s", [SHORTEST_S / 100, SHORTEST_S / 3, SHORTEST_S * 5])
async def test_rests_are_in_proportion_to_what_was_taken(step_s: float) -> None:
    """All rests together are REST times the steps, but for less than one shortest rest."""
    now, rests = 0.0, []

    def step() -> None:
        nonlocal now
        now += step_s

    async def sleep(seconds: float) -> None:
        rests.append(seconds)

    share = LoopShare(clock=lambda: now, sleep=sleep)
    for _ in range(50):
        await share.run(step)

    assert -1e-9 <= REST * 50 * step_s - sum(rests) < SHORTEST_S + 1e-9
    assert all(rest == 0 or rest >= SHORTEST_S for rest in rests)


async def test_a_step_that_fails_lets_the_next_one_in() -> None:
    """Its exception is the caller's; a task that is cancelled during a rest frees the turn, too."""
    share = LoopShare(clock=iter(range(1_000)).__next__)

    with pytest.raises(ZeroDivisionError):
        await share.run(lambda: 1 // 0)
    resting = asyncio.create_task(share.run(lambda: None))  # for REST seconds
    await asyncio.sleep(0)
    resting.cancel()
    await asyncio.gather(resting, return_exceptions=True)

    quick = LoopShare()
    assert await quick.run(lambda: 7) == 7
    assert not share._turn.locked()
