"""Every change of a conversation read back: resume, gaps, and on request."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from gateway.bus import Announcement
from gateway.client import Connection, RequestRefused
from gateway.client.events import decode
from gateway.protocol import (
    ConversationCreate,
    Message,
    MessageCreated,
    MessageDeleted,
    MessageReacted,
    MessageUpdated,
)
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, employee, eventually, refused
from tests.support.raw import raw


class View:
    """What a client shows that has only ever applied events."""

    def __init__(self) -> None:
        self.messages: dict[int, Message] = {}
        self.change = 0

    def take(self, event: Any) -> None:
        """Apply an event of the conversation."""
        if isinstance(event, MessageCreated | MessageUpdated | MessageDeleted):
            self.messages[event.message.seq] = event.message
        elif isinstance(event, MessageReacted):
            known = self.messages[event.seq]
            self.messages[event.seq] = replace(known, reactions=event.reactions)
        else:
            return
        assert event.change > self.change
        self.change = event.change

    def shown(self) -> list[Message]:
        return [self.messages[seq] for seq in sorted(self.messages)]


async def _view_at(client: Connection, change: int) -> View:
    """Apply what the client hears until it is that far."""
    view = View()
    async with asyncio.timeout(20):
        while view.change < change:
            view.take(await client.next())
    return view


async def test_resume_on_another_node_brings_edits_deletions_and_reactions(desk: Desk) -> None:
    """Who comes back hears what each message has become, once, in order of the changes."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    for text in ("edited", "deleted", "reacted", "all of it"):
        await oksana.send(conversation.id, text)
    view = await _view_at(petro, 5)
    await petro.close()

    await oksana.edit(conversation.id, 1, "twice")
    await oksana.edit(conversation.id, 1, "edited")
    await oksana.edit(conversation.id, 1, "thrice")
    await oksana.react(conversation.id, 2, "👎")
    await oksana.delete(conversation.id, 2)
    await oksana.react(conversation.id, 3, "👍")
    await oksana.unreact(conversation.id, 3, "👍")
    await oksana.react(conversation.id, 3, "🎉")
    await oksana.send(conversation.id, "new, and edited at once")
    await oksana.edit(conversation.id, 5, "newest")

    async with raw(desk.nodes[0].socket_url) as back:
        welcome = await back.hello(desk.token(PETRO), resume={str(conversation.id): 5})
    events: list[Any] = [decode(event) for event in welcome["ok"]["changes"][str(conversation.id)]]
    for event in events:
        view.take(event)

    assert view.shown() == (await oksana.history(conversation.id)).messages
    assert [event.type for event in events] == [
        "message.updated",
        "message.reacted",  # to what was deleted then: of none
        "message.deleted",
        "message.reacted",
        "message.updated",
    ]
    assert welcome["ok"]["conversations"][0]["last_change"] == view.change


