"""What every bus promises, on each implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import NoPermissionError
from redis.exceptions import TimeoutError as RedisTimeout

from gateway.bus import (
    Announcement,
    Bus,
    MemoryBroker,
    MemoryBus,
    RedisBus,
    RedisConfig,
    announce,
    publisher,
    pubsub_dialect,
    redis_bus,
)
from gateway.bus.publisher import BusCounters, Publisher
from gateway.bus.redis_bus import REQUESTED_AT_ONCE
from gateway.protocol import TypingStarted
from tests.support.cluster import Cluster
from tests.support.desk import eventually


@dataclass
class BusListener:
    """One node's bus, and what it received."""

    bus: Bus
    received: list[Announcement] = field(default_factory=list)
    resyncs: list[None] = field(default_factory=list)

    def texts(self, topic: str) -> list[bytes]:
        return [item.payload for item in self.received if item.topic == topic]


MakeListener = Callable[[str], Any]


@pytest.fixture(params=["memory", "redis", "cluster"])
async def make(request: pytest.FixtureRequest) -> AsyncIterator[MakeListener]:
    """Give a function that makes one more node's bus."""
    broker = MemoryBroker()
    async with AsyncExitStack() as stack:

        async def memory(_name: str) -> BusListener:
            received: list[Announcement] = []
            return BusListener(
                MemoryBus(broker, deliver=received.append, resynced=lambda: None), received
            )

        async def over_redis(name: str) -> BusListener:
            return await redis_listener(request.getfixturevalue("redis_url"), name, stack)

        async def over_cluster(name: str) -> BusListener:
            return await cluster_listener(request.getfixturevalue("cluster"), name, stack)

        yield {"memory": memory, "redis": over_redis, "cluster": over_cluster}[request.param]


async def cluster_listener(cluster: Cluster, name: str, stack: AsyncExitStack) -> BusListener:
    return await redis_listener(RedisConfig(cluster.url, cluster=True), name, stack)


async def redis_listener(
    config: RedisConfig | str, name: str, stack: AsyncExitStack
) -> BusListener:
    received: list[Announcement] = []
    resyncs: list[None] = []
    bus = RedisBus(
        config, node=name, deliver=received.append, resynced=lambda: resyncs.append(None)
    )
    await stack.enter_async_context(bus)
    await eventually(lambda: bus.healthy)
    return BusListener(bus, received, resyncs)


def message(topic: str, number: int) -> Announcement:
    return Announcement(topic, "message.created", b'{"n":%d}' % number, number)


def status(topic: str, number: int) -> Announcement:
    return Announcement(topic, "presence.changed", b'{"n":%d}' % number, number)


def dropped(listener: BusListener) -> int:
    assert isinstance(listener.bus, RedisBus)
    return listener.bus.dropped


class HangingRedis:
    """A server that takes a batch and does not answer until the test says so; then it is away."""

    def __init__(self) -> None:
        self.reached, self.fail, self.failed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def pipeline(self, **_: object) -> HangingRedis:
        return self

    def execute_command(self, *_: object) -> None: ...

    async def execute(self, **_: object) -> list[object]:
        self.reached.set()
        await self.fail.wait()
        self.failed.set()
        raise RedisTimeout


class RefusingRedis:
    """A server that refuses one channel."""

    def __init__(self, channel: bytes) -> None:
        self._channel = channel
        self._batch: list[bytes] = []
        self.taken: list[bytes] = []

    def pipeline(self, **_: object) -> RefusingRedis:
        self._batch = []
        return self

    def execute_command(self, _name: str, channel: bytes, _data: bytes) -> None:
        self._batch.append(channel)

    async def execute(self, **_: object) -> list[object]:
        await asyncio.sleep(0)
        self.taken += [one for one in self._batch if one != self._channel]
        return [NoPermissionError() if one == self._channel else 1 for one in self._batch]


async def test_what_one_node_publishes_another_hears_in_order(make: MakeListener) -> None:
    """Everything published after subscribe returned arrives, in the publisher's order."""
    here, there = await make("a"), await make("b")
    await there.bus.subscribe(["conversation:1"])

    for number in range(1, 501):
        here.bus.publish([message("conversation:1", number)])

    await eventually(lambda: len(there.received) == 500)
    assert [item.change for item in there.received] == list(range(1, 501))
    assert there.received[0] == message("conversation:1", 1)


