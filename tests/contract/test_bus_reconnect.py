"""What is subscribed while the bus reconnects is compared once Redis has confirmed it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from gateway.bus import RedisBus, redis_bus
from gateway.bus.subscriber import Subscriber
from tests.contract.test_bus import BusListener, message, redis_listener
from tests.support.desk import eventually
from tests.support.detours import to_redis


def subscriber_of(listener: BusListener) -> Subscriber:
    """Return the connection of a node on one server."""
    assert isinstance(listener.bus, RedisBus)
    (server,) = listener.bus.topology.servers
    return server.subscriber


async def test_what_is_subscribed_during_a_reconnection_is_compared_after_its_confirmation(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for nothing, and what the connection asked for when it began does not include it."""
    monkeypatch.setattr(redis_bus, "COMPARE_S", 0.0)
    async with to_redis(redis_url) as (proxy, url), AsyncExitStack() as stack:
        here = await redis_listener(url, "here", stack)
        there = await redis_listener(redis_url, "there", stack)
        await here.bus.subscribe(["user:1"])
        subscriber = subscriber_of(here)
        proxy.set("cut")
        await eventually(lambda: not subscriber.connected)
        before = len(here.resyncs)
        proxy.set("delay", delay_s=0.4)
        await eventually(lambda: subscriber._unconfirmed)
        await here.bus.subscribe(["user:1", "user:2", "user:3"])
        assert not subscriber.connected

        await eventually(lambda: len(here.resyncs) > before)
        there.bus.publish([message("user:2", 1)])  # after the comparison: nobody hears it

        await eventually(lambda: len(here.resyncs) > before + 1)
        there.bus.publish([message("user:2", 2), message("user:3", 2)])
        await eventually(lambda: len({one.topic for one in here.received}) == 2)


async def test_what_is_subscribed_before_a_connection_begins_is_compared_with_the_rest(
    redis_url: str,
) -> None:
    """The connection asks for it among the others, so one comparison is enough."""
    async with to_redis(redis_url) as (proxy, url), AsyncExitStack() as stack:
        here = await redis_listener(url, "here", stack)
        subscriber = subscriber_of(here)
        proxy.set("cut")
        await eventually(lambda: not subscriber.connected)
        await here.bus.subscribe(["user:1"])
        assert isinstance(here.bus, RedisBus)
        assert not here.bus._late
        before = len(here.resyncs)
        proxy.set("open")
        await eventually(lambda: subscriber.connected)

        assert len(here.resyncs) == before + 1
        assert not subscriber._waiting


async def test_a_comparison_that_fails_ends_neither_the_connection_nor_later_comparisons(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one on connecting, nor one after a late confirmation."""
    monkeypatch.setattr(redis_bus, "COMPARE_S", 0.0)
    compared: list[None] = []

    def fail() -> None:
        compared.append(None)
        raise LookupError

    async with (
        RedisBus(redis_url, node="a", deliver=lambda _: None, resynced=fail) as bus,
        asyncio.timeout(30),
    ):
        await eventually(lambda: bus.healthy)
        for _ in range(3):
            before = len(compared)
            confirmed = asyncio.get_running_loop().create_future()
            bus._compare_when_confirmed([confirmed])
            confirmed.set_result(None)
            await eventually(lambda: len(compared) > before)  # noqa: B023

        assert bus.reconnects == 0
        assert len(compared) == 4
