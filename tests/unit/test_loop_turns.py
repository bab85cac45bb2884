"""Work that may wait leaves the loop to what is urgent, owner by owner, and stays what it was."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise

import pytest

from gateway.limits.loop_turns import REST, TURN_S, LoopTurns
from tests.support.desk import eventually

OWNERS, STEPS = 7, 5


class StepClock:
    """Time that passes only in steps."""

    def __init__(self) -> None:
        self.now = 1.0

    def __call__(self) -> float:
        return self.now


async def work(clock: StepClock, note: Callable[[], None], *, steps: int, step_s: float) -> int:
    """Take so many steps of so long; return how many."""
    for _ in range(steps):
        note()
        clock.now += step_s
        await asyncio.sleep(0)
    return steps


async def test_in_each_turn_of_the_loop_one_long_step_is_taken() -> None:
    """However many tasks take steps, a callback of the loop runs between every two."""
    clock, order = StepClock(), []
    turns = LoopTurns(clock=clock)

    async def other() -> None:
        while True:
            order.append("other")
            await asyncio.sleep(0)

    watching = asyncio.create_task(other())
    await asyncio.gather(
        *(
            turns.run(owner, work(clock, lambda: order.append("step"), steps=STEPS, step_s=0.01))
            for owner in range(OWNERS)
        )
    )
    watching.cancel()

    assert order.count("step") == OWNERS * STEPS
    assert "step step" not in " ".join(order)


async def test_short_steps_share_a_turn() -> None:
    """Steps begin until TURN_S of a turn is used, if nothing waits."""
    clock, at = StepClock(), []
    turns, turn = LoopTurns(clock=clock), 0

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    watching = asyncio.create_task(count_turns())
    await asyncio.gather(
        *(
            turns.run(owner, work(clock, lambda: at.append(turn), steps=1, step_s=TURN_S / 4))
            for owner in range(4)
        )
    )
    watching.cancel()

    assert len(set(at)) == 1


async def test_who_has_forty_tasks_has_no_more_turns_than_who_has_one() -> None:
    """One task among forty of somebody else is done after two rounds for each of its steps."""
    clock, order = StepClock(), []
    turns = LoopTurns(clock=clock)
    tasks = [
        asyncio.create_task(
            turns.run("many", work(clock, lambda: order.append("many"), steps=STEPS, step_s=0.01))
        )
        for _ in range(40)
    ]
    await asyncio.sleep(0)

    await turns.run("one", work(clock, lambda: order.append("one"), steps=STEPS, step_s=0.01))
    before = order.count("many")
    await asyncio.gather(*tasks)

    assert before <= 2 * STEPS + 2
    assert order.count("many") == 40 * STEPS


async def test_steps_rest_while_something_urgent_is_done() -> None:
    """No step begins within REST times the last one's time; without urgent work none rests."""
    clock, began = StepClock(), []
    turns = LoopTurns(clock=clock)

    async def pass_time() -> None:
        while True:
            await asyncio.sleep(0.0005)
            clock.now += 0.001

    passing = asyncio.create_task(pass_time())
    with turns.urgent():
        await asyncio.gather(
            *(
                turns.run(1, work(clock, lambda: began.append(clock.now), steps=1, step_s=0.004))
                for _ in range(4)
            )
        )
    gaps = [later - earlier for earlier, later in pairwise(began)]
    began.clear()
    passing.cancel()
    await asyncio.gather(
        *(
            turns.run(1, work(clock, lambda: began.append(clock.now), steps=1, step_s=0.004))
            for _ in range(4)
        )
    )

    assert all(gap >= 0.004 * (1 + REST) - 1e-9 for gap in gaps)
    assert began[-1] - began[0] == pytest.approx(3 * 0.004)


async def test_the_end_of_urgent_work_ends_the_rest() -> None:
    """What waited for its rest goes on at once."""
    clock = StepClock()
    turns, done = LoopTurns(clock=clock), []

    async def take_long() -> None:
        clock.now += 1_000.0

    with turns.urgent():
        await turns.run(1, take_long())
        waiting = asyncio.create_task(
            turns.run(1, work(clock, lambda: done.append(1), steps=1, step_s=0.001))
        )
        for _ in range(20):
            await asyncio.sleep(0)
        assert not done

    assert await asyncio.wait_for(waiting, 10) == 1


