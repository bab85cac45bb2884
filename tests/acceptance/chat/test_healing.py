"""What the bus, the database or the CRM did behind a session's back is found and put right."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway import context
from gateway.auth import Claims, Identity
from gateway.bus import Announcement, RedisBus
from gateway.chat.queries import receipts
from gateway.client import RequestRefused
from gateway.hello import snapshot
from gateway.hello.reads import Authenticated
from gateway.protocol import (
    Conversation,
    ConversationCreate,
    ConversationCreated,
    MessageCreated,
    PresenceChanged,
    PresenceSet,
    PresenceWatch,
    UnreadChanged,
)
from gateway.telephony.calls import calls
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, RunningNode, eventually, nothing_within
from tests.support.raw import raw


def lose_everything(node: RunningNode) -> Any:
    """Have this node's announcements vanish, as with a failing PUBLISH; return how to end it."""
    bus = node.node.delivery.bus
    publish = bus.publish

    def lose(_announcements: Collection[Announcement]) -> None:
        return

    bus.publish = lose  # type: ignore[method-assign,assignment]

    def stop() -> None:
        bus.publish = publish  # type: ignore[method-assign]

    return stop


async def test_subscribing_while_the_bus_connects_does_not_deafen_it(redis_url: str) -> None:
    """A hello in the middle of a reconnect is served by it, or right after it."""
    bus = RedisBus(redis_url, node="x", deliver=lambda _: None, resynced=lambda: None)
    async with bus:
        await asyncio.sleep(0)  # the listener is now inside its connecting
        await bus.subscribe(["conversation:1"])

        await eventually(lambda: bus.healthy and bus.settled)


async def test_a_conversation_whose_making_was_lost_is_joined_all_the_same(desk: Desk) -> None:
    """The CRM's own INSERT, or a lost announcement: the upkeep finds the membership."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    end = lose_everything(desk.nodes[0])
    conversation = (await oksana.open(PETRO)).conversation
    await oksana.send(conversation.id, "lost")
    end()
    desk.nodes[1].node.delivery.resynced()

    assert (await petro.next(ConversationCreated)).conversation_id == conversation.id
    assert (await petro.next(MessageCreated)).message.text == "lost"
    await oksana.send(conversation.id, "heard")
    assert (await petro.next(MessageCreated)).message.text == "heard"


async def test_a_conversation_made_during_a_hello_is_joined(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the memberships and the subscription, nothing is missed."""
    oksana = await desk.client(OKSANA)
    bus = desk.nodes[1].node.delivery.bus
    subscribe = bus.subscribe
    made: list[Conversation] = []

    async def late(topics: Collection[str]) -> None:
        if f"user:{PETRO}" in topics and not made:
            made.append((await oksana.open(PETRO)).conversation)
        await subscribe(topics)

    monkeypatch.setattr(bus, "subscribe", late)
    petro = await desk.client(PETRO, node=1)
    await oksana.send(made[0].id, "hi")

    assert (await petro.next(MessageCreated)).message.text == "hi"