async def test_a_silent_bus_loses_no_kind_of_change(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one node could not announce, the other reads back: the view is as a fresh one."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    first = await oksana.send(conversation.id, "heard")
    await petro.next(MessageCreated)
    view = View()
    view.take(MessageCreated(conversation_id=conversation.id, change=2, message=first))

    def lose(_announcements: Collection[Announcement]) -> None:
        return

    with monkeypatch.context() as patched:
        patched.setattr(desk.nodes[0].node.delivery.bus, "publish", lose)
        await oksana.send(conversation.id, "lost")
        await oksana.edit(conversation.id, 1, "lost too")
        await oksana.react(conversation.id, 1, "👍")
        await oksana.delete(conversation.id, 2)
    last = await oksana.react(conversation.id, 1, "🎉")
    while view.change < 7:
        view.take(await petro.next())

    assert view.shown() == (await oksana.history(conversation.id)).messages
    assert view.messages[1].reactions == last
    assert petro.positions[conversation.id] == view.change == 7


async def test_twenty_who_edit_and_react_at_once_see_the_same(empty_desk: Desk) -> None:
    """Whatever crosses, everyone's view of events equals a fresh fetch, with no number missing."""
    desk, people = empty_desk, range(1, 20)
    for _ in range(2):  # all of them wait for one row: a connection for each, or some are shed
        await desk.start_node(database_pool=12)
    clients = {who: await desk.client(employee(who), node=who % 2) for who in people}
    phone = await desk.client(OKSANA, node=0)
    made = await clients[1].request(
        ConversationCreate(title="Busy", employee_ids=[employee(who) for who in people])
    )
    room = made.conversation.id
    for who in people:
        await clients[who].send(room, f"message of {who}")
    dice = random.Random(17)

    async def act(who: int, client: Connection) -> None:
        for turn in range(3):
            other = dice.randint(1, 19)
            await client.react(room, other, dice.choice("👍🎉😀"))
            await client.edit(room, who, f"turn {turn} of {who}")
            await client.unreact(room, other, "👍")
        if who % 5 == 0:
            await client.delete(room, who)

    async with asyncio.TaskGroup() as group:
        for who, client in [*clients.items(), (1, phone)]:
            # Somebody's reaction may come after the deletion: then it is refused, as it should be.
            group.create_task(_unless_deleted(act(who, client)))

    (row,) = await desk.sql("SELECT last_change FROM realtime.conversations WHERE id = $1", room)
    fresh = (await phone.history(room)).messages
    for client in (clients[1], clients[2], clients[19], phone):
        view = await _view_at(client, row["last_change"])
        assert view.shown() == fresh
    assert any(message.deleted_at for message in fresh)
    assert any(message.reactions for message in fresh)


async def _unless_deleted(work: Any) -> None:
    try:
        await work
    except RequestRefused as refused:
        if refused.code != "message.not_found":
            raise


async def test_changes_are_paged(small_desk: Desk) -> None:
    """Asked for from any position, pages together bring a view that equals a fresh fetch."""
    oksana = await small_desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    for number in range(1, 8):
        await oksana.send(conversation.id, f"{number}")
        await oksana.react(conversation.id, number, "👍")
        await oksana.react(conversation.id, 1, f"{number}")
    await oksana.edit(conversation.id, 2, "two")
    await oksana.delete(conversation.id, 3)
    fresh = (await oksana.history(conversation.id)).messages

    for limit in (1, 3, 100):
        view, more = View(), True
        while more:
            page = await oksana.changes(conversation.id, view.change, limit=limit)
            assert 0 < len(page.events) <= limit
            for said in page.events:
                event = decode(said)
                if isinstance(event, MessageReacted) and event.seq not in view.messages:
                    # Its message has changed since, and comes later, with all its reactions.
                    view.change = event.change
                    continue
                view.take(event)
            more = page.more
        assert view.shown() == fresh

    ahead = await oksana.changes(conversation.id, 2**63 - 1)
    assert (ahead.events, ahead.more) == ([], False)
    for bad in ({"after": -1}, {"after": 2**63}, {"after": 0, "limit": 101}):
        assert await refused(oksana.changes(conversation.id, **bad)) == "command.invalid"


async def test_unknown_fields_and_half_commands_are_refused(desk: Desk) -> None:
    """Every command says which field is wrong, and changes nothing."""
    oksana = await desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    sent = await oksana.send(conversation.id, "x")
    place = {"conversation_id": conversation.id, "seq": 1}
    commands: list[dict[str, Any]] = [
        {"type": "message.edit", **place, "text": "y"},
        {"type": "message.delete", **place},
        {"type": "reaction.add", **place, "emoji": "👍"},
        {"type": "reaction.remove", **place, "emoji": "👍"},
        {"type": "message.thread", **place},
        {"type": "message.changes", "conversation_id": conversation.id, "after": 0},
    ]

    async with raw(desk.nodes[1].socket_url) as socket:
        await socket.hello(desk.token(OKSANA))
        for command in commands:
            wrong = [
                {**command, "colour": "red"},
                *({**command, field: None} for field in command if field != "type"),
                *({k: v for k, v in command.items() if k != field} for field in list(command)[1:]),
                {**command, "conversation_id": 2**63},
            ]
            for asked in wrong:
                refusal = (await socket.ask({**asked, "id": 2}))["error"]
                assert refusal["code"] == "command.invalid"
                assert refusal["path"] in {*command, "colour"}
    assert (await oksana.history(conversation.id)).messages == [sent]


async def test_rest_does_the_same(desk: Desk) -> None:
    """Edit, react, answer, read threads and changes, and delete over HTTP; sockets hear of it."""
    petro = await desk.client(PETRO, node=1)
    conversation = (await petro.open(OKSANA)).conversation
    sent = await petro.send(conversation.id, "question")
    http = desk.http(OKSANA)
    base = f"/v1/messenger/conversations/{conversation.id}"

    answered = await http.post(
        f"{base}/messages",
        json={
            "client_key": "6f1c1a52-3d4c-4f9e-9d58-1f7a3cbb8e0a",
            "text": f"answer, <@{PETRO}>",
            "reply_to_seq": sent.seq,
        },
    )
    edited = await http.patch(f"{base}/messages/2", json={"text": "better"})
    reacted = await http.post(f"{base}/messages/1/reactions", json={"emoji": "👍"})
    taken_back = await http.delete(f"{base}/messages/1/reactions", params={"emoji": "👍"})
    thread = await http.get(f"{base}/messages/1/thread")
    around = await http.get(f"{base}/messages", params={"around": 1, "limit": 2})
    deleted = await http.delete(f"{base}/messages/2")
    changes = await http.get(f"{base}/changes", params={"after": 2})

    assert answered.json()["message"]["mention_ids"] == [PETRO]
    assert edited.json()["message"]["text"] == "better"
    assert reacted.json()["reactions"] == [{"emoji": "👍", "count": 1, "employee_ids": [OKSANA]}]
    assert taken_back.json()["reactions"] == []
    assert thread.json()["root"]["reply_count"] == 1
    assert [message["text"] for message in thread.json()["messages"]] == ["better"]
    assert [message["seq"] for message in around.json()["messages"]] == [1, 2]
    assert deleted.json()["message"]["deleted_at"] is not None
    assert [event["type"] for event in changes.json()["events"]] == [
        "message.reacted",
        "message.deleted",
    ]
    assert not changes.json()["more"]
    assert (await petro.next(MessageUpdated)).message.text == "better"
    assert (await petro.next(MessageDeleted)).change == 7

    assert (await http.patch(f"{base}/messages/1", json={"text": "x"})).status_code == 403
    assert (await http.patch(f"{base}/messages/9", json={"text": "x"})).status_code == 404
    assert (await http.patch(f"{base}/messages/1", json={"text": ""})).status_code == 422
    assert (await http.delete(f"{base}/messages/1/reactions")).status_code == 422
    bad = await http.delete(f"{base}/messages/1/reactions", params={"emoji": "a b"})
    assert (bad.status_code, bad.json()["error"]["code"]) == (422, "command.invalid")
    stranger = desk.http(IRYNA)
    for answer in (
        await stranger.patch(f"{base}/messages/1", json={"text": "x"}),
        await stranger.delete(f"{base}/messages/1"),
        await stranger.get(f"{base}/messages/1/thread"),
        await stranger.get(f"{base}/changes", params={"after": 0}),
        await stranger.post(f"{base}/messages/1/reactions", json={"emoji": "x"}),
    ):
        assert answer.json()["error"]["code"] == "conversation.not_found"


async def test_who_joined_later_reads_only_what_came_since(desk: Desk) -> None:
    """Where history is for those who were there, no command shows what came before."""
    oksana = await desk.client(OKSANA)
    made = await oksana.request(ConversationCreate(title="Room", employee_ids=[PETRO]))
    room = made.conversation.id
    for text in ("before", "also before", "since"):
        await oksana.send(room, text)
    await oksana.react(room, 1, "👍")
    await desk.sql("UPDATE realtime.conversations SET history = 'joined'")
    await desk.sql(
        "UPDATE realtime.conversation_participants SET joined_seq = 2 WHERE employee_id = $1",
        PETRO,
    )
    petro = await desk.client(PETRO, node=1)

    history = await petro.history(room)
    around = await petro.history(room, around=1)
    first = await petro.history(room, after=0)
    changes = await petro.changes(room, 1)

    for page in (history, around, first):
        assert [message.text for message in page.messages] == ["since"]
        assert not page.has_before
    assert [event["message"]["text"] for event in changes.events] == ["since"]
    assert await refused(petro.react(room, 1, "👍")) == "message.not_found"
    assert await refused(petro.thread(room, 2)) == "message.not_found"
    assert await refused(petro.send(room, "x", reply_to_seq=1)) == "message.not_found"
    async with raw(desk.nodes[0].socket_url) as back:
        welcome = await back.hello(desk.token(PETRO), resume={str(room): 1})
        told = welcome["ok"]["changes"][str(room)]
    assert [event["message"]["text"] for event in told] == ["since"]
    await eventually(lambda: petro.positions.get(room))
