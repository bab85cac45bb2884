"""`message.send` on a socket and `realtime.send_message` in SQL have the same effects.

Each case is prepared alike in two conversations. One is written to by socket, the other by the
function; then every row of both, and everything that open sockets receive, is compared.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from gateway.client import Connection, RequestRefused
from gateway.protocol import (
    ConversationArchive,
    ConversationCreate,
    DraftClear,
    DraftSet,
    MessageDelete,
    MessageEdit,
    MessageSend,
    ReceiptUnread,
)
from tests.support.desk import OKSANA, PETRO, Desk
from tests.support.parity import Room, nothing_on_its_way, received, rows_of

KEY = uuid.UUID("6f1c6f1c-6f1c-4f1c-8f1c-6f1c6f1c6f1c")
EARLIER = uuid.UUID("17171717-1717-4717-8717-171717171717")
SWEEP_S = 0.1


@dataclass(frozen=True)
class Send:
    """What is sent in both ways."""

    text: str = "The deal is won."
    reply_to_seq: int | None = None


@pytest.fixture
async def desk(empty_desk: Desk) -> Desk:
    """Give a desk with two nodes that often look for what functions did."""
    await empty_desk.start_node(sweep_s=SWEEP_S)
    await empty_desk.start_node(sweep_s=SWEEP_S)
    return empty_desk


async def nothing(_room: Room) -> None:
    """Prepare nothing beyond two messages."""


async def draft(room: Room) -> None:
    """Have the sender begin a text that answers a message."""
    await room.oksana.request(DraftSet(conversation_id=room.id, text="The de", reply_to_seq=2))


async def emptied_draft(room: Room) -> None:
    """Have the sender begin a text and delete it again."""
    await room.oksana.request(DraftSet(conversation_id=room.id, text="The de"))
    await room.oksana.request(DraftClear(conversation_id=room.id))


async def draft_of_another(room: Room) -> None:
    """Have somebody else begin a text."""
    await room.petro.request(DraftSet(conversation_id=room.id, text="What ab"))


async def marked(room: Room) -> None:
    """Have the sender mark the conversation unread by hand."""
    await room.oksana.request(ReceiptUnread(conversation_id=room.id, seq=2))


async def marked_by_another(room: Room) -> None:
    """Have the other participant mark it unread by hand."""
    await room.petro.request(ReceiptUnread(conversation_id=room.id, seq=1))


async def marked_with_draft(room: Room) -> None:
    """Have the sender mark it unread, and begin a text."""
    await marked(room)
    await draft(room)


async def marked_and_read(room: Room) -> None:
    """Have the sender mark it unread, and read it again."""
    await marked(room)
    await room.oksana.read(room.id, 2)


async def archived(room: Room) -> None:
    """Have both put it away."""
    await room.oksana.request(ConversationArchive(conversation_id=room.id))
    await room.petro.request(ConversationArchive(conversation_id=room.id))


async def muted(room: Room) -> None:
    """Mute it for the other participant."""
    await room.sql(
        "UPDATE realtime.conversation_participants SET muted_until = '2099-01-01'"
        " WHERE conversation_id = $1 AND employee_id = $2",
        room.id,
        PETRO,
    )


async def people(room: Room, count: int) -> None:
    """Make the sender a member, no owner, of so many people."""
    await room.sql(
        "INSERT INTO realtime.conversation_participants (conversation_id, employee_id, change)"
        " SELECT $1, n, 1 FROM generate_series(3, $2) AS n",
        room.id,
        count,
    )
    await demoted(room)


async def small(room: Room) -> None:
    """Make it just small enough for anyone to mention everybody."""
    await people(room, 20)


async def large(room: Room) -> None:
    """Make it too large for that."""
    await people(room, 21)


async def crowded(room: Room) -> None:
    """Make it larger than the number of people that a message may mention."""
    await people(room, 130)


async def demoted(room: Room) -> None:
    """Make the sender a member of two people."""
    await room.sql(
        "UPDATE realtime.conversation_participants SET role = 'member' WHERE conversation_id = $1",
        room.id,
    )


async def permitted(room: Room) -> None:
    """Make it large, and allow the sender to mention everybody."""
    await large(room)
    await room.sql(
        "UPDATE demo_crm.roles SET permissions = permissions || '{messages.mention_all}'"
        " WHERE id = (SELECT role_id FROM demo_crm.staff WHERE id = $1)",
        OKSANA,
    )


async def joined_later(room: Room) -> None:
    """Let the sender see only what came after message 1."""
    await room.sql(
        "UPDATE realtime.conversations SET history = 'joined' WHERE id = $1",
        room.id,
    )
    await room.sql(
        "UPDATE realtime.conversation_participants SET joined_seq = 1"
        " WHERE conversation_id = $1 AND employee_id = $2",
        room.id,
        OKSANA,
    )


async def left(room: Room) -> None:
    """Take the sender out."""
    await room.sql(
        "UPDATE realtime.conversation_participants SET left_seq = 2"
        " WHERE conversation_id = $1 AND employee_id = $2",
        room.id,
        OKSANA,
    )


async def closed(room: Room) -> None:
    """Close it."""
    await room.sql("UPDATE realtime.conversations SET closed_at = now() WHERE id = $1", room.id)


async def deleted(room: Room) -> None:
    """Delete the message that is to be answered."""
    await room.petro.request(MessageDelete(conversation_id=room.id, seq=2))


async def sent(room: Room) -> None:
    """Send it once before, and begin the next text."""
    await room.oksana.request(
        MessageSend(conversation_id=room.id, client_key=KEY, text=Send().text)
    )
    await draft(room)


async def sent_and_closed(room: Room) -> None:
    """Send it once before, and close the conversation."""
    await sent(room)
    await closed(room)


async def sent_and_left(room: Room) -> None:
    """Send it once before, and take the sender out."""
    await sent(room)
    await left(room)


async def sent_and_edited(room: Room) -> None:
    """Send it once before, and edit it."""
    await sent(room)
    await room.oksana.request(MessageEdit(conversation_id=room.id, seq=3, text="edited"))


async def sent_with_a_file(room: Room) -> None:
    """Send it once before, with a file."""
    await sent(room)
    await room.sql(
        "UPDATE realtime.messages SET attachments ="
        ' \'[{"attachment_id": 1, "name": "a", "content_type": "text/plain", "size": 1}]\''
        " WHERE conversation_id = $1 AND seq = 3",
        room.id,
    )


STORED = {
    "plain": (nothing, Send()),
    "marked, with a draft": (marked_with_draft, Send()),
    "archived": (archived, Send()),
    "mentions": (nothing, Send("<@2> <@3> <@2> <@1> <@99999999999999999999> and <@0>")),
    "everybody, of many": (large, Send("<@all> <@21> <@2> lunch")),
    "again, edited": (sent_and_edited, Send("another text")),
    "an answer": (nothing, Send(reply_to_seq=2)),
    "a draft": (draft, Send()),
    "an emptied draft": (emptied_draft, Send()),
    "a draft of another": (draft_of_another, Send()),
    "marked": (marked, Send()),
    "marked by another": (marked_by_another, Send()),
    "marked and read": (marked_and_read, Send()),
    "muted": (muted, Send()),
    "everybody": (nothing, Send("<@all> lunch")),
    "everybody, by a member": (demoted, Send("<@2> <@all> lunch")),
    "everybody, of 20": (small, Send("<@all> lunch")),
    "120 mentions": (crowded, Send("".join(f"<@{n}>" for n in range(125, 5, -1)))),
    "everybody, permitted": (permitted, Send("<@all> lunch")),
    "an answer to what is seen": (joined_later, Send(reply_to_seq=2)),
    "again": (sent, Send()),
    "again, closed": (sent_and_closed, Send()),
    "8,000 characters": (draft, Send("ї" * 8_000)),
}

REFUSED = {
    "left": (left, Send()),
    "an answer to what is hidden": (joined_later, Send(reply_to_seq=1)),
    "again, with another text": (sent, Send("another text")),
    "8,001 characters": (nothing, Send("x" * 8_001)),
    "closed": (closed, Send()),
    "closed, an answer to nothing": (closed, Send(reply_to_seq=9)),
    "an answer to nothing": (draft, Send(reply_to_seq=9)),
    "an answer to what was deleted": (deleted, Send(reply_to_seq=2)),
    "again, as an answer": (sent, Send(reply_to_seq=2)),
    "again, left": (sent_and_left, Send()),
    "again, without its file": (sent_with_a_file, Send()),
    "no text": (nothing, Send("")),
}


async def two_rooms(desk: Desk, prepare: Callable[[Room], Awaitable[None]]) -> list[Room]:
    """Prepare two conversations alike; their people's sockets come from before it."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO)
    rooms = []
    for _ in range(2):
        made = await oksana.request(ConversationCreate(title="Deal 17", employee_ids=[PETRO]))
        rooms.append(Room(made.conversation.id, oksana, petro, desk.sql))
        for client, text in ((oksana, "first"), (petro, "second")):
            await client.request(
                MessageSend(conversation_id=made.conversation.id, client_key=EARLIER, text=text)
            )
    for room in rooms:
        await prepare(room)
    return rooms


