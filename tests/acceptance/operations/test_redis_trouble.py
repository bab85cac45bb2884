"""Redis stalls, or falls silent: nobody waits for it, and no worker stays deaf."""

from __future__ import annotations

import asyncio

import pytest

from gateway.bus import redis_bus, redis_config, redis_server, subscriber
from gateway.client import Connection
from gateway.protocol import MessageCreated
from tests.support.desk import OKSANA, PETRO, Desk, eventually
from tests.support.detours import to_redis

SENDS = 60
WAITED_MS = redis_config.TIMEOUT_S * 1_000 / 4
"""Far more than a command takes, far less than one that waits for Redis."""


async def acks_ms(who: Connection, room: int) -> list[float]:
    """Send one message after the other; return how long each acknowledgement took."""
    loop, took = asyncio.get_running_loop(), []
    for number in range(SENDS):
        began = loop.time()
        await who.send(room, f"{number}")
        took.append((loop.time() - began) * 1_000)
    return took


async def test_a_stalled_redis_delays_no_acknowledgement(empty_desk: Desk) -> None:
    """After its COMMIT a command waits for nobody: what waited for Redis would in every stall."""
    async with to_redis(empty_desk.redis_url) as (proxy, url):
        await empty_desk.start_node(redis_url=url)
        oksana, petro = await empty_desk.client(OKSANA), await empty_desk.client(PETRO)
        room = (await oksana.open(PETRO)).conversation.id
        heard: list[int] = []
        for _ in range(3):  # a busy machine may stand still in one of them, too
            proxy.set("stall")
            took = await acks_ms(oksana, room)
            proxy.set("open")
            heard += [(await petro.next(MessageCreated)).message.seq for _ in range(SENDS)]
            if max(took) < WAITED_MS:
                break

        assert heard == list(range(1, len(heard) + 1))
        assert max(took) < WAITED_MS


async def test_what_was_sent_while_a_resume_waited_for_no_redis_arrives_afterwards(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes in before Redis has heard whose messages this worker wants: nobody told it of one.

    No sweep helps here, and the connection to Redis is not lost.
    """
    monkeypatch.setattr(redis_bus, "CONFIRM_S", 0.1)
    async with to_redis(empty_desk.redis_url) as (proxy, url):
        await empty_desk.start_node(redis_url=url, sweep_s=3_600.0, upkeep_s=3_600.0)
        speaking = await empty_desk.start_node()
        oksana = await empty_desk.client(OKSANA, node=1)
        room = (await oksana.open(PETRO)).conversation.id
        await oksana.send(room, "before")

        proxy.set("stall")
        petro = await empty_desk.client(PETRO)
        assert [one.id for one in petro.welcome.conversations] == [room]
        published = speaking.node.delivery.bus.published  # type: ignore[attr-defined]
        await oksana.send(room, "meanwhile")
        await eventually(lambda: speaking.node.delivery.bus.published > published)  # type: ignore[attr-defined]
        proxy.set("open")

        assert (await petro.next(MessageCreated)).message.text == "meanwhile"


async def test_a_half_open_link_is_noticed_and_replaced(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker says that it is deaf, hangs up by itself, and hears again when it can."""
    assert subscriber.PROBE_S * subscriber.PROBES_MISSED <= 6.0
    monkeypatch.setattr(subscriber, "PROBE_S", 0.3)
    monkeypatch.setattr(redis_server, "PROBE_S", 0.3)
    monkeypatch.setattr(subscriber, "HEALTH_CHECK_S", 0.1)
    monkeypatch.setattr(subscriber, "LONGEST_WAIT_S", 0.2)
    async with to_redis(empty_desk.redis_url) as (proxy, url):
        await empty_desk.start_node(redis_url=url)
        await empty_desk.start_node()
        http = empty_desk.http()
        oksana = await empty_desk.client(OKSANA, node=1)
        petro = await empty_desk.client(PETRO)
        room = (await oksana.open(PETRO)).conversation.id

        async def bus_is(said: str) -> bool:
            answer = await http.get("/readyz")
            assert (answer.status_code == 200) == (answer.json()["checks"]["bus"] == "ok")
            return bool(answer.json()["checks"]["bus"] == said)

        await eventually(lambda: bus_is("ok"))  # on a busy machine probes may be late, too
        proxy.set("blackhole")
        await eventually(lambda: bus_is("deaf"))
        await oksana.send(room, "told by the sweep")
        assert (await petro.next(MessageCreated)).message.text == "told by the sweep"
        proxy.set("open")

        await eventually(lambda: bus_is("ok"))
        assert empty_desk.nodes[0].node.delivery.bus.reconnects >= 1  # type: ignore[attr-defined]
        received = empty_desk.nodes[0].node.delivery.bus.received  # type: ignore[attr-defined]
        await oksana.send(room, "told by the bus")
        assert (await petro.next(MessageCreated)).message.text == "told by the bus"
        await eventually(lambda: empty_desk.nodes[0].node.delivery.bus.received > received)  # type: ignore[attr-defined]
