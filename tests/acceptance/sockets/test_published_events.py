"""Events of the CRM reach whom they name, and who watches what they are about."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.client import Connection, connect
from gateway.events.queries import log as event_log
from gateway.protocol import TopicUnwatch, TopicUnwatched
from tests.acceptance.sockets.test_sdk import Gate
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, eventually
from tests.support.event_tools import assign, heard, lead, publish_at, until_heard, watch


async def test_an_event_reaches_whom_it_names_and_who_watches(desk: Desk) -> None:
    """On every node, each connection once, with what brought it there."""
    await assign(desk, 1, PETRO)
    await assign(desk, 2, PETRO)
    oksana, petro, petros_phone = [
        await desk.client(who, node=node) for who, node in ((OKSANA, 0), (PETRO, 0), (PETRO, 1))
    ]
    iryna = await desk.client(IRYNA, node=1)
    assert (await watch(petro, lead(1), lead(2))).topics == [lead(1), lead(2)]

    event_id = await publish_at(
        desk, users=[OKSANA, PETRO, PETRO, 2**40], topics=[lead(2), lead(1), "crm:other:1"],
        payload={"title": "Olena has called"}, key="lead:1",
    )  # fmt: skip
    last = await publish_at(desk, "lead.closed", users=[OKSANA, PETRO, IRYNA])

    for client, topics in ((oksana, []), (petro, [lead(2), lead(1)]), (petros_phone, [])):
        first, second = await until_heard(client, last)
        assert (first.event.id, first.addressed, first.topics) == (event_id, True, topics)
        assert first.event.payload == {"title": "Olena has called"}
        assert (first.event.type, first.event.source, first.event.key) == (
            "lead.changed", "crm", "lead:1",
        )  # fmt: skip
        assert (second.event.type, second.topics) == ("lead.closed", [])
    assert [one.event.id for one in await until_heard(iryna, last)] == [last]


async def test_a_watcher_who_is_not_named_gets_it_by_the_topic(small_desk: Desk) -> None:
    """And no longer after topic.unwatch."""
    await assign(small_desk, 1, PETRO)
    petro = await small_desk.client(PETRO)
    await watch(petro, lead(1))
    first = await publish_at(small_desk, topics=[lead(1)])
    event = await heard(petro)
    assert (event.event.id, event.addressed, event.topics) == (first, False, [lead(1)])

    await petro.request(TopicUnwatch(topics=[lead(1), lead(9)]))
    await publish_at(small_desk, topics=[lead(1)])
    last = await publish_at(small_desk, users=[PETRO])

    assert (await heard(petro)).event.id == last
    assert len(small_desk.nodes[0].node.topic_watches) == 0


async def test_a_relay_that_dies_after_its_commit_delays_an_event(desk: Desk) -> None:
    """Nobody announced it: every node finds it in the order of positions, once."""
    for node in desk.nodes:
        node.app.state.gateway.relay._publish = lambda _announcements: None
    clients = [await desk.client(OKSANA, node=node) for node in range(2)]

    ids = [await publish_at(desk, users=[OKSANA]) for _ in range(3)]

    for client in clients:
        assert [one.event.id for one in await until_heard(client, ids[-1])] == ids
    assert all(node.node.event_stream.healed == 3 for node in desk.nodes)


async def test_events_that_the_bus_loses_or_repeats_arrive_in_order(desk: Desk) -> None:
    """In their order: what comes after a gap waits for what is read from the database."""
    for node in desk.nodes:
        relay = node.app.state.gateway.relay
        publish, lost = relay._publish, iter([True, False, True, False, False] * 4)

        def lossy(announcements: Any, publish: Any = publish, lost: Any = lost) -> None:
            for one in announcements:
                if not next(lost, False):
                    publish([one, one])

        relay._publish = lossy
    clients = [await desk.client(OKSANA, node=node) for node in range(2)]

    ids = [await publish_at(desk, users=[OKSANA], payload={"n": n}) for n in range(12)]

    for client in clients:
        assert [one.event.id for one in await until_heard(client, ids[-1])] == ids
    assert [node.node.event_stream.delivered for node in desk.nodes] == [12, 12]


async def test_events_that_the_bus_repeats_arrive_once(desk: Desk) -> None:
    """None is missing, so that no node reads: what comes again is known by its position."""
    for node in desk.nodes:
        relay = node.app.state.gateway.relay

        def twice(announcements: Any, publish: Any = relay._publish) -> None:
            publish([again for one in announcements for again in (one, one)])

        relay._publish = twice
    clients = [await desk.client(OKSANA, node=node) for node in range(2)]

    for number in range(3):
        event_id = await publish_at(desk, users=[OKSANA], payload={"n": number})
        for client in clients:
            assert (await heard(client)).event.id == event_id
    assert [node.node.event_stream.delivered for node in desk.nodes] == [3, 3]


async def test_events_arrive_while_redis_is_away(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bus takes nothing and brings nothing: the sweep of each node finds them."""
    for node in desk.nodes:
        monkeypatch.setattr(node.node.delivery.bus, "publish", lambda _announcements: None)
    clients = [await desk.client(OKSANA, node=node) for node in range(2)]

    event_id = await publish_at(desk, users=[OKSANA])

    for client in clients:
        assert (await heard(client)).event.id == event_id


