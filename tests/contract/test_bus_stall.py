"""A Redis that takes subscriptions and does not confirm them: it is waited for once, and made up.

Whoever comes back to a worker subscribes before anything is read; what that waited for Redis, a
resume would wait.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from gateway.bus import Announcement, RedisBus, redis_bus
from tests.contract.test_bus import BusListener, message, redis_listener
from tests.faults.proxy import Proxy
from tests.support.desk import eventually
from tests.support.detours import to_redis

SOON_S = 0.1
"""For how long a confirmation is waited for here: the stalls last until the test ends them."""


@dataclass
class StalledBus:
    """A node whose way to Redis can stall, and another one whose way cannot."""

    proxy: Proxy
    here: BusListener
    there: BusListener

    @property
    def bus(self) -> RedisBus:
        assert isinstance(self.here.bus, RedisBus)
        return self.here.bus


def waits(bus: RedisBus, topic: str) -> bool:
    """Return whether subscribing to this topic suspends the caller at all."""
    subscribing = bus.subscribe([topic])
    try:
        subscribing.send(None)
    except StopIteration:
        return False
    subscribing.close()
    return True


@pytest.fixture
async def stalled(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StalledBus]:
    """Give two nodes; the way of one of them is stalled."""
    monkeypatch.setattr(redis_bus, "CONFIRM_S", SOON_S)
    async with to_redis(redis_url) as (proxy, url), AsyncExitStack() as stack:
        here = await redis_listener(url, "here", stack)
        there = await redis_listener(redis_url, "there", stack)
        proxy.set("stall")
        yield StalledBus(proxy, here, there)


async def test_only_the_first_waits_for_a_redis_that_is_silent(stalled: StalledBus) -> None:
    """Hellos come one after another in a stall: each of them would wait again."""
    await stalled.bus.subscribe(["user:1"])

    assert not waits(stalled.bus, "user:2")
    assert not waits(stalled.bus, "user:1")
    assert stalled.bus.healthy  # it is not taken for lost: nothing has to be subscribed again


async def test_what_a_late_confirmation_may_have_missed_is_compared(stalled: StalledBus) -> None:
    """Nothing else would say that something was published between the two."""
    await stalled.bus.subscribe(["user:1"])
    await stalled.bus.subscribe(["user:2"])
    stalled.there.bus.publish([message("user:1", 1)])
    before = len(stalled.here.resyncs)

    stalled.proxy.set("open")
    await eventually(lambda: len(stalled.here.resyncs) > before)

    stalled.there.bus.publish([message("user:1", 2), message("user:2", 1)])
    await eventually(lambda: _topics(stalled.here.received) >= {"user:1", "user:2"})


async def test_a_redis_that_answers_again_is_waited_for_again(stalled: StalledBus) -> None:
    """On return from subscribing, nothing that is published from then on is missed."""
    await stalled.bus.subscribe(["user:1"])
    before = len(stalled.here.resyncs)
    stalled.proxy.set("open")
    await eventually(lambda: len(stalled.here.resyncs) > before)

    assert waits(stalled.bus, "user:2")


def _topics(received: list[Announcement]) -> set[str]:
    return {one.topic for one in received}