@pytest.mark.parametrize("seed", range(20))
async def test_work_is_what_it_would_be_without_turns(seed: int) -> None:
    """Results, errors, time-outs, cancellations and finally blocks of random coroutines."""
    plain = await _outcomes(seed, lambda _, coroutine: coroutine)
    turns = LoopTurns()
    in_turns = await _outcomes(seed, turns.run)

    assert in_turns == plain
    assert await asyncio.wait_for(turns.run("later", _returns("free")), 10) == "free"


async def _returns(value: str) -> str:
    await asyncio.sleep(0)
    return value


async def _outcomes(seed: int, run: Callable[..., Awaitable[str]]) -> list[tuple[str, ...]]:
    """Run thirty coroutines beside each other, of which some are cancelled; return what became."""
    dice = random.Random(seed)
    notes: list[list[str]] = [[] for _ in range(30)]
    plans = [
        [dice.choice(("turn", "future", "fail", "timeout", "nested", "wait")) for _ in range(4)]
        for _ in notes
    ]
    cancelled = set(dice.sample(range(30), 8))

    async def one(plan: list[str], noted: list[str]) -> str:
        try:
            for kind in plan:
                noted.append(kind)
                await _do(kind)
        except asyncio.CancelledError:
            noted.append("cancelled")
            await asyncio.sleep(0)  # it may still do something
            raise
        finally:
            noted.append("ended")
        return "done"

    tasks = [
        asyncio.ensure_future(run(number % 3, one(plan, noted)))
        for number, (plan, noted) in enumerate(zip(plans, notes, strict=True))
    ]
    for number in cancelled:
        plans[number].append("wait")  # so that it is there to be cancelled
    await eventually(
        lambda: all(
            task.done() or noted[-1:] == ["wait"] for task, noted in zip(tasks, notes, strict=True)
        )
    )
    for number in cancelled:
        tasks[number].cancel()
    await asyncio.wait([tasks[number] for number in cancelled])
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return [
        (type(result).__name__, str(result), *noted)
        for result, noted in zip(results, notes, strict=True)
    ]


async def _do(kind: str) -> None:
    loop = asyncio.get_running_loop()
    if kind == "turn":
        await asyncio.sleep(0)
    elif kind == "future":
        future = loop.create_future()
        loop.call_later(0.001, future.set_result, None)
        await future
    elif kind == "fail":
        raise ValueError(kind)
    elif kind == "timeout":
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            pass
    elif kind == "nested":
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0.001))
    else:
        await asyncio.Event().wait()


async def test_who_is_cancelled_while_waiting_takes_no_turn() -> None:
    """Its turn goes to the next; the others are served."""
    clock, order = StepClock(), []
    turns = LoopTurns(clock=clock)
    tasks = [
        asyncio.create_task(
            turns.run(owner, work(clock, lambda: order.append(1), steps=3, step_s=0.01))
        )
        for owner in range(6)
    ]
    await asyncio.sleep(0)
    for task in tasks[1::2]:
        task.cancel()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)

    assert [one for one in results if not isinstance(one, asyncio.CancelledError)] == [3, 3, 3]


async def test_work_within_work_takes_the_turns_of_its_task() -> None:
    """It would wait for a turn that its own task has, and with it everybody."""
    clock = StepClock()
    turns = LoopTurns(clock=clock)

    async def outer(owner: int) -> int:
        return await turns.run(owner, work(clock, lambda: None, steps=STEPS, step_s=0.01))

    tasks = [turns.run(owner, outer(owner)) for owner in range(OWNERS)]
    found = await asyncio.wait_for(asyncio.gather(*tasks), 10)

    assert found == [STEPS] * OWNERS


async def test_whose_turns_they_are_may_show_while_the_work_is_done() -> None:
    """Forty tasks that turn out to be of one owner have no more turns than one of another."""
    clock, order, known = StepClock(), [], set[int]()
    turns, all_known = LoopTurns(clock=clock), asyncio.Event()

    async def many(number: int) -> None:
        known.add(number)
        if len(known) == 40:
            all_known.set()
        await all_known.wait()
        await work(clock, lambda: order.append("many"), steps=STEPS, step_s=0.01)

    tasks = [
        asyncio.create_task(
            turns.run(partial(lambda one: "many" if one in known else one, number), many(number))
        )
        for number in range(40)
    ]
    await all_known.wait()
    await turns.run("one", work(clock, lambda: order.append("one"), steps=STEPS, step_s=0.01))
    before = order.count("many")
    await asyncio.gather(*tasks)

    assert before <= 2 * STEPS + 2
