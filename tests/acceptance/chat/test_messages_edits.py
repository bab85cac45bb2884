"""Messages after they were sent: edited, deleted, counted, and told to everyone."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from gateway.client import Connection
from gateway.protocol import (
    Conversation,
    ConversationCreate,
    ConversationList,
    MessageCreated,
    MessageDeleted,
    MessageSend,
    MessageUpdated,
    UnreadChanged,
    UnreadGet,
)
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, employee, refused


async def _group(by: Connection, *others: int) -> Conversation:
    made = await by.request(ConversationCreate(title="Room", employee_ids=list(others)))
    conversation: Conversation = made.conversation
    return conversation


async def _counts(client: Connection, unread: int, mentions: int) -> None:
    """Wait until this is what was pushed."""
    while True:
        pushed = await client.next(UnreadChanged)
        if (pushed.total.messages, pushed.total.mentions) == (unread, mentions):
            return


async def test_an_edit_is_heard_on_the_other_node(desk: Desk) -> None:
    """The others hear the whole message with its new text, in its old place."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    sent = await oksana.send(conversation.id, "helo")

    edited = await oksana.edit(conversation.id, sent.seq, "hello")

    heard = await petro.next(MessageUpdated)
    assert heard.message == edited
    assert (edited.seq, edited.text, edited.created_at) == (sent.seq, "hello", sent.created_at)
    assert edited.edited_at is not None
    assert heard.change == edited.change == sent.change + 1
    assert (await petro.history(conversation.id)).messages == [edited]


async def test_the_same_text_again_changes_nothing(desk: Desk) -> None:
    """A repeated edit is answered with the message and takes no change."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    sent = await oksana.send(conversation.id, "hello")

    assert await oksana.edit(conversation.id, sent.seq, "hello") == sent
    edited = await oksana.edit(conversation.id, sent.seq, "other")
    assert await oksana.edit(conversation.id, sent.seq, "other") == edited
    last = await oksana.send(conversation.id, "last")

    assert last.change == sent.change + 2
    assert (await petro.next(MessageUpdated)).change == sent.change + 1


async def test_a_deleted_message_leaves_its_place(desk: Desk) -> None:
    """Nothing but a tombstone is left of it: for the others, in history, and in the database."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    await oksana.send(conversation.id, "first")
    sent = await oksana.send(conversation.id, f"a secret for <@{PETRO}>")
    await petro.react(conversation.id, sent.seq, "👍")
    await oksana.send(conversation.id, "third")

    deleted = await oksana.delete(conversation.id, sent.seq)

    assert (deleted.text, deleted.mention_ids, deleted.reactions) == ("", [], [])
    assert deleted.deleted_at is not None
    assert (await petro.next(MessageDeleted)).message == deleted
    page = await petro.history(conversation.id)
    assert [message.text for message in page.messages] == ["first", "", "third"]
    assert page.messages[1] == deleted
    rows = await desk.sql("SELECT body, state, deleted_by FROM realtime.messages WHERE seq = 2")
    assert [tuple(row) for row in rows] == [("", 2, OKSANA)]