async def test_a_node_does_not_hear_itself_nor_other_topics(make: MakeListener) -> None:
    """The publisher has delivered locally already; others hear what they asked for."""
    here, there = await make("a"), await make("b")
    await here.bus.subscribe(["user:1"])
    await there.bus.subscribe(["user:1"])

    here.bus.publish([message("user:1", 1), message("user:2", 2)])
    there.bus.publish([message("user:1", 3)])

    await eventually(lambda: here.received and there.received)
    assert [item.change for item in here.received] == [3]
    assert [item.change for item in there.received] == [1]


async def test_subscribing_twice_delivers_once(make: MakeListener) -> None:
    """Many sessions on one topic are one subscription."""
    here, there = await make("a"), await make("b")
    await asyncio.gather(*(there.bus.subscribe(["user:1"]) for _ in range(10)))

    here.bus.publish([message("user:1", 1)])
    here.bus.publish([message("user:1", 2)])

    await eventually(lambda: len(there.received) >= 2)
    assert [item.change for item in there.received] == [1, 2]


async def test_coming_back_at_once_misses_nothing(make: MakeListener) -> None:
    """A topic that is left and joined again keeps being heard."""
    here, there = await make("a"), await make("b")
    await there.bus.subscribe(["user:1"])
    there.bus.unsubscribe(["user:1"])
    await there.bus.subscribe(["user:1"])

    here.bus.publish([message("user:1", 1)])

    await eventually(lambda: there.received)


async def test_odd_bytes_survive(make: MakeListener) -> None:
    """Newlines and any Unicode in an event arrive as they were."""
    here, there = await make("a"), await make("b")
    await there.bus.subscribe(["user:1"])
    event = TypingStarted(conversation_id=1, employee_id=2)
    odd = Announcement("user:1", "message.created", '{"text":"\\n 👋 \u2028"}'.encode(), 7, 3)

    here.bus.publish([odd, announce("user:1", event, by=2)])

    await eventually(lambda: len(there.received) == 2)
    assert there.received[0] == odd
    assert (there.received[1].type, there.received[1].by) == ("typing.started", 2)


async def test_many_topics_are_heard_wherever_they_are(make: MakeListener) -> None:
    """A thousand topics, each with its own event, on however many servers."""
    here, there = await make("a"), await make("b")
    topics = [f"conversation:{number}" for number in range(1_000)]
    await there.bus.subscribe(topics)

    here.bus.publish([message(topic, number) for number, topic in enumerate(topics)])

    await eventually(lambda: len(there.received) == len(topics))
    assert {item.topic for item in there.received} == set(topics)


async def redis_pair(redis_url: str, stack: AsyncExitStack) -> tuple[BusListener, BusListener]:
    return await redis_listener(redis_url, "a", stack), await redis_listener(redis_url, "b", stack)


async def test_a_lost_connection_is_noticed_resubscribed_and_said(redis_url: str) -> None:
    """After CLIENT KILL the node hears again, and says that it may have missed something."""
    async with AsyncExitStack() as stack:
        here, there = await redis_pair(redis_url, stack)
        await there.bus.subscribe(["user:1"])
        before = len(there.resyncs)

        async with Redis.from_url(redis_url) as admin:
            await admin.client_kill_filter(_type="pubsub")
        await eventually(lambda: len(there.resyncs) > before)

        here.bus.publish([message("user:1", 1)])
        await eventually(lambda: there.received)


