"""Reactions: told whole, bounded, each once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from gateway.protocol import (
    ConversationCreate,
    MessageReacted,
    Reaction,
)
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, refused


async def test_reactions_are_told_whole(desk: Desk) -> None:
    """Each change of them carries all of them; repeating one changes nothing."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    sent = await oksana.send(conversation.id, "lunch?")

    await petro.react(conversation.id, sent.seq, "👍")
    await petro.react(conversation.id, sent.seq, "👍")
    both = await oksana.react(conversation.id, sent.seq, "👍")
    await oksana.react(conversation.id, sent.seq, "👨‍👩‍👧‍👦")
    left = await petro.unreact(conversation.id, sent.seq, "👍")
    assert await petro.unreact(conversation.id, sent.seq, "👍") == left
    again = await petro.react(conversation.id, sent.seq, "👍")

    assert both == [Reaction(emoji="👍", count=2, employee_ids=[PETRO, OKSANA])]
    heard = [await petro.next(MessageReacted) for _ in range(5)]
    assert [event.change for event in heard] == list(range(sent.change + 1, sent.change + 6))
    assert [event.reactions for event in heard][1] == both
    assert heard[-2].reactions == left
    assert heard[-1].reactions == again
    assert again == [
        Reaction(emoji="👍", count=2, employee_ids=[OKSANA, PETRO]),
        Reaction(emoji="👨‍👩‍👧‍👦", count=1, employee_ids=[OKSANA]),
    ]
    (message,) = (await petro.history(conversation.id)).messages
    assert message == replace(sent, reactions=again)


async def test_a_message_takes_twenty_emojis_and_ten_of_one_person(desk: Desk) -> None:
    """Beyond that a reaction is refused; joining one that is there is not another one."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    iryna = await desk.client(IRYNA)
    room = await oksana.request(ConversationCreate(title="Room", employee_ids=[PETRO, IRYNA]))
    sent = await oksana.send(room.conversation.id, "x")
    place = room.conversation.id, sent.seq

    for number in range(10):
        await oksana.react(*place, f"o{number}")
        await petro.react(*place, f"p{number}")

    assert await refused(oksana.react(*place, "p1")) == "message.too_many_reactions"
    assert await refused(iryna.react(*place, "new")) == "message.too_many_reactions"
    assert len(await iryna.react(*place, "o1")) == 20
    await oksana.unreact(*place, "o0")
    assert len(await iryna.react(*place, "new")) == 20


async def test_what_is_no_emoji_is_refused(small_desk: Desk) -> None:
    """One to 32 characters without spaces and control characters, and nothing else."""
    oksana = await small_desk.client(OKSANA)
    conversation = (await oksana.open(PETRO)).conversation
    sent = await oksana.send(conversation.id, "x")
    bad: list[Any] = ["", " ", "a b", "\x00", "\x7f", "\n", "\u2028", "x" * 33, 1, None, ["👍"]]

    for emoji in bad:
        assert await refused(oksana.react(conversation.id, sent.seq, emoji)) == "command.invalid"
        assert await refused(oksana.unreact(conversation.id, sent.seq, emoji)) == "command.invalid"
    assert (await oksana.history(conversation.id)).messages == [sent]

    wales = "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"
    for emoji in (wales, "x" * 32, "❤️"):
        reactions = await oksana.react(conversation.id, sent.seq, emoji)
        assert reactions[-1].emoji == emoji


async def test_two_who_react_at_once_are_both_counted(desk: Desk) -> None:
    """The same emoji from two nodes at the same moment, and twice from one person."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    phone = await desk.client(OKSANA, node=1)
    conversation = (await oksana.open(PETRO)).conversation
    sent = await oksana.send(conversation.id, "x")

    await asyncio.gather(
        *(client.react(conversation.id, sent.seq, "👍") for client in (oksana, petro, phone))
    )

    (message,) = (await petro.history(conversation.id)).messages
    assert [sorted(one.employee_ids) for one in message.reactions] == [[OKSANA, PETRO]]
    (row,) = await desk.sql("SELECT last_change FROM realtime.conversations")
    assert row["last_change"] == sent.change + 2


async def test_one_emoji_is_one_reaction(desk: Desk) -> None:
    """From keyboards that write U+FE0F and from those that do not; over REST as well."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    room = (await oksana.open(PETRO)).conversation.id
    for bare, whole in (
        ("\u2764", "\u2764\ufe0f"),
        ("👍\ufe0f", "👍"),
        ("1\u20e3", "1\ufe0f\u20e3"),
    ):
        sent = await oksana.send(room, "so?")

        await oksana.react(room, sent.seq, bare)
        both = await petro.react(room, sent.seq, whole)
        await petro.unreact(room, sent.seq, bare)
        place = f"/v1/messenger/conversations/{room}/messages/{sent.seq}/reactions"
        over_http = (await desk.http(PETRO).post(place, json={"emoji": bare})).json()["reactions"]

        assert both == [Reaction(emoji=whole, count=2, employee_ids=[OKSANA, PETRO])]
        assert [(one["emoji"], one["count"]) for one in over_http] == [(whole, 2)]
        await petro.react(room, sent.seq, whole)
    for unseen in ("\u200b", "\u3164", "\ufe0f", "\u2800"):
        assert await refused(oksana.react(room, sent.seq, unseen)) == "command.invalid"


async def test_reactions_of_before_are_one_and_can_be_removed(desk: Desk) -> None:
    """Stored in two forms by two people, or by one: shown as one emoji, and gone when removed."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    room = (await oksana.open(PETRO)).conversation.id
    sent = await oksana.send(room, "so?")
    await oksana.react(room, sent.seq, "👀")
    await desk.sql(
        """
        INSERT INTO realtime.message_reactions (conversation_id, seq, employee_id, emoji, change)
        SELECT $1, $2, person, form, $3
          FROM unnest($4::bigint[], $5::text[]) AS old (person, form)
        """,
        room, sent.seq, sent.change, [OKSANA, OKSANA, PETRO], ["\u2764", "\u2764\ufe0f", "\u2764"],
    )  # fmt: skip

    (message,) = (await petro.history(room)).messages
    left = await oksana.unreact(room, sent.seq, "\u2764")

    assert {one.emoji: sorted(one.employee_ids) for one in message.reactions} == {
        "\u2764\ufe0f": [OKSANA, PETRO], "👀": [OKSANA],
    }  # fmt: skip
    assert {one.emoji: one.employee_ids for one in left} == {
        "\u2764\ufe0f": [PETRO],
        "👀": [OKSANA],
    }
    assert await petro.unreact(room, sent.seq, "\u2764\ufe0f") == [
        Reaction(emoji="👀", count=1, employee_ids=[OKSANA])
    ]
