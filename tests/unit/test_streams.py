"""A conversation's stream on a node: in order, without gaps, each change once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from gateway.bus import Announcement
from gateway.delivery.streams import Streams
from tests.support.desk import eventually


class StreamBench:
    """Streams, what they delivered, and a pretended database."""

    def __init__(self) -> None:
        self.stored: dict[int, Announcement] = {}
        self.delivered: list[int] = []
        self.reads = 0
        self.streams = Streams(deliver=lambda a: self.delivered.append(a.change))
        self.streams.open(1)

    async def changes_after(self, asked: Sequence[tuple[int, int]]) -> list[Announcement]:
        self.reads += 1
        return [self.stored[c] for c in sorted(self.stored) if c > asked[0][1]]

    async def total(self, conversation_ids: str) -> int:
        assert conversation_ids == "{1}"
        return max(self.stored, default=0)

    async def moved(self, positions: Sequence[tuple[int, int]]) -> dict[int, int]:
        last = max(self.stored, default=0)
        return {conversation_id: last for conversation_id, change in positions if change < last}

    def commit(self, change: int) -> Announcement:
        announcement = Announcement("conversation:1", "message.created", b"{}", change)
        self.stored[change] = announcement
        return announcement


def test_what_comes_before_the_position_is_known_waits() -> None:
    """A new stream holds events back, then drops those that the snapshot had already."""
    world = StreamBench()
    for change in (3, 4, 5):
        world.streams.accept(1, world.commit(change))
    assert world.delivered == []

    world.streams.start_at({1: 4})

    assert world.delivered == [5]


def test_order_is_restored_without_reading() -> None:
    """Two publishers that overtake each other cost nothing but a moment."""
    world = StreamBench()
    world.streams.start_at({1: 0})

    for change in (2, 3, 1, 1, 2, 4):
        world.streams.accept(1, world.commit(change))

    assert world.delivered == [1, 2, 3, 4]
    assert world.reads == 0


async def test_a_gap_is_read_back() -> None:
    """What the bus lost comes from the database, before what came after it."""
    world = StreamBench()
    running = asyncio.create_task(world.streams.run(world, sweep_s=60))
    world.streams.start_at({1: 0})
    for change in range(1, 6):
        world.commit(change)

    world.streams.accept(1, world.stored[5])
    await eventually(lambda: len(world.delivered) == 5)
    running.cancel()

    assert world.delivered == [1, 2, 3, 4, 5]
    assert world.streams.healed == 4  # the fifth was waiting here


async def test_the_sweep_finds_what_nobody_announced() -> None:
    """The last message of a quiet conversation, too."""
    world = StreamBench()
    world.streams.start_at({1: 0})
    world.commit(1)

    running = asyncio.create_task(world.streams.run(world, sweep_s=0.05))
    await eventually(lambda: world.delivered == [1])
    running.cancel()


async def test_any_loss_and_any_order_deliver_everything_once() -> None:
    """Random losses, repeats and overtaking: each change is delivered once, in order."""
    for seed in range(20):
        chance = random.Random(seed)
        world = StreamBench()
        running = asyncio.create_task(world.streams.run(world, sweep_s=0.02))
        world.streams.start_at({1: 0})
        announced = [world.commit(change) for change in range(1, 101)]
        heard = [a for a in announced if chance.random() < 0.7]
        heard += chance.sample(heard, 10)
        for _ in range(50):
            i = chance.randrange(len(heard) - 1)
            heard[i], heard[i + 1] = heard[i + 1], heard[i]
        for announcement in heard:
            world.streams.accept(1, announcement)
            if chance.random() < 0.05:
                await asyncio.sleep(0)

        await eventually(lambda world=world: len(world.delivered) == 100)
        running.cancel()

        assert world.delivered == list(range(1, 101))


async def test_a_database_that_fails_is_asked_again() -> None:
    """An outage while reading delays; it does not end the stream."""
    world = StreamBench()
    answers = iter([OSError("gone")])
    read = world.changes_after

    async def sometimes(asked: Sequence[tuple[int, int]]) -> list[Announcement]:
        for failure in answers:
            raise failure
        return await read(asked)

    world.changes_after = sometimes  # type: ignore[method-assign]
    world.streams.start_at({1: 0})
    world.commit(1)
    world.streams.accept(1, world.commit(2))

    running = asyncio.create_task(world.streams.run(world, sweep_s=0.05))
    await eventually(lambda: world.delivered == [1, 2])
    running.cancel()