async def test_an_event_that_comes_while_others_are_read_is_delivered_once(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is older than what the bus has brought meanwhile."""
    stream = (await empty_desk.start_node(sweep_s=0.05)).node.event_stream
    oksana = await empty_desk.client(OKSANA)
    after, ids = event_log.after, list[int]()

    async def slowly(conn: Any, position: int, *, limit: int) -> Any:
        found = await after(conn, position, limit=limit)
        if not ids:
            ids.append(await publish_at(empty_desk, users=[OKSANA]))
            await eventually(lambda: stream.position == position + 1)
        return found

    monkeypatch.setattr(event_log, "after", slowly)
    assert (await heard(oksana)).event.id in ids
    last = await publish_at(empty_desk, users=[OKSANA])

    assert (await heard(oksana)).event.id == last
    assert (stream.delivered, stream.position) == (2, 2)


async def test_a_database_that_comes_back_older_is_followed(small_desk: Desk) -> None:
    """As from a backup: positions begin again below those that were delivered."""
    oksana = await small_desk.client(OKSANA)
    await heard_from(small_desk, oksana)
    await small_desk.sql("DELETE FROM realtime.events")
    await small_desk.sql("UPDATE realtime.event_head SET position = 0")
    await eventually(lambda: small_desk.nodes[0].node.event_stream.position == 0)

    await heard_from(small_desk, oksana)


async def heard_from(desk: Desk, client: Connection) -> None:
    """Publish an event to this client, and wait for it."""
    event_id = await publish_at(desk, users=[OKSANA])
    assert (await heard(client)).event.id == event_id


# --- the SDK -----------------------------------------------------------------------------------


async def test_topics_are_watched_again_on_each_new_connection(desk: Desk) -> None:
    """All of them, but those that were unwatched; those that are lost meanwhile are named."""
    for number in (1, 2, 3, 4):
        await assign(desk, number, PETRO)
    gate = Gate(desk.token(PETRO))
    async with connect(desk.nodes[1].socket_url, gate) as petro:
        await watch(petro, lead(1), lead(2))
        await watch(petro, lead(3))
        await petro.request(TopicUnwatch(topics=[lead(2)]))
        await gate.shut_out(petro)
        offline = asyncio.create_task(watch(petro, lead(4)))
        await asyncio.sleep(0)
        await assign(desk, 3, OKSANA)
        gate.open()

        assert (await petro.next(TopicUnwatched)).topics == [lead(3)]
        assert set((await offline).topics) == {lead(1), lead(4)}
        await publish_at(desk, topics=[lead(2), lead(3)])
        last = await publish_at(desk, topics=[lead(1), lead(4)])
        event = await heard(petro)
        assert (event.event.id, set(event.topics)) == (last, {lead(1), lead(4)})
        await gate.shut_out(petro)
        await assign(desk, 1, OKSANA)
        await assign(desk, 4, OKSANA)
        gate.open()
        assert set((await petro.next(TopicUnwatched)).topics) == {lead(1), lead(4)}


async def test_an_event_that_comes_again_is_dropped_by_the_sdk(small_desk: Desk) -> None:
    """As after a reconnection to a node that is a little behind."""
    petro = await small_desk.client(PETRO)
    ids = [await publish_at(small_desk, users=[PETRO]) for _ in range(2)]
    assert [one.event.id for one in await until_heard(petro, ids[-1])] == ids
    small_desk.nodes[0].node.event_stream.position = 0

    last = await publish_at(small_desk, users=[PETRO])

    assert (await heard(petro)).event.id == last