async def test_a_new_conversation_never_comes_before_the_welcome(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens during a hello, the welcome is the first frame, and nothing is lost."""
    oksana = await desk.client(OKSANA)
    live = calls.live

    async def slow(conn: Any, employee_ids: Collection[int]) -> Any:
        found = await live(conn, employee_ids)
        if PETRO in employee_ids:
            conversation = (await oksana.open(PETRO)).conversation
            await oksana.send(conversation.id, "first")
            await oksana.send(conversation.id, "second")
        return found

    monkeypatch.setattr("gateway.telephony.calls.calls.live", slow)
    async with raw(desk.nodes[1].socket_url) as petro:
        await petro.say({"type": "hello", "id": 1, "token": desk.token(PETRO)})
        first = await petro.hear()
        texts: list[str] = []
        while len(texts) < 2:
            heard = await petro.hear()
            if heard.get("type") == "message.created":
                texts.append(heard["message"]["text"])

    assert "ok" in first
    assert texts == ["first", "second"]


async def test_a_failed_join_is_repeated(empty_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database without a free connection delays a new conversation; it does not mute it."""
    await empty_desk.start_node()
    node = await empty_desk.start_node(database_timeout_s=0.5)
    oksana = await empty_desk.client(OKSANA)
    petro = await empty_desk.client(PETRO, node=1)
    async with AsyncExitStack() as busy:
        for _ in range(5):
            await busy.enter_async_context(node.app.state.gateway.pool.acquire())
        monkeypatch.setattr(context, "ACQUIRE_S", 0.5)
        conversation = (await oksana.open(PETRO)).conversation
        await petro.next(ConversationCreated)
        await eventually(lambda: not any(s._held for s in node.node.sessions))
    for number in range(3):
        await oksana.send(conversation.id, f"{number}")

    heard = [(await petro.next(MessageCreated, timeout_s=15)).message.text for _ in range(3)]
    assert heard == ["0", "1", "2"]


async def test_counts_and_presence_are_right_again_after_the_bus_was_away(desk: Desk) -> None:
    """What was read and chosen meanwhile on another node is told once the bus is back."""
    one, other = await desk.client(PETRO), await desk.client(PETRO, node=1)
    oksana = await desk.client(OKSANA)
    iryna = await desk.client(IRYNA, node=1)
    await iryna.request(PresenceWatch(employee_ids=[OKSANA]))
    conversation = (await oksana.open(PETRO)).conversation
    await oksana.send(conversation.id, "read me")
    while (await other.next(UnreadChanged)).total.messages != 1:
        pass

    end = lose_everything(desk.nodes[0])
    await one.read(conversation.id, 1)
    await oksana.request(PresenceSet(status="busy", text=None))
    end()
    desk.nodes[1].node.delivery.resynced()

    assert (await other.next(UnreadChanged)).total.messages == 0
    while (await iryna.next(PresenceChanged)).presences[0].status != "busy":
        pass


async def test_a_removed_member_stops_hearing(desk: Desk) -> None:
    """Whoever took them out, within seconds."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    await petro.next(ConversationCreated)
    await desk.sql(
        "UPDATE realtime.conversation_participants SET left_seq = 0"
        " WHERE conversation_id = $1 AND employee_id = $2",
        conversation.id,
        PETRO,
    )
    topic = f"conversation:{conversation.id}"
    await eventually(lambda: not desk.nodes[1].node.delivery.hub.listeners(topic))

    await oksana.send(conversation.id, "secret")

    await nothing_within(petro.next(MessageCreated), 1.0)
    with pytest.raises(RequestRefused):
        await petro.typing(conversation.id)


async def test_a_withdrawn_permission_is_gone_from_the_socket(desk: Desk) -> None:
    """Within seconds, without a new connection."""
    oksana = await desk.client(OKSANA)
    await oksana.request(ConversationCreate(title="may", employee_ids=[PETRO]))
    await desk.sql("UPDATE demo_crm.roles SET permissions = '{}'")
    (session,) = desk.nodes[0].node.sessions

    def withdrawn() -> bool:
        assert session.context is not None
        identity: Identity = session.context.identity
        return not identity.permissions

    await eventually(withdrawn)

    with pytest.raises(RequestRefused) as refused:
        await oksana.request(ConversationCreate(title="may not", employee_ids=[PETRO]))
    assert refused.value.code == "permission.denied"


async def test_a_client_that_leaves_during_its_hello_leaves_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its topics are not joined for somebody who has gone."""
    node = desk.nodes[0].node
    newcomer, waiting, go_on = node.hello_reads.authenticate, asyncio.Event(), asyncio.Event()

    async def slow(claims: Claims) -> Authenticated:
        found = await newcomer(claims)
        waiting.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(node.hello_reads, "authenticate", slow)
    async with raw(desk.nodes[0].socket_url) as client:
        await client.say({"type": "hello", "id": 1, "token": desk.token(PETRO)})
        await waiting.wait()
        client.socket.transport.abort()
        await eventually(lambda: not node.sessions)
        go_on.set()

    await eventually(lambda: not any(t.get_name().startswith("session.") for t in node.tasks))
    assert not node.delivery.hub.topics()
    assert not node.unread._sent


async def test_a_token_of_the_handshake_outlives_an_outage(
    empty_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hello that met a busy database may be said again, with the same token."""
    monkeypatch.setattr(context, "ACQUIRE_S", 0.5)
    node = await empty_desk.start_node(database_timeout_s=0.5)
    header = {"Authorization": f"Bearer {empty_desk.token(PETRO)}"}
    async with raw(node.socket_url, additional_headers=header) as client:
        async with AsyncExitStack() as busy:
            for _ in range(5):
                await busy.enter_async_context(node.app.state.gateway.pool.acquire())
            refused = await client.ask({"type": "hello", "id": 1})
        again = await client.ask({"type": "hello", "id": 2})

    assert refused["error"]["retry_after"] > 0
    assert "ok" in again


async def test_a_dead_client_on_a_busy_topic_is_found(empty_desk: Desk) -> None:
    """Sending to it all the time is no sign of life of its own."""
    node = await empty_desk.start_node(ping_s=0.5, pong_s=0.5)
    oksana = await empty_desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    async with raw(node.socket_url) as dead:
        await dead.hello(empty_desk.token(PETRO))
        ended = asyncio.create_task(dead.closed_with())
        while not ended.done():
            await oksana.send(conversation.id, "are you there?")
            await asyncio.sleep(0.1)

        assert await ended == 4405


async def test_names_that_clients_make_up_are_not_kept(desk: Desk) -> None:
    """Unknown commands leave no trace, and end the connection when they go on."""
    node = desk.nodes[0].node
    async with raw(desk.nodes[0].socket_url) as client:
        for number in range(200):
            await client.say({"type": f"x{number}", "id": number})

        assert await client.closed_with() == 4004
    assert not node.metrics.latency


async def test_two_hellos_at_once_lose_nothing_between_their_snapshots(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later snapshot starts the stream; the earlier session still gets what lies between."""
    oksana = await desk.client(OKSANA)
    made = await oksana.request(ConversationCreate(title="three", employee_ids=[PETRO, IRYNA]))
    await oksana.send(made.conversation.id, "seen by both")
    node = desk.nodes[1].node
    take, accept = snapshot.read_snapshot, node.delivery.streams.accept
    taken, go_on = asyncio.Event(), asyncio.Event()
    late: list[Announcement] = []

    async def slow(ctx: Any, *arguments: Any, **options: Any) -> snapshot.HelloSnapshot:
        found = await take(ctx, *arguments, **options)
        if ctx.user_id == PETRO:
            taken.set()
            await go_on.wait()
        return found

    monkeypatch.setattr("gateway.hello.snapshot.read_snapshot", slow)
    monkeypatch.setattr(
        node.delivery.streams, "accept", lambda _cid, announcement: late.append(announcement)
    )
    async with raw(desk.nodes[1].socket_url) as petro:
        await petro.say({"type": "hello", "id": 1, "token": desk.token(PETRO)})
        await taken.wait()
        await oksana.send(made.conversation.id, "between the two")
        await desk.client(IRYNA, node=1)  # her snapshot has it, and starts the stream behind it
        await eventually(lambda: late)
        monkeypatch.setattr(node.delivery.streams, "accept", accept)
        for announcement in late:
            accept(made.conversation.id, announcement)
        go_on.set()

        assert "ok" in await petro.hear()
        while (heard := await petro.hear()).get("type") != "message.created":
            pass
        assert heard["message"]["text"] == "between the two"
        while (heard := await petro.hear()).get("type") != "unread.changed":
            pass
        assert [one["unread"] for one in heard["conversations"]] == [2]


async def test_what_comes_while_a_welcome_is_read_is_counted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The welcome's counts are older than the message behind it; the right ones follow."""
    oksana = await desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    streams = desk.nodes[1].node.delivery.streams
    take = snapshot.read_snapshot

    async def slow(ctx: Any, *arguments: Any, **options: Any) -> snapshot.HelloSnapshot:
        found = await take(ctx, *arguments, **options)
        if ctx.user_id == PETRO:
            await oksana.send(room, "too late for the snapshot")
            await eventually(lambda: streams._streams[room].early)
        return found

    monkeypatch.setattr("gateway.hello.snapshot.read_snapshot", slow)
    petro = await desk.client(PETRO, node=1)

    assert petro.welcome.unread.conversations == []
    assert [one.unread for one in (await petro.next(UnreadChanged)).conversations] == [1]


async def test_a_count_that_a_second_device_brought_is_told_to_the_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The welcome of one device knows it before it was pushed: the other one is told all the same.

    And so is who has just come, with the same version of the same count.
    """
    oksana, first = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    room = (await oksana.open(PETRO)).conversation.id
    await first.next(ConversationCreated)
    counts_of = receipts.unread_of
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def slow(conn: Any, pairs: Any) -> Any:
        found = await counts_of(conn, pairs)
        if any(one.unread for _, one in found):
            reading.set()
            await go_on.wait()
        return found

    monkeypatch.setattr(receipts, "unread_of", slow)
    await oksana.send(room, "hi")
    await reading.wait()
    second = await desk.client(PETRO, node=1)
    go_on.set()

    known = second.welcome.unread.conversations
    assert [one.unread for one in known] == [1]
    while not (told := await first.next(UnreadChanged)).conversations[0].unread:
        pass
    assert told.conversations == known
    assert (await second.next(UnreadChanged)).conversations == known


async def test_counts_that_could_not_be_read_are_pushed_when_they_can(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was away for a moment; nobody has to send another message."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    room = (await oksana.open(PETRO)).conversation.id
    await petro.next(ConversationCreated)
    counts_of, failed = receipts.unread_of, list[Any]()

    async def fail_once(conn: Any, pairs: Any) -> Any:
        found = await counts_of(conn, pairs)
        if not failed and any(one.unread for _, one in found):
            failed.append(pairs)
            raise ConnectionError
        return found

    monkeypatch.setattr(receipts, "unread_of", fail_once)
    await oksana.send(room, "hi")

    while not (told := await petro.next(UnreadChanged)).conversations[0].unread:
        pass
    assert failed
    assert [one.unread for one in told.conversations] == [1]
