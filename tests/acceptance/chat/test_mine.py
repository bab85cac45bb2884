"""What is only mine: archived, pinned, muted, marked unread, and how far things have come to me."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from gateway.client import Connection, RequestRefused
from gateway.protocol import (
    ConversationArchive,
    ConversationCreate,
    ConversationList,
    ConversationMineChanged,
    ConversationMute,
    ConversationNotify,
    ConversationPin,
    ConversationUnarchive,
    ConversationUnpin,
    ConversationUpdate,
    MessageCreated,
    Readers,
    ReceiptDelivered,
    ReceiptRead,
    ReceiptReadAll,
    ReceiptReaders,
    ReceiptUnread,
    ReceiptWasDelivered,
    UnreadChanged,
    UnreadGet,
)
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, refused
from tests.support.raw import raw


async def _ids(client: Connection, *, archived: bool = False) -> list[int]:
    page = await client.request(ConversationList(archived=archived))
    return [conversation.id for conversation in page.conversations]


async def _total(client: Connection, **wanted: int) -> UnreadChanged:
    """Wait until the client is told these totals."""
    while True:
        pushed: UnreadChanged = await client.next(UnreadChanged)
        if all(getattr(pushed.total, name) == value for name, value in wanted.items()):
            return pushed


async def test_an_archived_conversation_comes_back_with_the_next_message(desk: Desk) -> None:
    """Away from lists and the badge until someone writes; what the system says does not count."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    window = await desk.client(PETRO)
    group = (
        await oksana.request(ConversationCreate(title="Склад", employee_ids=[PETRO]))
    ).conversation.id
    await oksana.send(group, "one")
    await _total(petro, messages=1)

    done = await petro.request(ConversationArchive(conversation_id=group))
    heard = await window.next(ConversationMineChanged)
    assert (heard.conversation_id, heard.mine) == (group, done.mine)
    assert done.mine.archived
    pushed = await _total(petro, messages=0)
    assert [(item.unread, item.archived) for item in pushed.conversations] == [(1, True)]
    assert (await _ids(petro), await _ids(petro, archived=True)) == ([], [group])
    await oksana.request(ConversationUpdate(conversation_id=group, title="Склад 2"))
    assert (await _ids(petro), await _ids(petro, archived=True)) == ([], [group])
    async with raw(desk.nodes[0].socket_url) as fresh:
        welcome = (await fresh.hello(desk.token(PETRO)))["ok"]
        assert welcome["conversations"] == []
        assert welcome["unread"]["total"]["messages"] == 0

    await oksana.send(group, "two")
    await _total(petro, messages=2)
    assert (await _ids(petro), await _ids(petro, archived=True)) == ([group], [])
    await petro.request(ConversationArchive(conversation_id=group))
    await petro.request(ConversationUnarchive(conversation_id=group))
    assert await _ids(petro) == [group]