async def test_topics_that_are_given_up_while_they_are_requested_are_left(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client may go between two portions of the topics of its hello; those of others stay."""
    monkeypatch.setattr(redis_bus, "LINGER_S", 0.02)
    async with AsyncExitStack() as stack:
        here, there = await redis_pair(redis_url, stack)
        topics = [f"conversation:{number}" for number in range(3 * REQUESTED_AT_ONCE)]
        of_others = topics[:: REQUESTED_AT_ONCE // 2]
        subscribing = asyncio.create_task(there.bus.subscribe(topics))
        await asyncio.sleep(0)

        there.bus.unsubscribe(topics)
        await asyncio.gather(subscribing, there.bus.subscribe(of_others))

        bus = there.bus
        assert isinstance(bus, RedisBus)
        await eventually(lambda: bus.topics == {*of_others})
        here.bus.publish([message(topic, number) for number, topic in enumerate(of_others)])
        await eventually(lambda: len(there.received) == len(of_others))


async def test_a_bus_that_is_not_there_holds_nobody_up() -> None:
    """Without Redis, publishing and subscribing return at once; the node says it is deaf."""
    bus = RedisBus("redis://127.0.0.1:1", node="a", deliver=lambda _: None, resynced=lambda: None)
    async with bus, asyncio.timeout(2):
        await bus.subscribe(["user:1"])
        bus.publish([message("user:1", n) for n in range(20_000)])

        assert not bus.healthy
        assert bus.dropped >= 10_000


async def test_presence_is_published_again_when_that_failed_and_messages_are_not(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else would tell the other nodes; a message they find by its position."""
    async with AsyncExitStack() as stack:
        here, there = await redis_pair(redis_url, stack)
        await there.bus.subscribe(["presence:1"])
        failures, execute = iter(range(3)), Pipeline.execute

        async def away(self: Pipeline, raise_on_error: bool = True) -> list[Any]:
            if next(failures, None) is not None:
                raise RedisTimeout("away")
            return await execute(self, raise_on_error=raise_on_error)

        with monkeypatch.context() as failing:
            failing.setattr(Pipeline, "execute", away)
            here.bus.publish([status("presence:1", 1), message("presence:1", 2)])
            here.bus.publish([status("presence:1", 3)])
            await eventually(lambda: next(failures, None) is None)
        here.bus.publish([status("presence:1", 4)])

        await eventually(lambda: len(there.received) == 3)
        assert [item.change for item in there.received] == [1, 3, 4]
        assert dropped(here) == 1


async def test_presence_that_the_server_refused_is_published_again(redis_url: str) -> None:
    """As by a server that just became a replica, or one whose rights were changed."""
    async with AsyncExitStack() as stack:
        here, there = await redis_pair(redis_url, stack)
        await there.bus.subscribe(["presence:1"])
        async with Redis.from_url(redis_url) as admin:
            await cast(Any, admin).execute_command(
                "ACL", "SETUSER", "default", "-publish", "-spublish"
            )
            try:
                here.bus.publish([status("presence:1", 1), message("presence:1", 2)])
                await eventually(lambda: dropped(here) == 1)
            finally:
                await cast(Any, admin).execute_command(
                    "ACL", "SETUSER", "default", "+publish", "+spublish"
                )

        await eventually(lambda: there.received)
        assert [item.change for item in there.received] == [1]


async def test_presence_that_is_refused_for_good_is_dropped_and_delays_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Refused a few times in a row, it is lost: it would be, again and again."""
    monkeypatch.setattr(publisher, "PAUSE_S", 0.001)
    redis, counters = RefusingRedis(b"gateway:presence:1"), BusCounters()
    refused = Publisher(
        cast(Any, redis),
        node=b"a",
        dialect=pubsub_dialect.plain("gateway:"),
        counters=counters,
        on_misrouted=lambda _: None,
    )
    refused.enqueue([status("presence:1", n) for n in range(publisher.BATCH)])
    refused.enqueue([message("user:1", 2)])
    sending = asyncio.create_task(refused.run())

    await eventually(lambda: redis.taken == [b"gateway:user:1"])
    assert counters.dropped == publisher.BATCH
    assert counters.published == 1
    sending.cancel()


async def test_a_server_that_is_left_gives_back_what_it_is_being_sent() -> None:
    """Of a batch that waits for an answer, only what may arrive twice, and it is repeated once."""
    redis = HangingRedis()
    left = Publisher(
        cast(Any, redis),
        node=b"a",
        dialect=pubsub_dialect.plain("gateway:"),
        counters=BusCounters(),
        on_misrouted=lambda _: None,
    )
    left.enqueue([status("presence:1", 1), message("user:1", 2)])
    sending = asyncio.create_task(left.run())
    await redis.reached.wait()
    left.enqueue([message("user:1", 3)])

    assert [one.change for one in left.drain()] == [1, 3]
    redis.fail.set()
    await redis.failed.wait()
    await asyncio.sleep(0)
    assert left.drain() == [], "it was given back already"
    sending.cancel()


async def test_rubbish_on_the_channel_does_not_kill_the_listener(redis_url: str) -> None:
    """What no node of ours published is passed over."""
    async with AsyncExitStack() as stack:
        here, there = await redis_pair(redis_url, stack)
        await there.bus.subscribe(["user:1"])
        async with Redis.from_url(redis_url) as stranger:
            for rubbish in (b"", b"x", b"x\ny", b"x\n[1,2]\nz", b"x\n{}\n", b"\xff\n\xff\n\xff"):
                await stranger.publish("gateway:user:1", rubbish)

        here.bus.publish([message("user:1", 1)])

        await eventually(lambda: there.received)
        assert [item.change for item in there.received] == [1]