async def by_socket(client: Connection, room: Room, what: Send) -> tuple[int, int]:
    """Send with the command; return seq and change."""
    reply = await client.request(
        MessageSend(
            conversation_id=room.id,
            client_key=KEY,
            text=what.text,
            reply_to_seq=what.reply_to_seq,
        )
    )
    return reply.message.seq, reply.message.change


async def by_function(crm: Any, room: Room, what: Send) -> tuple[int, int]:
    """Send with the function; return seq and change."""
    row = await crm.fetchrow(
        "SELECT seq, change FROM realtime.send_message($1, $2, $3, $4, $5)",
        room.id,
        OKSANA,
        what.text,
        KEY,
        what.reply_to_seq,
    )
    return row["seq"], row["change"]


@pytest.mark.cases(6)
@pytest.mark.parametrize("case", STORED)
async def test_both_ways_change_the_same(desk: Desk, crm: Any, case: str) -> None:
    """Every column of every table, and what the sender's other device and another one receive."""
    prepare, what = STORED[case]
    rooms = await two_rooms(desk, prepare)
    writer = await desk.client(OKSANA)
    device, other = await desk.client(OKSANA, node=1), await desk.client(PETRO, node=1)
    await nothing_on_its_way(rooms[0], device, other)
    since = (await desk.sql("SELECT clock_timestamp() AS at"))[0]["at"]

    places = [await by_socket(writer, rooms[0], what), await by_function(crm, rooms[1], what)]
    told = await asyncio.gather(received(device, rooms), received(other, rooms))

    rows = [await rows_of(desk, room, since) for room in rooms]
    assert places[0] == places[1]
    assert rows[0] == rows[1]
    for of_room in told:
        assert of_room[0] == of_room[1]


@pytest.mark.cases(4)
@pytest.mark.parametrize("case", REFUSED)
async def test_both_ways_refuse_the_same(desk: Desk, crm: Any, case: str) -> None:
    """The same code, and nothing is changed."""
    prepare, what = REFUSED[case]
    rooms = await two_rooms(desk, prepare)
    since = (await desk.sql("SELECT clock_timestamp() AS at"))[0]["at"]
    before = [await rows_of(desk, room, since) for room in rooms]

    with pytest.raises(RequestRefused) as by_command:
        await by_socket(rooms[0].oksana, rooms[0], what)
    with pytest.raises(asyncpg.PostgresError) as by_sql:
        await by_function(crm, rooms[1], what)

    assert by_command.value.code == by_sql.value.detail
    assert before == [await rows_of(desk, room, since) for room in rooms]
