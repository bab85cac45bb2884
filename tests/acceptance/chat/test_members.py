"""People join, leave and are taken out of groups, while others talk, on two nodes."""

from __future__ import annotations

from typing import Any

from gateway.client import Connection
from gateway.protocol import (
    ConversationAdd,
    ConversationClose,
    ConversationCreate,
    ConversationCreated,
    ConversationGet,
    ConversationIs,
    ConversationList,
    ConversationMineChanged,
    ConversationParticipants,
    ConversationPin,
    ConversationRemove,
    ConversationReopen,
    ConversationUpdate,
    ConversationUpdated,
    MessageCreated,
    MessageDelete,
    ParticipantChanged,
    TypingStarted,
)
from tests.support.desk import (
    IRYNA,
    OKSANA,
    PETRO,
    Desk,
    RunningNode,
    employee,
    eventually,
    refused,
)
from tests.support.raw import raw

MARIA = employee(4)


def here(running: RunningNode, topic: str) -> list[int]:
    """Return whose sessions on this node listen to a topic."""
    return [session.user_id for session in running.node.delivery.hub.listeners(topic)]


async def make_group(who: Connection, *people: int, title: str = "Обід") -> int:
    """Make a group."""
    made = await who.request(ConversationCreate(title=title, employee_ids=list(people)))
    conversation_id: int = made.conversation.id
    return conversation_id


async def heard_until(client: Connection, text: str) -> list[Any]:
    """Return what a client hears up to this message."""
    heard = []
    while True:
        heard.append(event := await client.next())
        if isinstance(event, MessageCreated) and event.message.text == text:
            return heard


def said_in(events: list[Any]) -> list[str]:
    """Return what system messages among these tell of."""
    return [
        event.message.attrs["event"]
        for event in events
        if isinstance(event, MessageCreated) and event.message.attrs is not None
    ]


async def test_who_joins_hears_what_comes_after_on_any_node(desk: Desk) -> None:
    """They are told of the conversation, the others of them, and messages reach all."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    iryna = await desk.client(IRYNA, node=1)
    group = await make_group(oksana, PETRO)
    await oksana.send(group, "before")

    joined: ConversationIs = await oksana.request(
        ConversationAdd(conversation_id=group, employee_ids=[IRYNA, PETRO, IRYNA])
    )
    created = await iryna.next(ConversationCreated)
    await oksana.send(group, "after")

    assert (created.conversation_id, created.participant_count) == (group, 3)
    assert created.change == joined.conversation.last_change
    heard = await heard_until(iryna, "after")
    assert [event.message.text for event in heard if isinstance(event, MessageCreated)] == ["after"]
    others = await heard_until(petro, "after")
    [change] = [event for event in others if isinstance(event, ParticipantChanged)]
    assert (change.participant.employee.id, change.left) == (IRYNA, False)
    assert change.participant.role == "member"
    assert said_in(others) == ["joined"]
    mine = (await iryna.request(ConversationList())).conversations[0]
    assert (mine.unread.unread, mine.unread.last_read_seq) == (1, 1)
    numbers = [event.change for event in others if getattr(event, "change", 0)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_who_was_removed_hears_nothing_more_on_any_device(desk: Desk) -> None:
    """The last they hear is that they are out; to them the conversation does not exist."""
    oksana = await desk.client(OKSANA)
    petro, phone = await desk.client(PETRO), await desk.client(PETRO, node=1)
    group = await make_group(oksana, PETRO, IRYNA)
    await oksana.send(group, "hello")
    for device in (petro, phone):
        await heard_until(device, "hello")

    await oksana.request(ConversationRemove(conversation_id=group, employee_id=PETRO))
    for device in (petro, phone):
        gone = await device.next(ParticipantChanged)
        assert (gone.participant.employee.id, gone.left) == (PETRO, True)
    await oksana.send(group, "secret")
    await oksana.typing(group)
    other = (await oksana.open(PETRO)).conversation.id
    await oksana.send(other, "the end")

    for device in (petro, phone):
        heard = await heard_until(device, "the end")
        assert not [
            event
            for event in heard
            if isinstance(event, MessageCreated | TypingStarted) and event.conversation_id == group
        ]
        assert await refused(device.send(group, "still here")) == "conversation.not_found"
        assert await refused(device.history(group)) == "conversation.not_found"
        assert await refused(device.typing(group)) == "conversation.not_found"
        assert await refused(device.read(group, 1)) == "conversation.not_found"
    assert group not in [c.id for c in (await petro.request(ConversationList())).conversations]
    again = await oksana.request(ConversationRemove(conversation_id=group, employee_id=PETRO))
    assert again.conversation.participant_count == 2


async def test_who_comes_again_hears_again(desk: Desk) -> None:
    """Out and in a few times at once: in the end every device hears the next message, once."""
    oksana = await desk.client(OKSANA)
    petro, phone = await desk.client(PETRO), await desk.client(PETRO, node=1)
    group = await make_group(oksana, PETRO)

    for number in range(4):
        await oksana.request(ConversationRemove(conversation_id=group, employee_id=PETRO))
        await oksana.send(group, f"hidden {number}")
        await oksana.request(ConversationAdd(conversation_id=group, employee_ids=[PETRO]))
    topic = f"conversation:{group}"
    for node in desk.nodes:
        await eventually(lambda node=node: here(node, topic).count(PETRO) == 1)
    await oksana.send(group, "welcome back")

    for device in (petro, phone):
        heard = await heard_until(device, "welcome back")
        texts = [e.message.text for e in heard if isinstance(e, MessageCreated)]
        assert texts.count("welcome back") == 1
    assert (await petro.history(group)).messages[-1].text == "welcome back"


async def test_a_removal_is_found_by_who_was_away_and_by_who_was_deaf(desk: Desk) -> None:
    """Resume shows who left; a node that missed the news drops who is out of the group."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    group = await make_group(oksana, PETRO, IRYNA)
    await petro.next(ConversationCreated)
    async with raw(desk.nodes[1].socket_url) as iryna:
        welcome = (await iryna.hello(desk.token(IRYNA)))["ok"]
        [before] = [c["last_change"] for c in welcome["conversations"] if c["id"] == group]

    # As if the gateway that wrote it had died before it told anybody.
    await desk.sql(
        """
        WITH room AS (
            UPDATE realtime.conversations SET last_change = last_change + 1 WHERE id = $1
         RETURNING last_change
        )
        UPDATE realtime.conversation_participants SET left_seq = 0, change = room.last_change
          FROM room WHERE conversation_id = $1 AND employee_id = $2
        """,
        group,
        PETRO,
    )

    gone = await petro.next(ParticipantChanged)
    assert (gone.participant.employee.id, gone.left) == (PETRO, True)
    await eventually(
        lambda: (
            PETRO
            not in [
                s.user_id
                for s in desk.nodes[1].node.delivery.hub.listeners(f"conversation:{group}")
            ]
        )
    )
    async with raw(desk.nodes[1].socket_url) as iryna:
        welcome = (await iryna.hello(desk.token(IRYNA), resume={str(group): before}))["ok"]
        [event] = welcome["changes"][str(group)]
        assert (event["type"], event["left"]) == ("participant.changed", True)
        assert event["participant"]["employee"]["id"] == PETRO
    async with raw(desk.nodes[0].socket_url) as removed:
        welcome = (await removed.hello(desk.token(PETRO), resume={str(group): before}))["ok"]
        assert welcome["reload"] == [group]
        assert welcome["changes"] == {}


