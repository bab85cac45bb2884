"""Places go round by owner; a place that is not used comes back."""

from __future__ import annotations

import asyncio

import pytest

from gateway.limits.fair_places import FairPlaces


async def test_somebody_with_one_request_waits_for_one_of_those_who_have_a_hundred() -> None:
    """The hundred were first."""
    places, order = FairPlaces(2), []

    async def read(owner: str) -> None:
        await places.take(owner)
        try:
            order.append(owner)
            await asyncio.sleep(0)
        finally:
            places.give_back()

    tasks = [asyncio.create_task(read("many")) for _ in range(100)]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(read("one")))
    await asyncio.gather(*tasks)

    assert order.index("one") <= 2 * 2 + 1
    assert len(order) == 101


@pytest.mark.parametrize("moment", ["waiting", "given"])
async def test_who_gives_up_leaves_the_place_to_the_next(moment: str) -> None:
    """Also when the place was given in the same turn of the loop."""
    places = FairPlaces(1)
    await places.take("first")
    leaves = asyncio.create_task(places.take("leaves"))
    stays = asyncio.create_task(places.take("stays"))
    await asyncio.sleep(0)

    if moment == "given":
        places.give_back()
        leaves.cancel()
    else:
        leaves.cancel()
        await asyncio.sleep(0)
        places.give_back()

    await asyncio.wait_for(stays, 10)
    assert leaves.cancelled()
    places.give_back()
    await asyncio.wait_for(places.take("anybody"), 10)


async def test_the_longest_wait_is_of_somebody_who_waits_once() -> None:
    """Who has many requests waits for their own; a slow database makes everybody wait."""
    now = 0.0
    places = FairPlaces(1, clock=lambda: now)
    await places.take("first")
    tasks = [asyncio.create_task(places.take("many")) for _ in range(5)]
    await asyncio.sleep(0)
    now = 3.0
    only_many = places.longest_wait_s()
    tasks.append(asyncio.create_task(places.take("one")))
    await asyncio.sleep(0)
    now = 3.5

    assert (only_many, places.longest_wait_s()) == (0.0, 0.5)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert places.longest_wait_s() == 0.0


async def test_the_last_of_many_has_waited_for_the_others() -> None:
    """Its own wait begins when it is the only one."""
    now = 0.0
    places = FairPlaces(1, clock=lambda: now)
    await places.take("first")
    tasks = [asyncio.create_task(places.take("many")) for _ in range(5)]
    await asyncio.sleep(0)
    now = 3.0
    for _ in range(4):
        places.give_back()
        await asyncio.sleep(0)
    just_alone = places.longest_wait_s()
    now = 3.25

    assert (just_alone, places.longest_wait_s()) == (0.0, 0.25)
    places.give_back()
    await asyncio.wait_for(asyncio.gather(*tasks), 10)
    assert places.longest_wait_s() == 0.0
