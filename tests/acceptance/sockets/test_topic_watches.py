"""Who may watch which topics of the CRM, and when that ends."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.client import connect
from gateway.events.readers import TopicReaders
from gateway.protocol import ConversationMute, TopicUnwatch, TopicUnwatched, UnreadChanged
from gateway.protocol.events import MAX_WATCHED_TOPICS
from gateway.sockets.watch.topic_watches import TopicWatches
from tests.support.desk import DIRECTOR, OKSANA, PETRO, Desk, eventually, refused
from tests.support.event_tools import assign, heard, lead, publish_at, until_heard, watch

LONG_S = 3_600.0


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


async def test_a_view_that_fails_for_a_topic_delays_no_other_check(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that cannot be computed, until the view is found to be off: mutes end meanwhile."""

    async def finds_nothing() -> None:
        pass

    monkeypatch.setattr(small_desk.nodes[0].app.state.gateway.contract, "look", finds_nothing)
    await assign(small_desk, 1, PETRO)
    petro = await small_desk.client(PETRO)
    direct = (await petro.open(OKSANA)).conversation.id
    await watch(petro, lead(1))
    [view] = await small_desk.sql("SELECT pg_get_viewdef('crm.topic_readers'::regclass)")
    await small_desk.sql(
        "CREATE OR REPLACE VIEW crm.topic_readers AS SELECT topic,"
        f" (employee_id / (topic <> '{lead(1)}')::int)::bigint AS employee_id"
        f" FROM ({view[0].rstrip(';')}) AS readers"
    )

    long = datetime.now(UTC) + timedelta(days=1)
    await petro.request(ConversationMute(conversation_id=direct, until=long))
    await (await small_desk.client(OKSANA)).send(direct, "psst")
    soon = datetime.now(UTC) + timedelta(seconds=1)
    await petro.request(ConversationMute(conversation_id=direct, until=soon))

    while (await petro.next(UnreadChanged)).total.messages != 1:
        pass
    assert small_desk.nodes[0].node.topic_watches.watchers(lead(1))
