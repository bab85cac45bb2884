"""Two people chat, on two nodes, over real sockets."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from gateway.client import RequestRefused
from gateway.protocol import (
    ConversationCreate,
    ConversationCreated,
    ConversationList,
    MessageCreated,
    MessageDelete,
    ReceiptWasRead,
    TypingStarted,
    UnreadChanged,
    UnreadGet,
)
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, employee, nothing_within, refused


async def test_a_message_crosses_nodes(desk: Desk) -> None:
    """What one person sends on one node, the other hears on the other node."""
    oksana = await desk.client(OKSANA, node=0)
    petro = await desk.client(PETRO, node=1)

    conversation = (await oksana.open(PETRO)).conversation
    sent = await oksana.send(conversation.id, "Привіт, Петре! 👋")

    heard = await petro.next(MessageCreated)
    assert heard.message == sent
    assert sent.seq == 1
    assert (await oksana.next(MessageCreated)).message == sent


async def test_opening_a_direct_conversation_twice_finds_one(desk: Desk) -> None:
    """Two people who open it at once get the same conversation, made once."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)

    opened = await asyncio.gather(
        *(oksana.open(PETRO) for _ in range(5)), *(petro.open(OKSANA) for _ in range(5))
    )

    assert len({item.conversation.id for item in opened}) == 1
    assert sum(item.created for item in opened) == 1


async def test_numbers_have_no_gaps(desk: Desk) -> None:
    """Fifty messages sent twice each, at once, on two nodes, get 1 to 50, each number once."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    keys = [uuid.uuid4() for _ in range(50)]

    sent = await asyncio.gather(
        *(
            (oksana if index % 2 else petro).send(
                conversation.id, f"message {index}", client_key=key
            )
            for index, key in enumerate(keys)
            for _retry in range(2)
        )
    )

    assert sorted({message.seq for message in sent}) == list(range(1, 51))
    heard = [(await petro.next(MessageCreated)).message.seq for _ in range(50)]
    assert heard == list(range(1, 51))


async def test_a_retry_is_stored_and_announced_once(desk: Desk) -> None:
    """The same client_key again gets the same reply, and nobody hears it twice."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    key = uuid.uuid4()

    first = await oksana.send(conversation.id, "once", client_key=key)
    again = await oksana.send(conversation.id, "once", client_key=key)

    assert again == first
    assert (await petro.next(MessageCreated)).message == first
    await oksana.send(conversation.id, "another")
    assert (await petro.next(MessageCreated)).message.text == "another"


async def test_a_key_is_not_taken_for_another_text(small_desk: Desk) -> None:
    """A client_key with other words is a mistake of the client's, and is said so."""
    oksana = await small_desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    key = uuid.uuid4()
    await oksana.send(conversation.id, "one", client_key=key)

    with pytest.raises(RequestRefused) as refused:
        await oksana.send(conversation.id, "other", client_key=key)

    assert refused.value.code == "message.client_key_reused"


async def test_unread_read_marks_and_typing_cross_nodes(desk: Desk) -> None:
    """Counts are pushed, reading clears them, and the sender sees how far it was read."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    await petro.next(ConversationCreated)

    await oksana.typing(conversation.id)
    typing = await petro.next(TypingStarted)
    assert (typing.conversation_id, typing.employee_id) == (conversation.id, OKSANA)

    await oksana.send(conversation.id, "one")
    await oksana.send(conversation.id, "two")
    while True:
        pushed = await petro.next(UnreadChanged)
        if pushed.total.messages == 2:
            break
    assert [item.unread for item in pushed.conversations] == [2]

    await petro.read(conversation.id, 2)
    receipt = await oksana.next(ReceiptWasRead)
    assert (receipt.employee_id, receipt.seq) == (PETRO, 2)
    while True:
        pushed = await petro.next(UnreadChanged)
        if pushed.total.messages == 0:
            break
    assert (await petro.request(UnreadGet())).conversations == []


async def test_typing_is_not_told_to_the_typists_other_devices(desk: Desk) -> None:
    """My second window does not say that I am writing."""
    first, second = await desk.client(OKSANA), await desk.client(OKSANA, node=1)
    conversation = (await first.open(PETRO)).conversation
    await second.next(ConversationCreated)

    await first.typing(conversation.id)
    await first.send(conversation.id, "done")

    while not isinstance(event := await second.next(), MessageCreated):
        assert not isinstance(event, TypingStarted)


async def test_a_group_reaches_all_its_members_at_once(desk: Desk) -> None:
    """Members hear of a new group and of its first message without asking for anything."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    iryna = await desk.client(IRYNA, node=1)

    made = await oksana.request(
        ConversationCreate(title="Обід", employee_ids=[PETRO, IRYNA, PETRO])
    )
    await oksana.send(made.conversation.id, "Хто йде?")

    for member in (petro, iryna):
        created = await member.next(ConversationCreated)
        assert created.title == "Обід"
        assert created.participant_count == 3
        assert (await member.next(MessageCreated)).message.text == "Хто йде?"