async def test_deleting_twice_answers_the_same(desk: Desk) -> None:
    """Two at once, on two nodes: one change, and both get the tombstone."""
    oksana, phone = await desk.client(OKSANA), await desk.client(OKSANA, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    sent = await oksana.send(conversation.id, "oops")

    first, second = await asyncio.gather(
        oksana.delete(conversation.id, sent.seq), phone.delete(conversation.id, sent.seq)
    )

    assert first == second
    assert (await oksana.send(conversation.id, "next")).change == sent.change + 2


async def test_the_list_falls_back_to_the_newest_message_that_is_left(desk: Desk) -> None:
    """A deleted message is not what a list shows, in the list and in the welcome alike."""
    oksana = await desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    kept = await oksana.send(conversation.id, "kept")
    await oksana.delete(conversation.id, (await oksana.send(conversation.id, "gone")).seq)

    listed = (await oksana.request(ConversationList())).conversations[0]
    petro = await desk.client(PETRO, node=1)

    assert listed.last_message == kept
    assert petro.welcome is not None
    assert petro.welcome.conversations[0].last_message == kept
    assert listed.last_seq == 2


async def test_a_deleted_message_is_not_unread(desk: Desk) -> None:
    """The count that was pushed for it, and its mention, are taken back."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    await oksana.send(conversation.id, "one")
    second = await oksana.send(conversation.id, f"two, <@{PETRO}>")
    await _counts(petro, 2, 1)

    await oksana.delete(conversation.id, second.seq)

    await _counts(petro, 1, 0)
    assert (await petro.request(UnreadGet())).total.messages == 1


async def test_mentions_are_counted_and_follow_edits(desk: Desk) -> None:
    """Who is named has a mention; an edit may take it back, or name somebody else."""
    oksana = await desk.client(OKSANA)
    petro, iryna = await desk.client(PETRO, node=1), await desk.client(IRYNA)
    room = await _group(oksana, PETRO, IRYNA)

    sent = await oksana.send(room.id, f"<@{PETRO}> look, <@{PETRO}>; not <@9>, <@x> or <@0>")
    assert (sent.mention_ids, sent.mention_all) == ([PETRO], False)
    await _counts(petro, 1, 1)
    await _counts(iryna, 1, 0)

    edited = await oksana.edit(room.id, sent.seq, f"<@{IRYNA}> look")
    assert edited.mention_ids == [IRYNA]
    await _counts(petro, 1, 0)
    await _counts(iryna, 1, 1)

    everyone = await oksana.edit(room.id, sent.seq, "<@all> look")
    assert (everyone.mention_ids, everyone.mention_all) == ([], True)
    await _counts(petro, 1, 1)
    assert (await iryna.request(UnreadGet())).total.mentions == 1


async def test_naming_everybody_in_a_large_group_is_not_for_everybody(desk: Desk) -> None:
    """Above 20 people a member's <@all> is plain text; an owner's, and who may, is not."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    room = await _group(oksana, *map(employee, range(2, 20)))
    assert (await petro.send(room.id, "<@all> small enough")).mention_all
    await desk.sql(
        """
        INSERT INTO realtime.conversation_participants (conversation_id, employee_id, change)
        SELECT $1, id, 1 FROM generate_series(20, 21) AS id
        """,
        room.id,
    )

    assert not (await petro.send(room.id, "<@all>")).mention_all
    assert (await oksana.send(room.id, "<@all>")).mention_all
    await desk.sql(
        "UPDATE demo_crm.roles SET permissions = permissions || '{messages.mention_all}'::text[]"
    )
    manager = await desk.client(PETRO, node=1)
    assert (await manager.send(room.id, "<@all>")).mention_all


async def test_ten_thousand_mentions_cost_little_and_count_a_hundred(small_desk: Desk) -> None:
    """A text full of tokens is stored as it is; the first hundred who are there are mentioned."""
    oksana = await small_desk.client(OKSANA)
    room = await _group(oksana, PETRO)
    await small_desk.sql(
        """
        INSERT INTO realtime.conversation_participants (conversation_id, employee_id, change)
        SELECT $1, id, 1 FROM generate_series(1000, 1998) AS id
        """,
        room.id,
    )

    same = await oksana.send(room.id, f"<@{PETRO}>" * (2_000 if PETRO < 10 else 400))
    many = await oksana.send(room.id, "".join(f"<@{id_}>" for id_ in range(1000, 1998)) + "<@all>")
    huge = await oksana.send(room.id, f"<@{2**63}> <@{10**18}> <@99999999999999999999>" + "<@" * 9)

    assert same.mention_ids == [PETRO]
    assert many.mention_ids == list(range(1000, 1100))
    assert many.mention_all
    assert (huge.mention_ids, huge.mention_all) == ([], False)


async def test_who_may_edit_and_delete(desk: Desk) -> None:
    """One's own; an owner deletes anyone's; who is not in it learns nothing at all."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    taras = await desk.client(employee(4))
    room = await _group(oksana, PETRO, IRYNA)
    iryna = await desk.client(IRYNA)
    sent = await petro.send(room.id, "mine")

    assert await refused(iryna.edit(room.id, sent.seq, "theirs")) == "permission.denied"
    assert await refused(oksana.edit(room.id, sent.seq, "theirs")) == "permission.denied"
    assert await refused(iryna.delete(room.id, sent.seq)) == "permission.denied"
    for room_id in (room.id, 999_999):
        for attempt in (
            taras.edit(room_id, sent.seq, "theirs"),
            taras.delete(room_id, sent.seq),
            taras.react(room_id, sent.seq, "👍"),
            taras.unreact(room_id, sent.seq, "👍"),
            taras.thread(room_id, sent.seq),
            taras.changes(room_id, 0),
            taras.history(room_id, around=1),
        ):
            assert await refused(attempt) == "conversation.not_found"
    assert (await petro.history(room.id)).messages == [sent]

    assert (await oksana.delete(room.id, sent.seq)).deleted_at is not None
    assert await refused(petro.edit(room.id, sent.seq, "again")) == "message.not_found"


async def test_the_permission_deletes_anyones(desk: Desk) -> None:
    """Who has messages.delete_any may, where they are a participant."""
    await desk.sql(
        "UPDATE demo_crm.roles SET permissions = permissions || '{messages.delete_any}'::text[]"
    )
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    sent = await oksana.send(conversation.id, "rude")

    assert (await petro.delete(conversation.id, sent.seq)).deleted_at is not None
    iryna = await desk.client(IRYNA)
    assert await refused(iryna.delete(conversation.id, sent.seq)) == "conversation.not_found"


async def test_a_closed_conversation_is_not_written_into(small_desk: Desk) -> None:
    """Send, edit and react are refused with conversation.closed; deleting is still allowed."""
    oksana = await small_desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    key = uuid.uuid4()
    sent = await oksana.send(conversation.id, "before", client_key=key)
    await small_desk.sql("UPDATE realtime.conversations SET closed_at = now()")

    for attempt in (
        oksana.send(conversation.id, "after"),
        oksana.edit(conversation.id, sent.seq, "after"),
        oksana.react(conversation.id, sent.seq, "👍"),
    ):
        assert await refused(attempt) == "conversation.closed"
    assert await oksana.send(conversation.id, "before", client_key=key) == sent
    assert (await oksana.history(conversation.id)).messages == [sent]
    assert (await oksana.delete(conversation.id, sent.seq)).deleted_at is not None


async def test_a_retry_of_a_message_that_was_edited_gets_it_as_it_is(small_desk: Desk) -> None:
    """The key of an edited or deleted message is answered with what became of it."""
    oksana = await small_desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    key = uuid.uuid4()
    await oksana.send(conversation.id, "helo", client_key=key)

    edited = await oksana.edit(conversation.id, 1, "hello")
    assert await oksana.send(conversation.id, "helo", client_key=key) == edited
    deleted = await oksana.delete(conversation.id, 1)
    assert await oksana.send(conversation.id, "helo", client_key=key) == deleted


async def test_texts_of_every_kind_are_kept_or_refused(desk: Desk) -> None:
    """8,000 characters of what shows are; one more, none, blanks and U+0000 are refused."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    await oksana.send(conversation.id, "x")
    kept = [
        "я" * 8_000,
        "😀" * 8_000,
        "\u202e\u05e9\u05dc\u200b\u200d \u2066x\u2069",
        "\r\nx",
        "<b>&amp;",
    ]
    bad = ["я" * 8_001, "", "a\x00b", "\r\n", "\u3164"]

    for text in kept:
        assert (await oksana.edit(conversation.id, 1, text)).text == text
        assert (await petro.next(MessageUpdated)).message.text == text
    for text in bad:
        assert await refused(oksana.edit(conversation.id, 1, text)) == "command.invalid"
        assert (
            await refused(
                oksana.request(
                    MessageSend(conversation_id=conversation.id, client_key=uuid.uuid4(), text=text)
                )
            )
            == "command.invalid"
        )

    assert [message.text for message in (await oksana.history(conversation.id)).messages] == [
        kept[-1]
    ]


async def test_messages_that_are_not_there(small_desk: Desk) -> None:
    """Edits, deletions, reactions and answers of no message say message.not_found."""
    oksana = await small_desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    gone = await oksana.send(conversation.id, "gone")
    await oksana.delete(conversation.id, gone.seq)

    for attempt in (
        oksana.edit(conversation.id, 9, "x"),
        oksana.edit(conversation.id, gone.seq, "x"),
        oksana.delete(conversation.id, 2**63 - 1),
        oksana.react(conversation.id, gone.seq, "👍"),
        oksana.unreact(conversation.id, 9, "👍"),
        oksana.thread(conversation.id, 9),
        oksana.send(conversation.id, "x", reply_to_seq=9),
        oksana.send(conversation.id, "x", reply_to_seq=gone.seq),
    ):
        assert await refused(attempt) == "message.not_found"
    for seq in (0, -1, 2**63, True, "1"):
        bad: Any = seq
        assert await refused(oksana.delete(conversation.id, bad)) == "command.invalid"

    sent = await oksana.send(conversation.id, "only this one")
    assert (sent.seq, sent.change) == (2, gone.change + 2)


async def test_answers_form_a_thread(desk: Desk) -> None:
    """A message's answers are paged both ways and counted, without deleted ones."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    root = await oksana.send(conversation.id, "who comes?")
    answers = [
        await petro.send(conversation.id, f"{number}", reply_to_seq=root.seq) for number in range(5)
    ]
    await petro.send(conversation.id, "something else")
    await petro.delete(conversation.id, answers[2].seq)
    left = [answer.seq for answer in answers if answer != answers[2]]

    newest = await oksana.thread(conversation.id, root.seq, limit=2)
    older = await oksana.thread(conversation.id, root.seq, before=newest.messages[0].seq, limit=2)
    after = await oksana.thread(conversation.id, root.seq, after=left[0], limit=2)

    assert (await oksana.next(MessageCreated)).message.reply_to_seq is None
    assert (await oksana.next(MessageCreated)).message.reply_to_seq == root.seq
    assert newest.root.reply_count == 4
    assert [message.seq for message in newest.messages] == left[2:]
    assert (newest.has_before, newest.has_after) == (True, False)
    assert [message.seq for message in older.messages] == left[:2]
    assert (older.has_before, older.has_after) == (False, True)
    assert [message.seq for message in after.messages] == left[1:3]
    assert (after.has_before, after.has_after) == (True, True)
    start = await oksana.thread(conversation.id, root.seq, after=0, limit=2)
    past = await oksana.thread(conversation.id, root.seq, before=2**63 - 1, limit=2)
    none = await oksana.thread(conversation.id, root.seq, after=2**63 - 1)
    assert (start.has_before, start.has_after) == (False, True)
    assert (past.has_before, past.has_after) == (True, False)
    assert (none.messages, none.has_before, none.has_after) == ([], True, False)


async def test_a_jump_lands_in_the_middle(small_desk: Desk) -> None:
    """Around a seq there are as many before as after, and both ends say whether more follow."""
    oksana = await small_desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    for number in range(1, 12):
        await oksana.send(conversation.id, f"{number}")

    middle = await oksana.history(conversation.id, around=6, limit=5)
    start = await oksana.history(conversation.id, around=1, limit=4)
    end = await oksana.history(conversation.id, around=2**63 - 1, limit=4)

    assert [message.seq for message in middle.messages] == [4, 5, 6, 7, 8]
    assert (middle.has_before, middle.has_after) == (True, True)
    assert [message.seq for message in start.messages] == [1, 2, 3]
    assert (start.has_before, start.has_after) == (False, True)
    assert [message.seq for message in end.messages] == [10, 11]
    assert (end.has_before, end.has_after) == (True, False)
    both = oksana.history(conversation.id, around=6, before=3)
    assert await refused(both) == "command.invalid"
