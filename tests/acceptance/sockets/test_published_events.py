"""Events of the CRM reach whom they name, and who watches what they are about."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.client import Connection, connect
from gateway.events.queries import log as event_log
from gateway.events.readers import TopicReaders
from gateway.protocol import EventPublished, TopicUnwatch, TopicUnwatched, TopicWatch
from gateway.protocol.events import MAX_WATCHED_TOPICS
from gateway.sockets.watch.topic_watches import TopicWatches
from tests.acceptance.sockets.test_sdk import Gate
from tests.support.desk import DIRECTOR, IRYNA, OKSANA, PETRO, Desk, eventually, refused
from tests.support.event_tools import assign, lead, publish_at

LONG_S = 3_600.0


async def heard(client: Connection) -> EventPublished:
    found: EventPublished = await client.next(EventPublished)
    return found


async def watch(client: Connection, *topics: str) -> Any:
    return await client.request(TopicWatch(topics=list(topics)))


async def until_heard(client: Connection, event_id: int) -> list[EventPublished]:
    """Return the events up to this one."""
    found = [await heard(client)]
    while found[-1].event.id != event_id:
        found.append(await heard(client))
    return found


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


# --- who may watch -----------------------------------------------------------------------------


async def test_a_topic_of_somebody_else_is_refused(small_desk: Desk) -> None:
    """As one that there is not; of several, those that may be read are watched."""
    await assign(small_desk, 1, PETRO)
    await assign(small_desk, 2, OKSANA)
    petro = await small_desk.client(PETRO)

    assert await refused(watch(petro, lead(2))) == "topic.not_found"
    assert await refused(watch(petro, "crm:nothing:1", lead(2))) == "topic.not_found"
    reply = await watch(petro, lead(2), lead(1), "crm:nothing:1")
    assert (reply.topics, reply.refused) == ([lead(1)], [lead(2), "crm:nothing:1"])
    assert (await watch(petro, lead(1))).topics == [lead(1)]
    await publish_at(small_desk, topics=[lead(2), "crm:nothing:1"])
    last = await publish_at(small_desk, topics=[lead(1), lead(2)])
    event = await heard(petro)
    assert (event.event.id, event.topics) == (last, [lead(1)])


@pytest.mark.cases(20)
@pytest.mark.parametrize(
    "topic",
    ["user:1", "conversation:1", "queues", "presence:1", "crm:", "crm:lead", "crm:lead:", "",
     "crm:lead:1\n", "crm:lead:\u0007", "crm:lead:1\u200b", "crm:l\u0456ad:1", "CRM:lead:1",
     "crm:lead:" + "x" * 192, "crm:1:1", "crm:lead:\u202e1"],
)  # fmt: skip
async def test_what_is_no_topic_of_the_crm_cannot_be_watched(small_desk: Desk, topic: str) -> None:
    """Topics of the gateway, controls, what nobody sees, letters that look like others."""
    petro = await small_desk.client(PETRO)

    assert await refused(watch(petro, topic)) == "command.invalid"


async def test_a_permission_opens_a_kind(empty_desk: Desk) -> None:
    """By setting; whoever lacks it is asked for in the view."""
    await empty_desk.start_node(event_topics={"deal": "stats.view", "lead": "stats.view"})
    await assign(empty_desk, 1, PETRO)
    director, petro = await empty_desk.client(DIRECTOR), await empty_desk.client(PETRO)

    assert (await watch(director, "crm:deal:7", lead(1), lead(3))).refused == []
    assert (await watch(petro, lead(1), "crm:deal:7")).refused == ["crm:deal:7"]
    assert await refused(watch(director, "crm:other:7")) == "topic.not_found"


async def test_a_right_that_is_withdrawn_ends_the_watch(small_desk: Desk) -> None:
    """Within the check of permissions, though nobody says so; others go on."""
    await assign(small_desk, 1, PETRO)
    await assign(small_desk, 2, PETRO)
    petro = await small_desk.client(PETRO)
    await watch(petro, lead(1), lead(2))
    await assign(small_desk, 1, OKSANA)

    assert (await petro.next(TopicUnwatched)).topics == [lead(1)]
    await publish_at(small_desk, topics=[lead(1)])
    last = await publish_at(small_desk, topics=[lead(2)])
    assert (await heard(petro)).event.id == last


async def test_a_right_that_the_crm_says_is_withdrawn_ends_at_once(empty_desk: Desk) -> None:
    """By realtime.permissions_changed, of the view and of a permission."""
    await empty_desk.start_node(
        upkeep_s=LONG_S, standing_s=0.05, event_topics={"deal": "stats.view"}
    )
    await assign(empty_desk, 1, DIRECTOR)
    director = await empty_desk.client(DIRECTOR)
    await watch(director, lead(1), "crm:deal:7")

    await assign(empty_desk, 1, OKSANA)
    await empty_desk.sql("SELECT realtime.permissions_changed($1)", DIRECTOR)
    assert (await director.next(TopicUnwatched)).topics == [lead(1)]
    await empty_desk.sql("CREATE TABLE public.kept AS SELECT * FROM crm.permissions")
    await empty_desk.sql("DELETE FROM public.kept WHERE permission = 'stats.view'")
    await empty_desk.sql("CREATE OR REPLACE VIEW crm.permissions AS SELECT * FROM public.kept")
    await empty_desk.sql("SELECT realtime.permissions_changed($1)", DIRECTOR)
    assert (await director.next(TopicUnwatched)).topics == ["crm:deal:7"]


async def test_a_connection_watches_so_many_topics(empty_desk: Desk) -> None:
    """More are refused, and what is watched stays."""
    await empty_desk.start_node(event_topics={"deal": "stats.view"})
    director = await empty_desk.client(DIRECTOR)
    topics = [f"crm:deal:{n}" for n in range(MAX_WATCHED_TOPICS + 1)]
    assert len((await watch(director, *topics[:-1])).topics) == MAX_WATCHED_TOPICS

    assert await refused(watch(director, topics[-1])) == "topic.too_many"
    assert await refused(watch(director, *topics)) == "command.invalid"
    assert len((await watch(director, topics[0])).topics) == MAX_WATCHED_TOPICS
    await director.request(TopicUnwatch(topics=topics[:1]))
    assert topics[-1] in (await watch(director, topics[-1])).topics


async def test_what_is_watched_ends_with_the_connection(small_desk: Desk) -> None:
    """Nothing of it is kept."""
    await assign(small_desk, 1, PETRO)
    node = small_desk.nodes[0].node
    async with connect(small_desk.nodes[0].socket_url, small_desk.token(PETRO)) as petro:
        await watch(petro, lead(1))
        assert len(node.topic_watches) == 1

    await eventually(lambda: not node.topic_watches._watched and not len(node.topic_watches))


async def test_a_connection_that_ends_while_its_right_is_looked_up_watches_nothing(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is kept, and its reply goes nowhere."""
    await assign(small_desk, 1, PETRO)
    node = small_desk.nodes[0].node
    readable, serve, served = TopicReaders.readable, TopicWatches.watch, asyncio.Event()

    async def slowly(*arguments: Any) -> Any:
        await petro.drop()
        await eventually(lambda: not node.sessions)
        return await readable(*arguments)

    async def noted(*arguments: Any) -> Any:
        try:
            return await serve(*arguments)
        finally:
            served.set()

    monkeypatch.setattr(TopicReaders, "readable", slowly)
    monkeypatch.setattr(TopicWatches, "watch", noted)
    petro = await small_desk.client(PETRO, reconnect=False)
    asking = asyncio.create_task(watch(petro, lead(1)))

    await served.wait()
    assert (len(node.topic_watches), node.topic_watches._watched) == (0, {})
    await asyncio.gather(asking, return_exceptions=True)


