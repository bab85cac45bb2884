"""What one has begun to write is on all one's devices, and nobody else's."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from gateway.client import RequestRefused
from gateway.protocol import (
    DraftChanged,
    DraftClear,
    DraftIs,
    DraftList,
    DraftSet,
    MessageCreated,
    MessageDelete,
    MessageSchedule,
)
from tests.acceptance.chat.test_scheduled import make_due
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, employee, nothing_within


async def test_a_draft_is_on_all_my_devices(desk: Desk) -> None:
    """Set on one, heard on the other, and cleared everywhere; the other person hears nothing."""
    first, second = await desk.client(OKSANA), await desk.client(OKSANA, node=1)
    petro = await desk.client(PETRO, node=1)
    room = (await first.open(PETRO)).conversation.id
    message = await first.send(room, "питання")

    done = await first.request(DraftSet(conversation_id=room, text="Доб", reply_to_seq=1))
    again = await second.request(DraftSet(conversation_id=room, text="Добре"))
    cleared = await first.request(DraftClear(conversation_id=room))

    heard = [(await second.next(DraftChanged)).draft for _ in range(3)]
    heard.sort(key=lambda draft: draft.version)  # of two nodes: clients go by the version
    assert heard == [done.draft, again.draft, cleared.draft]
    assert [draft.text for draft in heard] == ["Доб", "Добре", ""]
    assert [draft.reply_to_seq for draft in heard] == [message.seq, None, None]
    assert heard[0].version < heard[1].version < heard[2].version
    assert heard[0].updated_at <= heard[1].updated_at <= heard[2].updated_at
    await nothing_within(petro.next(DraftChanged), 0.2)


async def test_clearing_nothing_changes_nothing(small_desk: Desk) -> None:
    """Twice is like once: the same answer, and nothing to hear."""
    oksana = await small_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id

    never = await oksana.request(DraftClear(conversation_id=room))
    await oksana.request(DraftSet(conversation_id=room, text="a"))
    once = await oksana.request(DraftClear(conversation_id=room))
    twice = await oksana.request(DraftClear(conversation_id=room))
    later = await oksana.request(DraftSet(conversation_id=room, text="b"))

    assert (never.draft.version, never.draft.text) == (0, "")
    assert once == twice
    heard = [(await oksana.next(DraftChanged)).draft.text for _ in range(3)]
    assert heard == ["a", "", "b"]
    assert later.draft.version == once.draft.version + 1


async def test_sending_empties_the_draft_on_all_my_devices(desk: Desk) -> None:
    """Told with the message; a repeated key and a message without a draft say nothing of one."""
    first, second = await desk.client(OKSANA), await desk.client(OKSANA, node=1)
    room = (await first.open(PETRO)).conversation.id
    other = (await first.open(IRYNA)).conversation.id
    elsewhere = await first.request(DraftSet(conversation_id=other, text="інше"))
    key = uuid.uuid4()

    await first.send(room, "перше")
    draft = (
        await first.request(DraftSet(conversation_id=room, text="Добре", reply_to_seq=1))
    ).draft
    await first.send(room, "Добре", client_key=key)
    heard = [(await second.next(DraftChanged)).draft for _ in range(3)]
    again = await second.request(DraftSet(conversation_id=room, text="ще"))
    await first.send(room, "Добре", client_key=key)

    heard.append((await second.next(DraftChanged)).draft)
    assert heard[:2] == [elsewhere.draft, draft]
    assert (heard[2].text, heard[2].reply_to_seq) == ("", None)
    assert heard[2].version == draft.version + 1
    assert heard[2].updated_at >= draft.updated_at
    assert heard[3] == again.draft
    found = (await second.request(DraftList())).drafts
    assert {one.text for one in found} == {"інше", "ще"}


async def test_a_scheduled_message_leaves_the_draft_alone(small_desk: Desk) -> None:
    """What was written long ago is not what is being written when it is sent."""
    oksana = await small_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    draft = (await oksana.request(DraftSet(conversation_id=room, text="нове"))).draft

    later = datetime.now(UTC) + timedelta(hours=1)
    await oksana.request(
        MessageSchedule(conversation_id=room, client_key=uuid.uuid4(), text="старе", send_at=later)
    )
    await make_due(small_desk)
    assert (await oksana.next(MessageCreated)).message.text == "старе"

    assert (await oksana.request(DraftList())).drafts == [draft]


async def test_two_devices_at_once_agree(desk: Desk) -> None:
    """Each writing has a version of its own; the highest is what is stored."""
    devices = [await desk.client(OKSANA), await desk.client(OKSANA, node=1)]
    room = (await devices[0].open(PETRO)).conversation.id

    done: list[DraftIs] = await asyncio.gather(
        *(
            devices[number % 2].request(DraftSet(conversation_id=room, text=f"text {number}"))
            for number in range(20)
        )
    )

    assert sorted(item.draft.version for item in done) == list(range(1, 21))
    (stored,) = (await devices[0].request(DraftList())).drafts
    assert stored == max((item.draft for item in done), key=lambda draft: draft.version)


async def test_drafts_are_listed_newest_first(small_desk: Desk) -> None:
    """In pages; without those cleared, and without conversations one has left."""
    oksana = await small_desk.client(OKSANA)
    rooms = [(await oksana.open(employee(n))).conversation.id for n in range(2, 9)]
    for room in rooms:
        await oksana.request(DraftSet(conversation_id=room, text=f"in {room}"))
    await oksana.request(DraftClear(conversation_id=rooms[3]))
    await small_desk.sql(
        "UPDATE realtime.conversation_participants SET left_seq = 0"
        " WHERE conversation_id = $1 AND employee_id = $2",
        rooms[5], OKSANA,
    )  # fmt: skip

    first = await oksana.request(DraftList(limit=3))
    rest = await oksana.request(DraftList(limit=3, cursor=first.next))

    listed = [draft.conversation_id for draft in (*first.drafts, *rest.drafts)]
    assert listed == [rooms[index] for index in (6, 4, 2, 1, 0)]
    assert rest.next is None


async def test_drafts_are_only_for_ones_own_conversations(small_desk: Desk) -> None:
    """Other people's conversations do not exist, and only messages that are there are answered."""
    oksana, iryna = await small_desk.client(OKSANA), await small_desk.client(IRYNA)
    room = (await oksana.open(PETRO)).conversation.id
    gone = await oksana.send(room, "gone")
    await oksana.request(MessageDelete(conversation_id=room, seq=gone.seq))

    for conversation_id in (room, 999_999):
        for command in (
            DraftSet(conversation_id=conversation_id, text="a"),
            DraftSet(conversation_id=conversation_id, text="a", reply_to_seq=1),
            DraftClear(conversation_id=conversation_id),
        ):
            with pytest.raises(RequestRefused) as refused:
                await iryna.request(command)
            assert refused.value.code == "conversation.not_found"
    for seq in (gone.seq, 99):
        with pytest.raises(RequestRefused) as refused:
            await oksana.request(DraftSet(conversation_id=room, text="a", reply_to_seq=seq))
        assert refused.value.code == "message.not_found"
    assert await small_desk.sql("SELECT * FROM realtime.drafts") == []


async def test_drafts_over_http(small_desk: Desk) -> None:
    """PUT, GET and DELETE; what is not a text is refused and changes nothing."""
    oksana = await small_desk.client(OKSANA)
    room = (await oksana.open(PETRO)).conversation.id
    http, path = small_desk.http(OKSANA), f"/v1/messenger/conversations/{room}/draft"

    put = await http.put(path, json={"text": "Доб"})
    for body in (
        {"text": ""}, {"text": "x" * 8_001}, {"text": "\x00"}, {"text": 5}, {},
        {"text": "a", "more": 1}, {"text": "a", "reply_to_seq": 0},
    ):  # fmt: skip
        refused = await http.put(path, json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "command.invalid")

    listed = (await http.get("/v1/messenger/drafts")).json()
    assert listed == {"drafts": [put.json()["draft"]], "next": None}
    assert (await http.get("/v1/messenger/drafts", params={"limit": 51})).status_code == 422
    assert (await oksana.next(DraftChanged)).draft.text == "Доб"
    assert (await http.delete(path)).json()["draft"]["text"] == ""
    assert (await http.get("/v1/messenger/drafts")).json()["drafts"] == []
    assert (await small_desk.http(IRYNA).put(path, json={"text": "a"})).status_code == 404