async def test_a_muted_conversation_counts_only_mentions_until_it_is_loud_again(
    desk: Desk,
) -> None:
    """The badge leaves it out, its own count stays, and the end of the mute is told by itself."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    direct = (await oksana.open(PETRO)).conversation.id
    await petro.request(
        ConversationMute(conversation_id=direct, until=datetime.now(UTC) + timedelta(days=9000))
    )

    await oksana.send(direct, "psst")
    await oksana.send(direct, f"<@{PETRO}>")
    pushed = await _total(petro, mentions=1)
    assert (pushed.total.messages, pushed.total.conversations) == (0, 0)
    assert pushed.conversations[-1].unread == 2
    assert (await petro.request(UnreadGet())).total == pushed.total

    soon = datetime.now(UTC) + timedelta(seconds=0.6)
    await petro.request(ConversationMute(conversation_id=direct, until=soon))
    await _total(petro, messages=2, conversations=1)
    assert datetime.now(UTC) >= soon
    muted = await petro.request(ConversationMute(conversation_id=direct, until=None))
    assert muted.mine.muted_until is None
    past = await petro.request(
        ConversationMute(conversation_id=direct, until=datetime.now(UTC) - timedelta(days=1))
    )
    assert past.mine.muted_until is None


async def test_twenty_can_be_pinned_however_many_devices_pin(desk: Desk) -> None:
    """Two devices that pin at once do not get past the bound; pinning twice keeps the place."""
    oksana, second = await desk.client(OKSANA), await desk.client(OKSANA, node=1)
    await desk.sql(
        """
        WITH made AS (
            INSERT INTO realtime.conversations (kind, title, last_change)
            SELECT 'group', 'g' || n, 1 FROM generate_series(1, 23) AS n RETURNING id
        )
        INSERT INTO realtime.conversation_participants (conversation_id, employee_id, change)
        SELECT id, $1, 1 FROM made
        """,
        OKSANA,
    )
    groups = await _ids(oksana)
    first = await oksana.request(ConversationPin(conversation_id=groups[0]))

    done = await asyncio.gather(
        *(
            (oksana if n % 2 else second).request(ConversationPin(conversation_id=group))
            for n, group in enumerate(groups[1:])
        ),
        return_exceptions=True,
    )

    refused = [one.code for one in done if isinstance(one, RequestRefused)]
    assert refused == ["conversation.too_many_pinned"] * 3
    again = await second.request(ConversationPin(conversation_id=groups[0]))
    assert again.mine.pinned_at == first.mine.pinned_at
    await oksana.request(ConversationUnpin(conversation_id=groups[0]))
    page = await oksana.request(ConversationList())
    assert sum(c.mine.pinned_at is not None for c in page.conversations) == 19
    assert {c.id: c.mine.version for c in page.conversations}[groups[0]] == 3


async def test_marked_unread_stays_so_while_a_window_is_merely_open(desk: Desk) -> None:
    """Reading what was there does not undo it; reading something newer, or saying so, does."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    window = await desk.client(PETRO)
    direct = (await oksana.open(PETRO)).conversation.id
    for number in range(1, 6):
        await oksana.send(direct, f"{number}")
    await petro.read(direct, 5)
    await _total(petro, messages=0)

    marked = await petro.request(ReceiptUnread(conversation_id=direct, seq=3))
    assert marked.last_read_seq == 2
    assert (await window.next(ConversationMineChanged)).mine.manual_unread
    await _total(petro, messages=3)
    assert (await petro.request(ReceiptUnread(conversation_id=direct, seq=3))) == marked
    for seq in (2, 5, 2**62):
        assert (await window.read(direct, seq)).last_read_seq == 2
    await oksana.send(direct, "6")
    assert (await window.read(direct, 5)).last_read_seq == 2
    assert (await window.read(direct, 6)).last_read_seq == 6
    assert not (await petro.request(ConversationList())).conversations[0].mine.manual_unread

    await petro.request(ReceiptUnread(conversation_id=direct, seq=6))
    read = await petro.request(ReceiptRead(conversation_id=direct, seq=6, explicit=True))
    assert read.last_read_seq == 6
    while (await window.next(ConversationMineChanged)).mine.manual_unread:
        pass
    await petro.request(ReceiptUnread(conversation_id=direct, seq=1))
    assert (await window.next(ConversationMineChanged)).mine.manual_unread
    await petro.send(direct, "my own")
    assert not (await window.next(ConversationMineChanged)).mine.manual_unread
    listed = (await petro.request(ConversationList())).conversations[0]
    assert (listed.mine.manual_unread, listed.unread.unread) == (False, 0)