async def test_lists_are_paged_newest_first(small_desk: Desk) -> None:
    """A cursor goes on where the page before ended, without repeating or skipping any."""
    oksana = await small_desk.client(OKSANA)
    made = [(await oksana.open(employee(n))).conversation.id for n in range(2, 9)]
    await oksana.send(made[0], "newest")

    first = await oksana.request(ConversationList(limit=4))
    rest = await oksana.request(ConversationList(limit=4, cursor=first.next))

    listed = [item.id for item in (*first.conversations, *rest.conversations)]
    assert listed == [made[0], *reversed(made[1:])]
    assert rest.next is None
    assert first.conversations[0].last_message.text == "newest"


async def test_history_goes_both_ways(small_desk: Desk) -> None:
    """Pages before and after a seq meet without a gap."""
    oksana = await small_desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    for number in range(1, 11):
        await oksana.send(conversation.id, f"{number}")

    newest = await oksana.history(conversation.id, limit=4)
    older = await oksana.history(conversation.id, before=newest.messages[0].seq, limit=4)
    after = await oksana.history(conversation.id, after=6, limit=100)

    assert [m.seq for m in newest.messages] == [7, 8, 9, 10]
    assert (newest.has_before, newest.has_after) == (True, False)
    assert [m.seq for m in older.messages] == [3, 4, 5, 6]
    assert [m.seq for m in after.messages] == [7, 8, 9, 10]
    assert (after.has_before, after.has_after) == (True, False)


async def test_somebody_elses_conversation_does_not_exist(small_desk: Desk) -> None:
    """Not yours and not there are the same answer, for every command that names one."""
    oksana, iryna = await small_desk.client(OKSANA), await small_desk.client(IRYNA)
    conversation = (await oksana.open(PETRO)).conversation

    for conversation_id in (conversation.id, 999_999):
        for attempt in (
            iryna.send(conversation_id, "let me in"),
            iryna.history(conversation_id),
            iryna.read(conversation_id, 1),
            iryna.typing(conversation_id),
        ):
            with pytest.raises(RequestRefused) as refused:
                await attempt
            assert refused.value.code == "conversation.not_found"

    await oksana.send(conversation.id, "secret")
    await nothing_within(iryna.next(MessageCreated), 0.3)


async def test_a_deleted_message_takes_no_replies(small_desk: Desk) -> None:
    """Whoever still sees it is told that it is gone."""
    oksana, petro = await small_desk.client(OKSANA), await small_desk.client(PETRO)
    room = (await oksana.open(PETRO)).conversation.id
    sent = await oksana.send(room, "a")
    await oksana.request(MessageDelete(conversation_id=room, seq=sent.seq))

    assert await refused(petro.send(room, "b", reply_to_seq=sent.seq)) == "message.not_found"


async def test_conversations_that_were_active_at_one_moment_are_all_listed(
    small_desk: Desk,
) -> None:
    """A page may end among them: many conversations may be written to by one statement."""
    oksana = await small_desk.client(OKSANA)
    rooms = [(await oksana.open(employee(n))).conversation.id for n in range(2, 9)]
    await small_desk.sql("UPDATE realtime.conversations SET last_message_at = '2026-11-22T10:00Z'")

    seen, cursor = list[int](), None
    while True:
        page = await oksana.request(ConversationList(limit=2, cursor=cursor))
        seen += [one.id for one in page.conversations]
        if (cursor := page.next) is None:
            break

    assert seen == sorted(rooms, reverse=True)
