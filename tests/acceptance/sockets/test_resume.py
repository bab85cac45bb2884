"""A client that comes back, to any node, gets exactly what it missed."""

from __future__ import annotations

import asyncio
import uuid

import orjson
from redis.asyncio import Redis

from gateway.protocol import ConversationCreate, ConversationCreated, MessageCreated
from tests.support.desk import OKSANA, PETRO, Desk, eventually
from tests.support.raw import raw


async def test_thirty_messages_are_made_up_on_another_worker(desk: Desk) -> None:
    """Away for thirty messages: exactly those come, in order, from a node never seen before."""
    oksana = await desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    before = await oksana.send(conversation.id, "seen")
    missed = [await oksana.send(conversation.id, f"missed {n}") for n in range(30)]

    async with raw(desk.nodes[1].socket_url) as petro:
        welcome = await petro.hello(desk.token(PETRO), resume={str(conversation.id): before.change})

    changes = welcome["ok"]["changes"][str(conversation.id)]
    assert [event["message"]["text"] for event in changes] == [m.text for m in missed]
    assert [event["change"] for event in changes] == [m.change for m in missed]
    assert welcome["ok"]["reload"] == []


async def test_a_cut_client_comes_back_by_itself_and_misses_nothing(desk: Desk) -> None:
    """The SDK reconnects after a cut and delivers each message once, in order."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    await petro.next(ConversationCreated)
    await oksana.send(conversation.id, "0")

    await petro.drop()
    for number in range(1, 20):
        await oksana.send(conversation.id, f"{number}")

    heard = [(await petro.next(MessageCreated)).message.text for _ in range(20)]
    assert heard == [f"{number}" for number in range(20)]
    assert petro.reconnects >= 1


async def test_nothing_falls_between_the_snapshot_and_live(desk: Desk) -> None:
    """Messages sent while somebody is saying hello arrive exactly once, in order."""
    oksana = await desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    first = await oksana.send(conversation.id, "0")
    stop = asyncio.Event()
    sent = [first.change]

    async def talk() -> None:
        while not stop.is_set():
            sent.append((await oksana.send(conversation.id, "on and on")).change)

    talking = asyncio.create_task(talk())
    heard: list[list[int]] = []
    for attempt in range(10):
        async with raw(desk.nodes[attempt % 2].socket_url) as petro:
            welcome = await petro.hello(
                desk.token(PETRO), resume={str(conversation.id): first.change}
            )
            changes = [
                event["change"] for event in welcome["ok"]["changes"].get(str(conversation.id), [])
            ]
            while len(changes) < len(sent) - 1 or len(changes) < 5:
                event = await petro.hear()
                if event.get("type") == "message.created":
                    changes.append(event["change"])
            heard.append(changes)
    stop.set()
    await talking

    for changes in heard:
        assert changes == list(range(first.change + 1, first.change + 1 + len(changes)))


async def test_too_much_to_make_up_is_named_to_be_reloaded(desk: Desk) -> None:
    """Beyond 200 changes nothing partial is sent: the conversation stands in `reload`."""
    oksana = await desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    await asyncio.gather(*(oksana.send(conversation.id, "x") for _ in range(201)))

    async with raw(desk.nodes[0].socket_url) as petro:
        welcome = await petro.hello(desk.token(PETRO), resume={str(conversation.id): 1})
        one_more = await petro.ask({"type": "unread.get", "id": 2})

    assert welcome["ok"]["reload"] == [conversation.id]
    assert welcome["ok"]["changes"] == {}
    assert one_more["ok"]["total"]["messages"] == 100  # counted up to 100


async def test_a_position_in_somebody_elses_conversation_says_nothing(desk: Desk) -> None:
    """Resuming a conversation one is not in looks like resuming one that is not there."""
    oksana = await desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    await oksana.send(conversation.id, "secret")

    async with raw(desk.nodes[0].socket_url) as stranger:
        welcome = await stranger.hello(
            desk.token(9), resume={str(conversation.id): 0, "987654321": 0}
        )

    assert welcome["ok"]["changes"] == {}
    assert welcome["ok"]["reload"] == [conversation.id, 987654321]


async def test_rows_that_nobody_announced_are_delivered_by_the_sweep(desk: Desk) -> None:
    """A publisher that died after its COMMIT, or the CRM's own INSERT, is heard all the same."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    await petro.next(ConversationCreated)

    await desk.sql(
        """
        WITH room AS (
            UPDATE realtime.conversations SET last_seq = last_seq + 1,
                   last_change = last_change + 1, last_message_at = now()
             WHERE id = $1 RETURNING last_seq, last_change
        )
        INSERT INTO realtime.messages
               (conversation_id, seq, change, sender_id, client_key, body, created_at)
        SELECT $1, last_seq, last_change, $2, $3, 'from the CRM', now() FROM room
        """,
        conversation.id,
        OKSANA,
        uuid.uuid4(),
    )

    assert (await petro.next(MessageCreated)).message.text == "from the CRM"
    assert (await oksana.next(MessageCreated)).message.text == "from the CRM"


async def test_a_bus_that_was_cut_is_made_up_for(desk: Desk) -> None:
    """Pub/sub connections are killed under load: every message arrives once, in order."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    await petro.next(ConversationCreated)
    admin = Redis.from_url(desk.redis_url)

    for number in range(60):
        if number % 20 == 10:
            await admin.client_kill_filter(_type="pubsub")
        await oksana.send(conversation.id, f"{number}")
    await admin.aclose()

    heard = [(await petro.next(MessageCreated)).message.text for _ in range(60)]
    assert heard == [f"{number}" for number in range(60)]
    await eventually(lambda: desk.nodes[1].node.delivery.bus.healthy)


async def test_a_welcome_has_a_bound_in_bytes(desk: Desk) -> None:
    """Of long messages few are replayed, and fewer conversations are shown; the rest is named."""
    oksana = await desk.client(OKSANA)
    text = "щ" * 8_000
    rooms = [
        (
            await oksana.request(ConversationCreate(title=f"{number}", employee_ids=[PETRO]))
        ).conversation.id
        for number in range(30)
    ]
    positions = {}
    for room in rooms:
        positions[str(room)] = (await oksana.send(room, "seen")).change
        for _ in range(3):
            await oksana.send(room, text)

    async with raw(desk.nodes[1].socket_url) as petro:
        welcome = (await petro.hello(desk.token(PETRO), resume=positions))["ok"]
    page = await desk.http(PETRO).get(
        "/v1/messenger/conversations", params={"cursor": welcome["next"]}
    )

    assert sum(len(orjson.dumps(one)) for one in welcome["changes"].values()) < 1024 * 1024 + 100
    assert {*map(int, welcome["changes"]), *welcome["reload"]} == set(rooms)
    assert all(len(events) == 3 for events in welcome["changes"].values())
    shown = [one["id"] for one in welcome["conversations"]]
    following = [one["id"] for one in page.json()["conversations"]]
    assert len(shown) == 25
    assert (shown + following)[:30] == rooms[::-1]
