"""Background tasks end with their owner, whatever they are doing."""

from __future__ import annotations

import asyncio

from gateway.ops.tasks import Tasks


async def test_a_task_that_swallows_a_cancellation_is_cancelled_again() -> None:
    """On Python 3.11 wait_for may do that to any task; a worker must stop all the same."""
    swallowed = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(5):
        async with Tasks() as tasks:
            tasks.spawn(stubborn(), name="stubborn")
            await asyncio.sleep(0)

    assert swallowed.is_set()
    assert not list(tasks)


async def test_leaving_waits_until_the_tasks_have_ended() -> None:
    """What a task does when it is cancelled is done by then."""
    cleaned = asyncio.Event()

    async def tidy() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.set()

    async with Tasks() as tasks:
        tasks.spawn(tidy(), name="tidy")
        await asyncio.sleep(0)

    assert cleaned.is_set()