async def test_history_since_joining_is_all_that_a_newcomer_sees(desk: Desk) -> None:
    """In history, lists, counts and resume; with history for all they see everything."""
    oksana, iryna = await desk.client(OKSANA), await desk.client(IRYNA, node=1)
    group = await make_group(oksana, PETRO)
    for number in range(3):
        await oksana.send(group, f"old {number}")
    changed = await oksana.request(ConversationUpdate(conversation_id=group, history="joined"))
    assert changed.conversation.history == "joined"

    await oksana.request(ConversationAdd(conversation_id=group, employee_ids=[IRYNA]))
    shown = [message.kind for message in (await iryna.history(group)).messages]
    listed = (await iryna.request(ConversationList())).conversations[0]
    async with raw(desk.nodes[1].socket_url) as window:
        welcome = (await window.hello(desk.token(IRYNA), resume={str(group): 0}))["ok"]
        told = [
            event["message"]["text"]
            for event in welcome["changes"][str(group)]
            if event["type"] == "message.created"
        ]

    assert shown == ["system"]
    assert listed.last_message.attrs["event"] == "joined"
    assert told == [""]
    await oksana.request(ConversationUpdate(conversation_id=group, history="all"))
    texts = [message.text for message in (await iryna.history(group)).messages]
    assert texts[:3] == ["old 0", "old 1", "old 2"]


