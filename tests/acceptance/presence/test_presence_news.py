"""What is shown of people after Redis was away, when the bus is back before presence is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisAway

from gateway.protocol import PresenceChanged, PresenceSet, PresenceWatch
from presence.link import RedisLink
from tests.acceptance.chat.test_healing import lose_everything
from tests.acceptance.presence.test_presence import until_status
from tests.support.desk import IRYNA, OKSANA, Desk, eventually


async def test_what_was_missed_is_told_once_presence_can_be_read_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared while only the last known state could be read, it is compared again after that."""
    oksana = await desk.client(OKSANA)
    iryna = await desk.client(IRYNA, node=1)
    await iryna.request(PresenceWatch(employee_ids=[OKSANA]))
    deaf = desk.nodes[1]
    presence: Any = deaf.node.services.presence
    away, looked, check = asyncio.Event(), asyncio.Event(), deaf.node.reconciler._check
    evaluate = presence.link._evaluate

    async def unreachable(calls: Any) -> Any:
        if away.is_set():
            raise RedisAway("away")
        return await evaluate(calls)

    async def checked(*, events_lost: bool) -> None:
        await check(events_lost=events_lost)
        if events_lost:
            looked.set()

    monkeypatch.setattr(presence.link, "_evaluate", unreachable)
    monkeypatch.setattr(deaf.node.reconciler, "_check", checked)
    away.set()
    presence.link.fail("a test")
    end = lose_everything(desk.nodes[0])
    await oksana.request(PresenceSet(status="busy", text=None))
    end()

    deaf.node.delivery.resynced()
    async with asyncio.timeout(10):
        await looked.wait()
    away.clear()

    await eventually(lambda: not presence.degraded)
    async with asyncio.timeout(10):
        while not [p for p in (await iryna.next(PresenceChanged)).presences if p.status == "busy"]:
            pass


async def test_the_last_known_state_is_not_told_as_news(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Presence goes away while it is being read again: watchers know already what was known."""
    await desk.client(OKSANA)
    iryna = await desk.client(IRYNA, node=1)
    await iryna.request(PresenceWatch(employee_ids=[OKSANA]))
    presence: Any = desk.nodes[1].node.services.presence
    reconciler: Any = desk.nodes[1].node.reconciler
    told: list[Any] = []
    deliver, evaluate = reconciler._presence_watches.deliver, presence.link._evaluate

    def telling(announcement: Any) -> None:
        told.append(announcement)
        deliver(announcement)

    async def unreachable(calls: Any) -> Any:
        raise RedisAway("away")

    monkeypatch.setattr(reconciler._presence_watches, "deliver", telling)
    monkeypatch.setattr(presence.link, "_evaluate", unreachable)
    assert not presence.degraded

    desk.nodes[1].node.delivery.resynced()
    await eventually(lambda: presence.degraded)
    await reconciler._check_presence(events_lost=True)
    assert told == []

    monkeypatch.setattr(presence.link, "_evaluate", evaluate)
    await eventually(lambda: told)
    assert not presence.degraded


async def test_who_leaves_while_redis_loses_its_memory_is_shown_offline(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their node cannot say that they left, and Redis does not know them: watchers hear it."""
    oksana = await desk.client(OKSANA)
    iryna = await desk.client(IRYNA, node=1)
    found = await iryna.request(PresenceWatch(employee_ids=[OKSANA, IRYNA]))
    before = {one.employee_id: one.version for one in found.presences}
    stores: list[Any] = [node.node.services.presence for node in desk.nodes]
    evaluate = RedisLink._evaluate

    async def unreachable(self: RedisLink, calls: Any) -> Any:
        raise RedisAway("away")

    monkeypatch.setattr(RedisLink, "_evaluate", unreachable)
    for store in stores:
        store.link.fail("a test")
    async with Redis.from_url(desk.redis_url) as redis:
        await redis.flushall()
    await oksana.close()
    holder = stores[0].owned
    await eventually(lambda: holder.desired(OKSANA) == "offline")
    monkeypatch.setattr(RedisLink, "_evaluate", evaluate)

    gone = await until_status(iryna, OKSANA, "offline")
    while gone.version == 0:  # told again when Redis came back, and not to be believed
        gone = await until_status(iryna, OKSANA, "offline")
    assert gone.version > before[OKSANA]
    found = await iryna.request(PresenceWatch(employee_ids=[OKSANA, IRYNA]))
    assert {one.employee_id: one.status for one in found.presences} == {
        OKSANA: "offline",
        IRYNA: "online",
    }
