"""Requests that come together are loaded together, and never from what was read before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import pytest

from gateway.batch_loader import BatchLoader
from gateway.errors import DatabaseUnavailable, Overloaded
from gateway.ops.tasks import Tasks
from tests.support.amounts import seeds


class Source:
    """Loads 10 n for n, when the test lets it; records its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.fails: dict[int, Exception] = {}

    async def read(self, requests: Sequence[int]) -> list[int]:
        self.batches.append(list(requests))
        await self.go_on.wait()
        for request in requests:
            if request in self.fails:
                raise self.fails[request]
        return [10 * request for request in requests]


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    async with Tasks() as owner:
        yield owner


async def turns() -> None:
    """Let everything that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_idle_loader_loads_at_once(tasks: Tasks) -> None:
    """A single request does not wait for others."""
    source = Source()
    loader = BatchLoader(source.read, spawn=tasks.spawn, name="test")

    assert await loader.load(1) == 10
    assert await loader.load(2) == 20
    assert source.batches == [[1], [2]]


async def test_requests_that_meet_a_busy_loader_share_a_batch(tasks: Tasks) -> None:
    """They are read after it is done, in batches of at most the given size, each answered."""
    source = Source()
    source.go_on.clear()
    loader = BatchLoader(source.read, spawn=tasks.spawn, name="test", max_batch=3)
    first = asyncio.create_task(loader.load(0))
    await turns()

    others = [asyncio.create_task(loader.load(n)) for n in range(1, 6)]
    await turns()
    assert source.batches == [[0]]  # nobody may be answered with what was read before its request
    source.go_on.set()

    assert await first == 0
    assert await asyncio.gather(*others) == [10, 20, 30, 40, 50]
    assert source.batches == [[0], [1, 2, 3], [4, 5]]


async def test_one_bad_request_fails_no_other(tasks: Tasks) -> None:
    """An error that one request of a batch causes is raised to that one alone."""
    source = Source()
    source.fails[2] = ZeroDivisionError()
    source.go_on.clear()
    loader = BatchLoader(source.read, spawn=tasks.spawn, name="test")
    asked = [asyncio.create_task(loader.load(n)) for n in range(4)]
    await turns()
    source.go_on.set()

    found = await asyncio.gather(*asked, return_exceptions=True)

    assert found[:2] + found[3:] == [0, 10, 30]
    assert isinstance(found[2], ZeroDivisionError)


async def test_one_bad_request_of_many_is_found_by_halves(tasks: Tasks) -> None:
    """Its neighbours are loaded in few further batches, in their order."""
    source = Source()
    source.go_on.clear()
    source.fails[20] = ZeroDivisionError()
    loader = BatchLoader(source.read, spawn=tasks.spawn, name="test", max_batch=32)
    asked = [asyncio.create_task(loader.load(n)) for n in range(33)]
    await turns()
    source.go_on.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert [n for n, one in enumerate(answers) if isinstance(one, ZeroDivisionError)] == [20]
    assert [one for one in answers if isinstance(one, int)] == [
        10 * n for n in range(33) if n != 20
    ]
    assert len(source.batches) <= 2 + 2 * 5


async def test_an_outage_fails_every_request_at_once(tasks: Tasks) -> None:
    """An unavailable database is not read again for each of a batch; later ones are loaded."""
    source = Source()
    source.go_on.clear()
    loader = BatchLoader(source.read, spawn=tasks.spawn, name="test")
    first = asyncio.create_task(loader.load(0))
    await turns()
    source.fails[1] = DatabaseUnavailable()
    others = [asyncio.create_task(loader.load(n)) for n in range(1, 5)]
    await turns()
    source.go_on.set()

    assert await first == 0
    found = await asyncio.gather(*others, return_exceptions=True)

    assert [type(one) for one in found] == [DatabaseUnavailable] * 4
    assert source.batches == [[0], [1, 2, 3, 4]]
    assert await loader.load(7) == 70


async def test_nothing_is_loaded_for_a_caller_that_has_gone(tasks: Tasks) -> None:
    """A request whose caller was cancelled while it waited is dropped."""
    source = Source()
    source.go_on.clear()
    loader = BatchLoader(source.read, spawn=tasks.spawn, name="test")
    first = asyncio.create_task(loader.load(0))
    await turns()
    gone, stays = asyncio.create_task(loader.load(1)), asyncio.create_task(loader.load(2))
    await turns()
    gone.cancel()
    await turns()
    source.go_on.set()

    assert (await first, await stays) == (0, 20)
    assert source.batches == [[0], [2]]


async def test_a_loader_that_is_stopped_leaves_nobody_waiting() -> None:
    """When the node goes, so do the requests it was reading."""
    source = Source()
    source.go_on.clear()
    async with Tasks() as owner:
        loader = BatchLoader(source.read, spawn=owner.spawn, name="test")
        asked = asyncio.create_task(loader.load(0))
        await turns()

    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_several_batches_may_be_in_flight(tasks: Tasks) -> None:
    """A second source takes what comes while the first one is busy; then requests wait."""
    source = Source()
    source.go_on.clear()
    loader = BatchLoader(source.read, spawn=tasks.spawn, name="test", concurrency=2)
    asked = []
    for n in range(4):
        asked.append(asyncio.create_task(loader.load(n)))
        await turns()

    assert source.batches == [[0], [1]]
    source.go_on.set()
    assert await asyncio.gather(*asked) == [0, 10, 20, 30]
    assert source.batches == [[0], [1], [2, 3]]


async def test_of_one_key_one_batch_is_in_flight_at_a_time(tasks: Tasks) -> None:
    """Requests with the key of another go after it, together and in order, and delay no others."""
    source = Source()
    source.go_on.clear()
    loader = BatchLoader(
        source.read,
        spawn=tasks.spawn,
        name="test",
        concurrency=2,
        key=lambda request: request % 10,
    )
    asked = []
    for n in (1, 11, 21, 2):
        asked.append(asyncio.create_task(loader.load(n)))
        await turns()

    assert source.batches == [[1], [2]]
    source.go_on.set()
    assert await asyncio.gather(*asked) == [10, 110, 210, 20]
    assert [batch for batch in source.batches if batch != [2]] == [[1], [11, 21]]


async def test_every_key_has_a_place_in_a_batch_before_any_has_a_second(tasks: Tasks) -> None:
    """A flood of one key fills what others leave, and no more."""
    source = Source()
    source.go_on.clear()
    loader = BatchLoader(
        source.read, spawn=tasks.spawn, name="test", max_batch=5, key=lambda request: request % 10
    )
    asked = []
    for n in (0, 1, 11, 21, 31, 41, 2, 12, 3):
        asked.append(asyncio.create_task(loader.load(n)))
        await turns()
    source.go_on.set()

    assert await asyncio.gather(*asked) == [0, 10, 110, 210, 310, 410, 20, 120, 30]
    assert source.batches == [[0], [1, 2, 3, 11, 12], [21, 31, 41]]


async def test_a_loader_of_single_keys_mixes_none(tasks: Tasks) -> None:
    """Where each key waits for something of its own, a batch has requests of one key only."""
    source = Source()
    source.go_on.clear()
    loader = BatchLoader(
        source.read,
        spawn=tasks.spawn,
        name="test",
        max_batch=3,
        max_keys=1,
        key=lambda request: request % 10,
    )
    asked = []
    for n in (0, 1, 11, 21, 31, 2):
        asked.append(asyncio.create_task(loader.load(n)))
        await turns()
    source.go_on.set()
    await asyncio.gather(*asked)

    assert source.batches == [[0], [1, 11, 21], [2], [31]]


@seeds(5, 20)
async def test_whatever_comes_each_key_keeps_its_order(tasks: Tasks, seed: int) -> None:
    """Random keys, sizes, failures and callers that go: two batches never have a key in common."""
    dice = random.Random(seed)
    batches: list[list[tuple[int, int]]] = []
    in_flight: list[int] = []
    max_batch, max_keys = dice.randint(1, 6), dice.randint(1, 6)

    async def read(requests: Sequence[tuple[int, int]]) -> list[int]:
        keys = {key for key, _ in requests}
        assert len(requests) <= max_batch
        assert len(keys) <= max_keys
        assert not keys & set(in_flight)
        in_flight.extend(keys)
        batches.append(list(requests))
        for _ in range(dice.randrange(4)):
            await asyncio.sleep(0)
        for key in keys:
            in_flight.remove(key)
        if dice.random() < 0.2:
            raise DatabaseUnavailable
        return [number for _, number in requests]

    loader = BatchLoader(
        read,
        spawn=tasks.spawn,
        name="test",
        max_batch=max_batch,
        max_keys=max_keys,
        concurrency=dice.randint(1, 3),
        key=lambda request: request[0],
    )
    asked = []
    for number in range(200):
        asked.append(asyncio.create_task(loader.load((dice.randrange(5), number))))
        if dice.random() < 0.1:
            dice.choice(asked).cancel()
        if dice.random() < 0.5:
            await asyncio.sleep(0)
    results = await asyncio.gather(*asked, return_exceptions=True)

    for number, result in enumerate(results):
        assert result == number or isinstance(result, DatabaseUnavailable | asyncio.CancelledError)
    loaded = [request for batch in batches for request in batch]
    for key in range(5):
        numbers = [number for one, number in loaded if one == key]
        assert numbers == sorted(set(numbers))
    assert loader.waiting == 0


async def test_a_key_is_free_again_when_its_caller_has_gone(tasks: Tasks) -> None:
    """The next one of the key is loaded although the one before it never was."""
    source = Source()
    source.go_on.clear()
    loader = BatchLoader(source.read, spawn=tasks.spawn, name="test", key=lambda request: request)
    first = asyncio.create_task(loader.load(0))
    await turns()
    gone, stays = asyncio.create_task(loader.load(1)), asyncio.create_task(loader.load(1))
    await turns()
    gone.cancel()
    await turns()
    source.go_on.set()

    assert (await first, await stays) == (0, 10)
    assert source.batches == [[0], [1]]


async def test_a_request_that_waits_too_long_fails_and_one_in_flight_does_not(tasks: Tasks) -> None:
    """A write that may have happened already is never reported as failed."""
    source = Source()
    source.go_on.clear()
    loader = BatchLoader(source.read, spawn=tasks.spawn, name="test", max_batch=1, timeout_s=0.02)
    out = asyncio.create_task(loader.load(0))
    await turns()

    with pytest.raises(Overloaded):
        await loader.load(1)
    assert loader.oldest_wait_s() > 0
    source.go_on.set()

    assert await out == 0
    assert await loader.load(2) == 20
    assert source.batches == [[0], [2]]
    assert loader.waiting == 0