async def test_title_picture_and_closing_are_told_and_said(empty_desk: Desk) -> None:
    """Each is an event with the whole state and a silent system message; same again is nothing."""
    desk = empty_desk
    for _ in range(2):
        await desk.start_node(picture_origins="https://crm.example")
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    group = await make_group(oksana, PETRO)
    await petro.next(ConversationCreated)

    changes = ConversationUpdate(
        conversation_id=group, title="Вечеря", avatar_url="https://crm.example/a.png"
    )
    first = await oksana.request(changes)
    again = await oksana.request(changes)
    closed = await oksana.request(ConversationClose(conversation_id=group))
    await oksana.request(ConversationClose(conversation_id=group))

    assert first.conversation.last_change == again.conversation.last_change
    assert await refused(oksana.send(group, "too late")) == "conversation.closed"
    assert await refused(petro.send(group, "too late")) == "conversation.closed"
    assert (await petro.history(group)).messages
    await oksana.request(ConversationReopen(conversation_id=group))
    await oksana.request(ConversationUpdate(conversation_id=group, avatar_url=""))
    await oksana.send(group, "open again")

    heard = await heard_until(petro, "open again")
    states = [event for event in heard if isinstance(event, ConversationUpdated)]
    assert [(s.title, s.avatar_url, s.closed_at is not None) for s in states] == [
        ("Вечеря", "https://crm.example/a.png", False),
        ("Вечеря", "https://crm.example/a.png", True),
        ("Вечеря", "https://crm.example/a.png", False),
        ("Вечеря", None, False),
    ]
    assert closed.conversation.closed_at == states[1].closed_at
    assert said_in(heard) == ["renamed", "picture_changed", "closed", "reopened", "picture_changed"]
    counted = (await petro.request(ConversationList())).conversations[0].unread
    assert counted.unread == 1


async def test_one_conversation_is_read_alone(desk: Desk) -> None:
    """As the list shows it, to who is in it; to others it does not exist."""
    oksana, iryna = await desk.client(OKSANA), await desk.client(IRYNA, node=1)
    group = await make_group(oksana, PETRO)

    listed = (await oksana.request(ConversationList())).conversations[0]
    assert (await oksana.request(ConversationGet(conversation_id=group))).conversation == listed
    over_http = await desk.http(OKSANA).get(f"/v1/messenger/conversations/{group}")
    assert over_http.json()["conversation"]["title"] == listed.title

    for attempt in (ConversationGet, ConversationParticipants):
        assert await refused(iryna.request(attempt(conversation_id=group))) == (
            "conversation.not_found"
        )
    for path in (f"{group}", f"{group}/participants", "999999"):
        answer = await desk.http(IRYNA).get(f"/v1/messenger/conversations/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (
            404,
            "conversation.not_found",
        )


async def test_everybody_in_a_large_group_is_listed_by_pages(small_desk: Desk) -> None:
    """Each once, in order, with their roles and presence; the list shows the first twenty only."""
    oksana = await small_desk.client(OKSANA)
    people = [employee(number) for number in range(2, 20)]
    group = await make_group(oksana, *people)
    await oksana.request(ConversationRemove(conversation_id=group, employee_id=employee(5)))

    found, after = [], None
    while True:
        page = await oksana.request(
            ConversationParticipants(conversation_id=group, limit=7, after=after)
        )
        assert page.participant_count == 18
        assert {one.employee_id for one in page.presences} <= {
            one.employee.id for one in page.participants
        }
        found += page.participants
        if (after := page.next) is None:
            break

    present = sorted({OKSANA, *people} - {employee(5)})
    assert [one.employee.id for one in found] == present
    assert {one.employee.id for one in found if one.role == "owner"} == {OKSANA}
    over_http = await small_desk.http(OKSANA).get(
        f"/v1/messenger/conversations/{group}/participants",
        params={"limit": 7, "after": present[1]},
    )
    assert [one["employee"]["id"] for one in over_http.json()["participants"]] == present[2:9]


async def test_who_comes_back_hears_that_their_settings_are_gone(desk: Desk) -> None:
    """A pin of the time before is taken away on all their devices."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    group = await make_group(oksana, PETRO)
    await petro.request(ConversationPin(conversation_id=group))
    pinned = (await petro.next(ConversationMineChanged)).mine
    assert pinned.pinned_at is not None

    await oksana.request(ConversationRemove(conversation_id=group, employee_id=PETRO))
    await oksana.request(ConversationAdd(conversation_id=group, employee_ids=[PETRO]))

    now = (await petro.next(ConversationMineChanged)).mine
    assert now.pinned_at is None
    assert now.version > pinned.version


async def test_nobody_deletes_the_record_of_who_came_and_left(small_desk: Desk) -> None:
    """A system message stays, also for the owner."""
    oksana = await small_desk.client(OKSANA)
    group = (
        await oksana.request(ConversationCreate(title="Обід", employee_ids=[PETRO]))
    ).conversation.id
    await oksana.request(ConversationRemove(conversation_id=group, employee_id=PETRO))
    rows = await small_desk.sql(
        "SELECT seq FROM realtime.messages WHERE conversation_id = $1 AND kind = 'system'", group
    )

    for row in rows:
        deleting = oksana.request(MessageDelete(conversation_id=group, seq=row["seq"]))
        assert await refused(deleting) == "permission.denied"
    assert rows
