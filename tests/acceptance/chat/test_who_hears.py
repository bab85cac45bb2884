"""Who is told of what: nothing from before they joined, nothing from after they left."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.bus import Announcement
from gateway.client import Connection
from gateway.hello import snapshot
from gateway.protocol import (
    ConversationAdd,
    ConversationCreate,
    ConversationCreated,
    ConversationLeave,
    ConversationRemove,
    ConversationUpdate,
    ConversationUpdated,
    MessageCreated,
    MessageDeleted,
    MessageReacted,
    MessageUpdated,
    ParticipantChanged,
)
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, eventually
from tests.support.raw import raw

MARK = "that is all"


async def told(client: Connection) -> list[Any]:
    """Return the changes of messages that this device is told of before MARK."""
    heard: list[Any] = []
    while True:
        event = await client.next()
        if isinstance(event, MessageCreated) and event.message.text == MARK:
            return heard
        if isinstance(event, MessageUpdated | MessageDeleted):
            heard.append((event.type, event.message.seq))
        elif isinstance(event, MessageReacted):
            heard.append((event.type, event.seq))


async def stir(owner: Connection, room: int, *seqs: int) -> None:
    """Edit, react to and delete each of these messages, then say that this is all."""
    for seq in seqs:
        await owner.react(room, seq, "👍")
        await owner.edit(room, seq, "edited")
        await owner.delete(room, seq)
    await owner.send(room, MARK)


def all_of(*seqs: int) -> list[tuple[str, int]]:
    kinds = ("message.reacted", "message.updated", "message.deleted")
    return [(kind, seq) for seq in seqs for kind in kinds]


async def test_a_newcomer_hears_nothing_of_what_was_said_before(desk: Desk) -> None:
    """Neither who was let in live nor who signs in after it; those who were there hear all."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    iryna = await desk.client(IRYNA, node=1)
    made = await oksana.request(ConversationCreate(title="old", employee_ids=[PETRO]))
    room = made.conversation.id
    await oksana.request(ConversationUpdate(conversation_id=room, history="joined"))
    before = (await oksana.send(room, "before")).seq
    await oksana.request(ConversationAdd(conversation_id=room, employee_ids=[IRYNA]))
    await iryna.next(ConversationCreated)
    later = await desk.client(IRYNA)
    after = (await oksana.send(room, "after")).seq

    await stir(oksana, room, before, after)

    assert await told(petro) == all_of(before, after)
    assert await told(iryna) == await told(later) == all_of(after)


async def test_whose_history_it_is_changes_live(desk: Desk) -> None:
    """For all: of everything; since joining: no more of what came before; and back again."""
    oksana = await desk.client(OKSANA)
    made = await oksana.request(ConversationCreate(title="old", employee_ids=[PETRO]))
    room, node = made.conversation.id, desk.nodes[1].node
    first, second = [(await oksana.send(room, text)).seq for text in ("one", "two")]
    await oksana.request(ConversationAdd(conversation_id=room, employee_ids=[IRYNA]))
    iryna = await desk.client(IRYNA, node=1)

    await oksana.request(ConversationUpdate(conversation_id=room, history="joined"))
    await iryna.next(ConversationUpdated)
    await eventually(lambda: node.delivery.hub.hides_messages(f"conversation:{room}"))
    await stir(oksana, room, first)
    assert await told(iryna) == []
    await oksana.request(ConversationUpdate(conversation_id=room, history="all"))
    await iryna.next(ConversationUpdated)
    await eventually(lambda: not node.delivery.hub.hides_messages(f"conversation:{room}"))
    await stir(oksana, room, second)

    assert await told(iryna) == all_of(second)


async def test_who_leaves_again_is_forgotten(desk: Desk) -> None:
    """Nothing is kept of whom something is hidden from once they are out."""
    oksana, iryna = await desk.client(OKSANA), await desk.client(IRYNA, node=1)
    made = await oksana.request(ConversationCreate(title="old", employee_ids=[PETRO]))
    room, hub = made.conversation.id, desk.nodes[1].node.delivery.hub
    await desk.client(PETRO, node=1)
    await oksana.request(ConversationUpdate(conversation_id=room, history="joined"))
    await oksana.request(ConversationAdd(conversation_id=room, employee_ids=[IRYNA]))
    await eventually(lambda: hub.hides_messages(f"conversation:{room}"))

    await iryna.request(ConversationLeave(conversation_id=room))

    await eventually(lambda: not hub._topics[f"conversation:{room}"].hidden)


@pytest.mark.parametrize("leave", [False, True])
async def test_who_follows_others_is_told_of_having_been_taken_out(
    empty_desk: Desk, leave: bool
) -> None:
    """Where a device hears only the newest conversations, and this is none of them."""
    desk = empty_desk
    await desk.start_node()
    await desk.start_node(max_topics=10, upkeep_s=60.0)
    oksana = await desk.client(OKSANA)
    rooms = [
        (await oksana.request(ConversationCreate(title=f"{n}", employee_ids=[PETRO]))).conversation
        for n in range(12)
    ]
    oldest, newest = rooms[0].id, rooms[-1].id
    petro, elsewhere = await desk.client(PETRO, node=1), await desk.client(PETRO)

    for room in (oldest, newest):
        if leave:
            await elsewhere.request(ConversationLeave(conversation_id=room))
        else:
            await oksana.request(ConversationRemove(conversation_id=room, employee_id=PETRO))
    await oksana.send(rooms[2].id, MARK)

    for device in (petro, elsewhere):
        heard: list[int] = []
        while True:
            event = await device.next()
            if isinstance(event, ParticipantChanged):
                assert event.left
                heard.append(event.conversation_id)
            elif isinstance(event, MessageCreated) and event.message.text == MARK:
                break
        assert heard == [oldest, newest]


async def test_who_is_taken_out_during_a_hello_hears_nothing_after_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stream passed over is read for one session: only up to its being taken out."""
    oksana = await desk.client(OKSANA)
    made = await oksana.request(ConversationCreate(title="three", employee_ids=[PETRO, IRYNA]))
    room, node = made.conversation.id, desk.nodes[1].node
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
        node.delivery.streams, "accept", lambda _, announcement: late.append(announcement)
    )
    async with raw(desk.nodes[1].socket_url) as petro:
        await petro.say({"type": "hello", "id": 1, "token": desk.token(PETRO)})
        await taken.wait()
        await oksana.request(ConversationRemove(conversation_id=room, employee_id=PETRO))
        await oksana.send(room, "about Petro")
        iryna = await desk.client(IRYNA, node=1)  # her snapshot starts the stream behind it
        await eventually(lambda: late)
        monkeypatch.setattr(node.delivery.streams, "accept", accept)
        await oksana.send(room, "more about Petro")
        assert (await iryna.next(MessageCreated)).message.text == "more about Petro"
        go_on.set()

        heard = [await petro.hear()]
        await eventually(lambda: len(node.delivery.hub.listeners(f"conversation:{room}")) == 1)
        other = (await oksana.open(PETRO)).conversation.id
        await oksana.send(other, MARK)
        while heard[-1].get("message", {}).get("text") != MARK:
            heard.append(await petro.hear())
    texts = [one["message"]["text"] for one in heard if one.get("type") == "message.created"]
    assert texts == ["", MARK]  # the first says, as a system message, who was removed
    assert [one["left"] for one in heard if one.get("type") == "participant.changed"] == [True]