async def test_everything_is_read_at_once_on_two_devices(desk: Desk) -> None:
    """Muted, archived and marked ones too; asked twice at the same time it is done once."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    window = await desk.client(PETRO)
    groups = [
        (
            await oksana.request(ConversationCreate(title=f"{n}", employee_ids=[PETRO]))
        ).conversation.id
        for n in range(5)
    ]
    for group in groups:
        await oksana.send(group, "hi")
    await petro.read(groups[0], 1)
    await petro.request(ReceiptUnread(conversation_id=groups[0], seq=1))
    await petro.request(ConversationArchive(conversation_id=groups[1]))
    await _total(petro, conversations=4)

    done = await asyncio.gather(petro.request(ReceiptReadAll()), window.request(ReceiptReadAll()))

    assert sorted(one.conversations for one in done) == [0, 5]
    assert not any(one.more for one in done)
    for device in (petro, window):
        await _total(device, messages=0, conversations=0)
    assert (await petro.request(UnreadGet())).conversations == []
    assert (await petro.request(ReceiptReadAll())).conversations == 0


async def test_who_wrote_it_hears_that_it_was_delivered_and_read(desk: Desk) -> None:
    """Delivery only moves forward and is told to the writers alone; readers are listed."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO, node=1)
    iryna = await desk.client(IRYNA, node=1)
    group = (
        await oksana.request(ConversationCreate(title="Троє", employee_ids=[PETRO, IRYNA]))
    ).conversation.id
    await oksana.send(group, "one")
    await oksana.send(group, "two")

    moved = await petro.request(ReceiptDelivered(conversation_id=group, seq=2**40))
    assert moved.last_delivered_seq == 2
    heard = await oksana.next(ReceiptWasDelivered)
    assert (heard.conversation_id, heard.employee_id, heard.seq) == (group, PETRO, 2)
    back = await petro.request(ReceiptDelivered(conversation_id=group, seq=1))
    assert back.last_delivered_seq == 2
    await iryna.read(group, 1)
    first = await oksana.request(ReceiptReaders(conversation_id=group, seq=1))
    assert first == Readers(
        conversation_id=group,
        seq=1,
        read_by=[IRYNA],
        read_count=1,
        delivered_count=2,
        participant_count=2,
    )
    await oksana.send(group, "the end")
    while not isinstance(event := await iryna.next(), MessageCreated) or (
        event.message.text != "the end"
    ):
        assert not isinstance(event, ReceiptWasDelivered)


async def test_bad_personal_commands_change_nothing(desk: Desk) -> None:
    """Wrong fields, messages that are not there, and other people's conversations."""
    oksana, stranger = await desk.client(OKSANA), await desk.client(IRYNA)
    direct = (await oksana.open(PETRO)).conversation.id
    await oksana.send(direct, "one")
    before = await desk.sql("SELECT * FROM realtime.conversation_participants ORDER BY 1, 2")

    async with raw(desk.nodes[0].socket_url) as socket:
        await socket.hello(desk.token(OKSANA))
        for said in (
            {"type": "conversation.mute", "until": "tomorrow"},
            {"type": "conversation.mute", "until": "2030-01-01T00:00:00"},
            {"type": "conversation.notify", "level": "some"},
            {"type": "conversation.archive", "on": True},
            {"type": "receipt.unread", "seq": 0},
            {"type": "receipt.unread", "seq": "1"},
            {"type": "receipt.unread", "seq": 2**63},
            {"type": "receipt.read", "seq": 1, "explicit": 1},
            {"type": "receipt.delivered", "seq": -1},
            {"type": "receipt.readers", "seq": 0},
        ):
            code = await socket.code_of({"id": 2, "conversation_id": direct, **said})
            assert code == "command.invalid", said
        assert await socket.code_of({"id": 2, "type": "receipt.read_all", "x": 1}) == (
            "command.invalid"
        )
    for seq in (2, 2**62):
        for command in (
            ReceiptUnread(conversation_id=direct, seq=seq),
            ReceiptReaders(conversation_id=direct, seq=seq),
        ):
            assert await refused(oksana.request(command)) == "message.not_found"
    for conversation_id in (direct, 999_999):
        for attempt in (
            ConversationArchive(conversation_id=conversation_id),
            ConversationUnarchive(conversation_id=conversation_id),
            ConversationPin(conversation_id=conversation_id),
            ConversationUnpin(conversation_id=conversation_id),
            ConversationMute(conversation_id=conversation_id, until=None),
            ConversationNotify(conversation_id=conversation_id, level="none"),
            ReceiptUnread(conversation_id=conversation_id, seq=1),
            ReceiptDelivered(conversation_id=conversation_id, seq=1),
            ReceiptReaders(conversation_id=conversation_id, seq=1),
        ):
            assert await refused(stranger.request(attempt)) == "conversation.not_found"
    assert before == await desk.sql(
        "SELECT * FROM realtime.conversation_participants ORDER BY 1, 2"
    )
    chosen = await oksana.request(ConversationNotify(conversation_id=direct, level="mentions"))
    assert chosen.mine.notify == "mentions"
