"""People join, leave and are taken out of groups, while others talk, on two nodes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.client import Connection, RequestRefused
from gateway.protocol import (
    ConversationAdd,
    ConversationClose,
    ConversationCreate,
    ConversationCreated,
    ConversationIs,
    ConversationLeave,
    ConversationList,
    ConversationRemove,
    ConversationReopen,
    ConversationSetRole,
    ConversationUpdate,
    ConversationUpdated,
    MessageCreated,
    ParticipantChanged,
    TypingStarted,
)
from tests.desk import IRYNA, OKSANA, PETRO, Desk, eventually
from tests.raw import raw

MARIA = 4


async def _group(who: Connection, *people: int, title: str = "Обід") -> int:
    made = await who.request(ConversationCreate(title=title, employee_ids=list(people)))
    conversation_id: int = made.conversation.id
    return conversation_id


async def _refused(attempt: Any) -> str:
    with pytest.raises(RequestRefused) as refused:
        await attempt
    return refused.value.code


async def _heard(client: Connection, text: str) -> list[Any]:
    """Return what a client hears up to this message."""
    heard = []
    while True:
        heard.append(event := await client.next())
        if isinstance(event, MessageCreated) and event.message.text == text:
            return heard


def _said(events: list[Any]) -> list[str]:
    return [
        event.message.attrs["event"]
        for event in events
        if isinstance(event, MessageCreated) and event.message.attrs is not None
    ]


async def test_who_joins_hears_what_comes_after_on_any_node(desk: Desk) -> None:
    """They are told of the conversation, the others of them, and messages reach all."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    iryna = await desk.client(IRYNA, node=1)
    group = await _group(oksana, PETRO)
    await oksana.send(group, "before")

    joined: ConversationIs = await oksana.request(
        ConversationAdd(conversation_id=group, employee_ids=[IRYNA, PETRO, IRYNA])
    )
    created = await iryna.next(ConversationCreated)
    await oksana.send(group, "after")

    assert (created.conversation_id, created.participant_count) == (group, 3)
    assert created.change == joined.conversation.last_change
    heard = await _heard(iryna, "after")
    assert [event.message.text for event in heard if isinstance(event, MessageCreated)] == ["after"]
    others = await _heard(petro, "after")
    [change] = [event for event in others if isinstance(event, ParticipantChanged)]
    assert (change.participant.employee.id, change.left) == (IRYNA, False)
    assert change.participant.role == "member"
    assert _said(others) == ["joined"]
    mine = (await iryna.request(ConversationList())).conversations[0]
    assert (mine.unread.unread, mine.unread.last_read_seq) == (1, 1)
    numbers = [event.change for event in others if getattr(event, "change", 0)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_who_was_removed_hears_nothing_more_on_any_device(desk: Desk) -> None:
    """The last they hear is that they are out; to them the conversation does not exist."""
    oksana = await desk.client(OKSANA)
    petro, phone = await desk.client(PETRO), await desk.client(PETRO, node=1)
    group = await _group(oksana, PETRO, IRYNA)
    await oksana.send(group, "hello")
    for device in (petro, phone):
        await _heard(device, "hello")

    await oksana.request(ConversationRemove(conversation_id=group, employee_id=PETRO))
    for device in (petro, phone):
        gone = await device.next(ParticipantChanged)
        assert (gone.participant.employee.id, gone.left) == (PETRO, True)
    await oksana.send(group, "secret")
    await oksana.typing(group)
    other = (await oksana.open(PETRO)).conversation.id
    await oksana.send(other, "the end")

    for device in (petro, phone):
        heard = await _heard(device, "the end")
        assert not [
            event
            for event in heard
            if isinstance(event, MessageCreated | TypingStarted) and event.conversation_id == group
        ]
        assert await _refused(device.send(group, "still here")) == "conversation.not_found"
        assert await _refused(device.history(group)) == "conversation.not_found"
        assert await _refused(device.typing(group)) == "conversation.not_found"
        assert await _refused(device.read(group, 1)) == "conversation.not_found"
    assert group not in [c.id for c in (await petro.request(ConversationList())).conversations]
    again = await oksana.request(ConversationRemove(conversation_id=group, employee_id=PETRO))
    assert again.conversation.participant_count == 2


async def test_who_comes_again_hears_again(desk: Desk) -> None:
    """Out and in a few times at once: in the end every device hears the next message, once."""
    oksana = await desk.client(OKSANA)
    petro, phone = await desk.client(PETRO), await desk.client(PETRO, node=1)
    group = await _group(oksana, PETRO)

    for number in range(4):
        await oksana.request(ConversationRemove(conversation_id=group, employee_id=PETRO))
        await oksana.send(group, f"hidden {number}")
        await oksana.request(ConversationAdd(conversation_id=group, employee_ids=[PETRO]))
    topic = f"conversation:{group}"
    for node in desk.nodes:
        await eventually(
            lambda node=node: [s.user_id for s in node.node.hub.listeners(topic)].count(PETRO) == 1
        )
    await oksana.send(group, "welcome back")

    for device in (petro, phone):
        heard = await _heard(device, "welcome back")
        texts = [e.message.text for e in heard if isinstance(e, MessageCreated)]
        assert texts.count("welcome back") == 1
    assert (await petro.history(group)).messages[-1].text == "welcome back"


async def test_a_removal_is_found_by_who_was_away_and_by_who_was_deaf(desk: Desk) -> None:
    """Resume shows who left; a node that missed the news drops who is out of the group."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    group = await _group(oksana, PETRO, IRYNA)
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
            not in [s.user_id for s in desk.nodes[1].node.hub.listeners(f"conversation:{group}")]
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
    group = await _group(oksana, PETRO)
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


async def test_title_picture_and_closing_are_told_and_said(desk: Desk) -> None:
    """Each is an event with the whole state and a silent system message; same again is nothing."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    group = await _group(oksana, PETRO)
    await petro.next(ConversationCreated)

    changes = ConversationUpdate(
        conversation_id=group, title="Вечеря", avatar_url="https://crm.example/a.png"
    )
    first = await oksana.request(changes)
    again = await oksana.request(changes)
    closed = await oksana.request(ConversationClose(conversation_id=group))
    await oksana.request(ConversationClose(conversation_id=group))

    assert first.conversation.last_change == again.conversation.last_change
    assert await _refused(oksana.send(group, "too late")) == "conversation.closed"
    assert await _refused(petro.send(group, "too late")) == "conversation.closed"
    assert (await petro.history(group)).messages
    await oksana.request(ConversationReopen(conversation_id=group))
    await oksana.request(ConversationUpdate(conversation_id=group, avatar_url=""))
    await oksana.send(group, "open again")

    heard = await _heard(petro, "open again")
    states = [event for event in heard if isinstance(event, ConversationUpdated)]
    assert [(s.title, s.avatar_url, s.closed_at is not None) for s in states] == [
        ("Вечеря", "https://crm.example/a.png", False),
        ("Вечеря", "https://crm.example/a.png", True),
        ("Вечеря", "https://crm.example/a.png", False),
        ("Вечеря", None, False),
    ]
    assert closed.conversation.closed_at == states[1].closed_at
    assert _said(heard) == ["renamed", "picture_changed", "closed", "reopened", "picture_changed"]
    counted = (await petro.request(ConversationList())).conversations[0].unread
    assert counted.unread == 1


async def test_the_last_owner_who_leaves_is_followed_by_who_is_there_longest(desk: Desk) -> None:
    """An admin before a member; while there is no other owner none can be demoted."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    iryna = await desk.client(IRYNA)
    group = await _group(oksana, PETRO, IRYNA)
    await oksana.request(
        ConversationSetRole(conversation_id=group, employee_id=IRYNA, role="admin")
    )
    demote = ConversationSetRole(conversation_id=group, employee_id=OKSANA, role="member")
    assert await _refused(oksana.request(demote)) == "conversation.last_owner"

    await oksana.request(ConversationLeave(conversation_id=group))
    assert await _refused(oksana.history(group)) == "conversation.not_found"
    roles = {
        who.employee.id: who.role
        for who in (await petro.request(ConversationList())).conversations[0].participants
    }
    assert roles == {PETRO: "member", IRYNA: "owner"}
    await iryna.request(ConversationLeave(conversation_id=group))
    await petro.request(ConversationUpdate(conversation_id=group, title="мій"))
    await petro.request(ConversationLeave(conversation_id=group))
    assert (await petro.request(ConversationList())).conversations == []


async def test_members_may_leave_and_no_more(desk: Desk) -> None:
    """Every command for owners and admins is refused to a member, and changes nothing."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO)
    group = await _group(oksana, PETRO, IRYNA)
    before = await desk.sql("SELECT * FROM realtime.conversations WHERE id = $1", group)

    for command in (
        ConversationAdd(conversation_id=group, employee_ids=[MARIA]),
        ConversationRemove(conversation_id=group, employee_id=IRYNA),
        ConversationSetRole(conversation_id=group, employee_id=PETRO, role="owner"),
        ConversationUpdate(conversation_id=group, title="mine"),
        ConversationClose(conversation_id=group),
        ConversationReopen(conversation_id=group),
    ):
        assert await _refused(petro.request(command)) == "permission.denied"
    await oksana.request(
        ConversationSetRole(conversation_id=group, employee_id=PETRO, role="admin")
    )
    over_owner = ConversationRemove(conversation_id=group, employee_id=OKSANA)
    assert await _refused(petro.request(over_owner)) == "permission.denied"

    after = await desk.sql("SELECT * FROM realtime.conversations WHERE id = $1", group)
    assert after[0]["last_change"] == before[0]["last_change"] + 2  # the role, and that it is said
    await petro.request(ConversationLeave(conversation_id=group))


async def test_two_admins_who_remove_each_other_do_not_both(desk: Desk) -> None:
    """The first stays; to the second the conversation does not exist any more."""
    oksana = await desk.client(OKSANA)
    petro, iryna = await desk.client(PETRO), await desk.client(IRYNA, node=1)

    for _ in range(5):
        group = await _group(oksana, PETRO, IRYNA)
        for admin in (PETRO, IRYNA):
            await oksana.request(
                ConversationSetRole(conversation_id=group, employee_id=admin, role="admin")
            )
        done = await asyncio.gather(
            petro.request(ConversationRemove(conversation_id=group, employee_id=IRYNA)),
            iryna.request(ConversationRemove(conversation_id=group, employee_id=PETRO)),
            return_exceptions=True,
        )
        refused = [one for one in done if isinstance(one, RequestRefused)]
        assert [one.code for one in refused] == ["conversation.not_found"]
        left = await desk.sql(
            "SELECT 1 FROM realtime.conversation_participants WHERE conversation_id = $1"
            " AND left_seq IS NULL",
            group,
        )
        assert len(left) == 2


async def test_a_group_always_has_an_owner(desk: Desk) -> None:
    """While the last owner leaves and another is made owner or leaves too, at once."""
    oksana = await desk.client(OKSANA)
    petro, iryna = await desk.client(PETRO), await desk.client(IRYNA, node=1)

    for turn in range(6):
        group = await _group(oksana, PETRO, IRYNA, MARIA)
        attempts = [
            oksana.request(ConversationLeave(conversation_id=group)),
            petro.request(ConversationLeave(conversation_id=group)),
            iryna.request(
                ConversationSetRole(conversation_id=group, employee_id=MARIA, role="owner")
            ),
            oksana.request(
                ConversationSetRole(conversation_id=group, employee_id=PETRO, role="owner")
            ),
        ]
        await asyncio.gather(*attempts[turn % 2 :: 1], return_exceptions=True)
        if turn % 2:
            attempts[0].close()
        rows = await desk.sql(
            "SELECT role, count(*) FROM realtime.conversation_participants"
            " WHERE conversation_id = $1 AND left_seq IS NULL GROUP BY role",
            group,
        )
        roles = {row["role"]: row["count"] for row in rows}
        assert roles.get("owner", 0) >= 1, roles


async def test_a_removed_sender_stores_nothing_after_the_removal(desk: Desk) -> None:
    """Of messages sent while they are taken out, those that are stored come before it."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)

    for _ in range(5):
        group = await _group(oksana, PETRO)
        await asyncio.gather(
            *(petro.send(group, f"{number}") for number in range(20)),
            oksana.request(ConversationRemove(conversation_id=group, employee_id=PETRO)),
            return_exceptions=True,
        )
        [late] = await desk.sql(
            """
            SELECT count(*) FROM realtime.messages AS m
              JOIN realtime.conversation_participants AS p USING (conversation_id)
             WHERE m.conversation_id = $1 AND p.employee_id = $2 AND m.sender_id = $2
               AND m.seq > p.left_seq
            """,
            group,
            PETRO,
        )
        assert late["count"] == 0
        [numbers] = await desk.sql(
            "SELECT count(*) AS count, max(seq) AS last FROM realtime.messages"
            " WHERE conversation_id = $1",
            group,
        )
        assert numbers["count"] == numbers["last"]


async def test_direct_conversations_keep_their_two_people(desk: Desk) -> None:
    """Every command that changes a group is refused for them."""
    oksana = await desk.client(OKSANA)
    direct = (await oksana.open(PETRO)).conversation.id

    for command in (
        ConversationAdd(conversation_id=direct, employee_ids=[IRYNA]),
        ConversationRemove(conversation_id=direct, employee_id=PETRO),
        ConversationLeave(conversation_id=direct),
        ConversationSetRole(conversation_id=direct, employee_id=PETRO, role="admin"),
        ConversationUpdate(conversation_id=direct, title="us"),
        ConversationClose(conversation_id=direct),
        ConversationReopen(conversation_id=direct),
    ):
        assert await _refused(oksana.request(command)) == "conversation.direct"


async def test_bad_membership_commands_change_nothing(desk: Desk) -> None:
    """Unknown people, too many, wrong types and other people's groups: each has its code."""
    oksana, stranger = await desk.client(OKSANA), await desk.client(MARIA)
    group = await _group(oksana, PETRO)
    before = await desk.sql("SELECT * FROM realtime.conversations WHERE id = $1", group)

    async def code(**said: Any) -> str:
        async with raw(desk.nodes[0].socket_url) as socket:
            await socket.hello(desk.token(OKSANA))
            return await socket.code_of({"id": 2, "conversation_id": group, **said})

    assert await code(type="conversation.add", employee_ids=[999_999]) == "employee.not_found"
    for people in ([], [0], ["4"], [True], [2**63], list(range(1, 102)), 4, None):
        assert await code(type="conversation.add", employee_ids=people) == "command.invalid"
    assert await code(type="conversation.remove", employee_id=MARIA) == "participant.not_found"
    assert await code(type="conversation.remove", employee_id=OKSANA) == "command.invalid"
    assert (
        await code(type="conversation.set_role", employee_id=MARIA, role="admin")
        == "participant.not_found"
    )
    assert (
        await code(type="conversation.set_role", employee_id=PETRO, role="king")
        == "command.invalid"
    )
    for fields in (
        {},
        {"title": ""},
        {"title": "x" * 201},
        {"title": "a\x00b"},
        {"avatar_url": "javascript:alert(1)"},
        {"avatar_url": "https://a b"},
        {"avatar_url": "https://" + "a" * 2_000},
        {"history": "none"},
        {"colour": "red"},
    ):
        assert await code(type="conversation.update", **fields) == "command.invalid", fields
    for conversation_id in (group, 999_999):
        for command in (
            ConversationAdd(conversation_id=conversation_id, employee_ids=[MARIA]),
            ConversationRemove(conversation_id=conversation_id, employee_id=PETRO),
            ConversationLeave(conversation_id=conversation_id),
            ConversationSetRole(conversation_id=conversation_id, employee_id=MARIA, role="owner"),
            ConversationUpdate(conversation_id=conversation_id, title="mine"),
            ConversationClose(conversation_id=conversation_id),
            ConversationReopen(conversation_id=conversation_id),
        ):
            assert await _refused(stranger.request(command)) == "conversation.not_found"
    assert before == await desk.sql("SELECT * FROM realtime.conversations WHERE id = $1", group)
