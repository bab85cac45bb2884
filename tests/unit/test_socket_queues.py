"""What waits on a socket: commands for each other, lost connections, pushes for their time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

from gateway import topics
from gateway.delivery.hub import Hub
from gateway.delivery.shared_frame import SharedFrame
from gateway.limits import LoopTurns
from gateway.protocol import Unread
from gateway.serving import Handler
from gateway.sockets.admission.disconnect_queue import SLICE, DisconnectQueue
from gateway.sockets.session.command_queue import CommandQueue, QueuedCommand, QueueLimits
from gateway.sockets.watch.unread import UnreadPush
from tests.support.desk import eventually


class Owner:
    """A session whose commands end when told."""

    id = "s"
    closed = False
    user_id = 1

    def __init__(self) -> None:
        self.began: list[int | None] = []
        self.ends = {number: asyncio.Event() for number in range(5)}
        self.running: set[asyncio.Task[None]] = set()

    async def run(self, entry: QueuedCommand) -> None:
        self.began.append(entry.id)
        await self.ends[entry.id or 0].wait()

    def refuse(self, request_id: int | None, error: Exception) -> None:
        raise error

    def pause_reading(self) -> None:
        raise AssertionError

    def resume_reading(self) -> None:
        raise AssertionError

    def drained(self) -> None:
        raise AssertionError

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.running.add(task)
        task.add_done_callback(self.running.discard)


async def test_a_read_that_ends_lets_nothing_overtake_a_write() -> None:
    """The write began beside it: what was sent after the write waits for the write."""
    owner = Owner()
    commands = CommandQueue(QueueLimits(4, 10, owner.spawn, LoopTurns()))
    read, write = Handler(cost="read"), Handler(cost="write")
    for number, handler in enumerate((read, write, read, write)):
        commands.submit(QueuedCommand(number, None, handler), owner)
    await eventually(lambda: owner.began == [0, 1])

    owner.ends[0].set()
    await eventually(lambda: commands.running == 1)
    beside_the_write = list(owner.began)
    owner.ends[1].set()
    await eventually(lambda: owner.began == [0, 1, 2, 3])
    for end in owner.ends.values():
        end.set()
    await eventually(lambda: not owner.running)

    assert beside_the_write == [0, 1]


async def test_of_many_connections_lost_at_once_all_are_removed() -> None:
    """In their order, a few in each turn of the event loop; also if one of them fails."""
    queue, left = DisconnectQueue(), []

    def leave(number: int) -> None:
        if number == SLICE:
            raise RuntimeError(number)
        left.append(number)

    for number in range(5 * SLICE):
        queue.add(partial(leave, number))
    await eventually(lambda: not len(queue))

    assert left == [number for number in range(5 * SLICE) if number != SLICE]


async def test_each_of_several_mutes_ends_with_a_push() -> None:
    """Nothing is written then: the node knows when, also of those that end after the first."""
    hub = Hub(opened=lambda _: None, closed=lambda _: None)
    push = UnreadPush(cast(Any, None), hub)
    heard: list[bytes] = []

    class Device:
        def __init__(self) -> None:
            self.topics = set[str]()

        def deliver(self, frame: SharedFrame) -> None:
            heard.append(frame.plain)

        def topic_counted(self, topic: str, step: int) -> None:
            """Count nothing."""

    hub.join(cast(Any, Device()), [topics.user(1)])
    soon = datetime.now(UTC) + timedelta(milliseconds=50)
    push.welcomed(
        1,
        [
            Unread(conversation_id=number, unread=1, mentions=0, last_read_seq=0, version=1,
                   muted_until=soon + timedelta(milliseconds=50 * number))
            for number in (1, 2, 3)
        ],
    )  # fmt: skip

    def pushed() -> bool:
        push.push_expired_mutes()
        return len(heard) == 3

    await eventually(pushed)

    for number, frame in zip((1, 2, 3), heard, strict=True):
        assert b'"conversation_id":%d' % number in frame
