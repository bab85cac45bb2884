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
            await share.run(name, lambda: order.append(name))

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
        await share.run(1, step)

    assert -1e-9 <= REST * 50 * step_s - sum(rests) < SHORTEST_S + 1e-9
    assert all(rest == 0 or rest >= SHORTEST_S for rest in rests)


async def test_a_step_that_fails_lets_the_next_one_in() -> None:
    """Its exception is the caller's; a task that is cancelled during a rest frees the turn, too."""
    rested = asyncio.Event()

    async def rest(_: float) -> None:
        await rested.wait()

    share = LoopShare(clock=iter(range(1_000)).__next__, sleep=rest)

    with pytest.raises(ZeroDivisionError):
        await share.run(1, lambda: 1 // 0)
    resting = asyncio.create_task(share.run(1, lambda: None))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(share.run(1, lambda: None))
    following = asyncio.create_task(share.run(2, lambda: 7))
    await asyncio.sleep(0)
    waiting.cancel()
    resting.cancel()
    await asyncio.gather(resting, waiting, return_exceptions=True)
    rested.set()

    async with asyncio.timeout(60):
        assert await following == 7


async def test_a_turn_that_came_to_a_task_just_being_cancelled_goes_on_to_the_next() -> None:
    """Given and cancelled in one turn of the loop: it must not be lost."""
    share = LoopShare(clock=lambda: 0.0)

    async def take_and_cancel() -> None:
        await share.run(1, lambda: None)
        second.cancel()  # who has just been given the turn

    first = asyncio.create_task(take_and_cancel())
    await asyncio.sleep(0)
    second = asyncio.create_task(share.run(2, lambda: None))
    third = asyncio.create_task(share.run(3, lambda: 7))
    await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await asyncio.gather(first, second, return_exceptions=True)
        assert second.cancelled()
        assert await third == 7


@pytest.mark.parametrize("searches", [1, 10, 40])
async def test_turns_go_round_by_owner_however_many_tasks_one_has(searches: int) -> None:
    """Between two steps of somebody with one task come no more than one of another owner."""
    share, order = LoopShare(clock=lambda: 0.0), []

    async def work(owner: int, steps: int) -> None:
        for _ in range(steps):
            await share.run(owner, lambda: order.append(owner))

    busy = [asyncio.create_task(work(1, 100)) for _ in range(searches)]
    for _ in range(10):
        await asyncio.sleep(0)
    before = len(order)
    await asyncio.gather(work(2, 20), work(3, 20))
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)

    assert order.count(2) == order.count(3) == 20
    page = order[before : before + 60]
    assert page.count(1) <= 21