# --- without the view --------------------------------------------------------------------------


async def test_without_the_view_topics_are_for_those_with_a_permission(empty_desk: Desk) -> None:
    """It is optional: nothing is wrong, and nobody else may watch."""
    await empty_desk.sql("DROP VIEW crm.topic_readers")
    await empty_desk.start_node(event_topics={"deal": "stats.view"})
    director = await empty_desk.client(DIRECTOR)

    reply = await watch(director, "crm:deal:1", lead(1))

    assert (reply.topics, reply.refused) == (["crm:deal:1"], [lead(1)])
    assert (await empty_desk.http().get("/readyz")).json()["contract"] == {}


async def test_a_view_that_breaks_ends_only_what_rests_on_it(empty_desk: Desk) -> None:
    """New watches are refused as temporary; events for people, and other topics, go on."""
    await assign(empty_desk, 1, DIRECTOR)
    await empty_desk.start_node(event_topics={"deal": "stats.view"})
    director = await empty_desk.client(DIRECTOR)
    await watch(director, "crm:deal:1", lead(1))
    await empty_desk.sql("ALTER VIEW crm.topic_readers RENAME COLUMN topic TO subject")

    assert (await director.next(TopicUnwatched)).topics == [lead(1)]
    assert await refused(watch(director, lead(1))) == "contract.unavailable"
    await watch(director, "crm:deal:2")
    ids = [
        await publish_at(empty_desk, topics=["crm:deal:1"]),
        await publish_at(empty_desk, users=[DIRECTOR]),
    ]
    assert [one.event.id for one in await until_heard(director, ids[-1])] == ids
    await empty_desk.sql("ALTER VIEW crm.topic_readers RENAME COLUMN subject TO topic")

    async def is_back() -> bool:
        try:
            return lead(1) in (await watch(director, lead(1))).topics
        except Exception:  # noqa: BLE001 - not yet
            return False

    await eventually(is_back)


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
