"""Commands of a socket and functions in SQL change the same: who is in a conversation, and how.

`conversation.create`, `open`, `add` and `remove` against `realtime.open_conversation`,
`add_participants` and `remove_participants`: every row, and everything that open sockets of those
who are in it, who join and who are removed receive, on two nodes.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from gateway.client import Connection, RequestRefused
from gateway.protocol import (
    ConversationAdd,
    ConversationArchive,
    ConversationCreate,
    ConversationOpen,
    ConversationPin,
    ConversationRemove,
    ConversationSetRole,
    MessageCreated,
    MessageSend,
    ParticipantChanged,
)
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, employee, eventually
from tests.support.parity import QUIET_S, Room, received, rows_of

KEY = uuid.UUID("17171717-1717-4717-8717-171717171717")
STEPAN, NOBODY = employee(4), 999_999
LONG_S = 3_600.0
"""Nothing else compares memberships while a test runs."""


@pytest.fixture
async def desk(empty_desk: Desk) -> Desk:
    """Give a desk with two nodes that often look for what functions did."""
    for _ in range(2):
        await empty_desk.start_node(sweep_s=0.1, standing_s=0.1, upkeep_s=LONG_S)
    return empty_desk


async def nothing(_room: Room) -> None:
    """Prepare nothing beyond two messages."""


async def joined_history(room: Room) -> None:
    """Show to those who join only what comes then."""
    await room.sql("UPDATE realtime.conversations SET history = 'joined' WHERE id = $1", room.id)


async def left_before(room: Room) -> None:
    """Have somebody been in it, with preferences of their own."""
    await room.oksana.request(ConversationAdd(conversation_id=room.id, employee_ids=[IRYNA]))
    await room.sql(
        "UPDATE realtime.conversation_participants SET pinned_at = now(), notify = 'none',"
        " mine_version = 3 WHERE conversation_id = $1 AND employee_id = $2",
        room.id,
        IRYNA,
    )
    await room.oksana.request(ConversationRemove(conversation_id=room.id, employee_id=IRYNA))


async def kept_away(room: Room) -> None:
    """Have it archived by the one, and pinned by the other."""
    await room.oksana.request(ConversationArchive(conversation_id=room.id))
    await room.petro.request(ConversationPin(conversation_id=room.id))


async def administered(room: Room) -> None:
    """Make the other one an admin."""
    await room.oksana.request(
        ConversationSetRole(conversation_id=room.id, employee_id=PETRO, role="admin")
    )


async def three(room: Room) -> None:
    """Have a third one in it."""
    await room.oksana.request(ConversationAdd(conversation_id=room.id, employee_ids=[IRYNA]))


async def full(room: Room) -> None:
    """Have a thousand people in it."""
    await room.sql(
        "INSERT INTO realtime.conversation_participants (conversation_id, employee_id, change)"
        " SELECT $1, n, 1 FROM generate_series(100001, 100998) AS n",
        room.id,
    )


async def direct(room: Room) -> None:
    """Make it a direct one."""
    await room.sql(
        "UPDATE realtime.conversations SET kind = 'direct', direct_key = 'of ' || id WHERE id = $1",
        room.id,
    )


def adds(*employee_ids: int) -> tuple[str, tuple[int, ...]]:
    return "add", employee_ids


def removes(employee_id: int) -> tuple[str, tuple[int, ...]]:
    return "remove", (employee_id,)


Case = tuple[Callable[[Room], Awaitable[None]], tuple[str, tuple[int, ...]]]

CHANGED: dict[str, Case] = {
    "one is added": (nothing, adds(IRYNA)),
    "two are added, one of them twice": (nothing, adds(STEPAN, IRYNA, STEPAN)),
    "one is added who is in it": (nothing, adds(PETRO)),
    "one is added beside one who is in it": (nothing, adds(PETRO, IRYNA)),
    "one is added to what is hidden": (joined_history, adds(IRYNA)),
    "one is added who was in it": (left_before, adds(IRYNA)),
    "one is added to an archived one": (kept_away, adds(IRYNA)),
    "one is removed": (nothing, removes(PETRO)),
    "an admin is removed": (administered, removes(PETRO)),
    "one of three is removed": (three, removes(IRYNA)),
    "one is removed who has left": (left_before, removes(IRYNA)),
    "one is removed from an archived one": (kept_away, removes(PETRO)),
}

REFUSED: dict[str, Case] = {
    "nobody is added": (nothing, adds(NOBODY)),
    "one too many is added": (full, adds(IRYNA)),
    "one is added to a direct one": (direct, adds(IRYNA)),
    "one is removed from a direct one": (direct, removes(PETRO)),
    "one is removed who never was in it": (nothing, removes(IRYNA)),
    "none is added": (nothing, adds()),
    "id 0 is added": (nothing, adds(0)),
}


async def two_rooms(desk: Desk, prepare: Callable[[Room], Awaitable[None]]) -> list[Room]:
    """Prepare two conversations alike."""
    oksana, petro = await desk.client(OKSANA), await desk.client(PETRO)
    rooms = []
    for _ in range(2):
        made = await oksana.request(ConversationCreate(title="Deal 17", employee_ids=[PETRO]))
        rooms.append(Room(made.conversation.id, oksana, petro, desk.sql))
        for client, text in ((petro, "first"), (oksana, "second")):
            await client.request(
                MessageSend(conversation_id=made.conversation.id, client_key=KEY, text=text)
            )
    for room in rooms:
        await prepare(room)
    return rooms


async def by_socket(room: Room, what: tuple[str, tuple[int, ...]]) -> None:
    """Change who is in it with the command."""
    act, employee_ids = what
    if act == "add":
        await room.oksana.request(
            ConversationAdd(conversation_id=room.id, employee_ids=list(employee_ids))
        )
    else:
        await room.oksana.request(
            ConversationRemove(conversation_id=room.id, employee_id=employee_ids[0])
        )


async def by_function(crm: Any, room: Room, what: tuple[str, tuple[int, ...]]) -> None:
    """Change who is in it with the function, on behalf of the same employee."""
    act, employee_ids = what
    await crm.fetch(
        f"SELECT realtime.{act}_participants($1, $2, $3)", room.id, list(employee_ids), OKSANA
    )


async def audit_of(desk: Desk, room: Room) -> list[tuple[Any, ...]]:
    rows = await desk.sql(
        "SELECT act, actor_id, seq, details FROM realtime.audit WHERE conversation_id = $1"
        " ORDER BY id",
        room.id,
    )
    return [tuple(row) for row in rows]


async def witnesses(desk: Desk) -> list[Connection]:
    """Return sockets of everybody whom the cases name, on both nodes; the two who act have more."""
    return [
        await desk.client(who, node=node)
        for who in (OKSANA, PETRO, IRYNA, STEPAN)
        for node in (0, 1)
    ]


async def nothing_follows(socket: Connection) -> None:
    """Read what is still on its way, also counts of what came before."""
    with contextlib.suppress(TimeoutError):
        while True:
            await socket.next(timeout_s=2 * QUIET_S)


@pytest.mark.cases(4)
@pytest.mark.parametrize("case", CHANGED)
async def test_both_ways_change_the_same(desk: Desk, crm: Any, case: str) -> None:
    """Every row, the audit, and what sockets of all concerned receive."""
    prepare, what = CHANGED[case]
    rooms = await two_rooms(desk, prepare)
    sockets = await witnesses(desk)
    await asyncio.gather(*(nothing_follows(socket) for socket in sockets))
    since = (await desk.sql("SELECT clock_timestamp() AS at"))[0]["at"]

    await by_socket(rooms[0], what)
    await by_function(crm, rooms[1], what)
    told = await asyncio.gather(*(received(socket, rooms) for socket in sockets))

    rows = [await rows_of(desk, room, since) for room in rooms]
    assert rows[0] == rows[1]
    assert await audit_of(desk, rooms[0]) == await audit_of(desk, rooms[1])
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
        await by_socket(rooms[0], what)
    with pytest.raises(asyncpg.PostgresError) as by_sql:
        await by_function(crm, rooms[1], what)

    assert by_command.value.code == by_sql.value.detail
    assert before == [await rows_of(desk, room, since) for room in rooms]
    assert await desk.sql("SELECT * FROM realtime.membership_changes") == []


@pytest.mark.parametrize("kind", ["group", "direct"])
async def test_both_ways_open_the_same(desk: Desk, crm: Any, kind: str) -> None:
    """Rows, and what each member's devices receive: the conversation, and messages after it."""
    owner, sockets = await desk.client(OKSANA), await witnesses(desk)
    since = (await desk.sql("SELECT clock_timestamp() AS at"))[0]["at"]
    rooms: list[Room] = []
    for people in (PETRO, IRYNA) if kind == "direct" else (PETRO, PETRO):
        if not rooms:
            command = (
                ConversationOpen(employee_id=people) if kind == "direct"
                else ConversationCreate(title="Deal 17", employee_ids=[people])
            )  # fmt: skip
            conversation_id = (await owner.request(command)).conversation.id
        else:
            conversation_id = await crm.fetchval(
                "SELECT conversation_id FROM realtime.open_conversation("
                " title => $1, employee_ids => $2, created_by => $3, kind => $4)",
                None if kind == "direct" else "Deal 17", [people], OKSANA, kind,
            )  # fmt: skip
        rooms.append(Room(conversation_id, owner, owner, desk.sql))

    told = await asyncio.gather(*(received(socket, rooms) for socket in sockets[:2]))
    for of_room in told:
        if kind == "group":
            assert of_room[0] == of_room[1] != []
            assert (await rows_of(desk, rooms[0], since)) == (await rows_of(desk, rooms[1], since))
        else:
            assert len(of_room[0]) == len(of_room[1]) > 0
    for room in rooms:
        await owner.send(room.id, "hello")
    other = sockets[4 if kind == "direct" else 2]
    heard = [await other.next(MessageCreated) for _ in range(1 if kind == "direct" else 2)]
    assert {one.conversation_id for one in heard} == {room.id for room in rooms[-len(heard) :]}


async def test_what_is_opened_and_written_to_at_once_arrives(desk: Desk, crm: Any) -> None:
    """A conversation, two messages and another participant, in one transaction of the CRM."""
    petro, iryna = await desk.client(PETRO, node=1), await desk.client(IRYNA)
    async with crm.transaction():
        room = await crm.fetchval(
            "SELECT conversation_id FROM realtime.open_conversation('Deal 17', $1, 'deal:17')",
            [PETRO],
        )
        for text in ("first", "second"):
            await crm.execute("SELECT realtime.send_message($1, NULL, $2)", room, text)
        await crm.execute("SELECT realtime.add_participants($1, $2)", room, [IRYNA])

    texts = [(await petro.next(MessageCreated)).message.text for _ in range(3)]
    assert texts == ["first", "second", ""]
    await crm.execute("SELECT realtime.send_message($1, NULL, 'third')", room)
    for socket in (petro, iryna):
        assert (await socket.next(MessageCreated)).message.text == "third"
    [unread] = await crm.fetch(
        "SELECT last_read_seq FROM realtime.conversation_participants"
        " WHERE conversation_id = $1 AND employee_id = $2", room, IRYNA
    )  # fmt: skip
    assert unread["last_read_seq"] == 2  # what was written before is not unread for who joins


async def test_who_is_removed_receives_nothing_more(desk: Desk, crm: Any) -> None:
    """On either node, once the function's transaction is committed and was read."""
    [room, _] = await two_rooms(desk, three)
    iryna = [await desk.client(IRYNA, node=node) for node in (0, 1)]
    await crm.fetch("SELECT realtime.remove_participants($1, $2)", room.id, [IRYNA])

    async def is_out() -> bool:
        return not any(
            session.user_id == IRYNA and f"conversation:{room.id}" in session.topics
            for node in desk.nodes
            for session in node.node.sessions
        )

    await eventually(is_out)
    await room.oksana.request(
        MessageSend(conversation_id=room.id, client_key=uuid.uuid4(), text="secret")
    )
    for socket in iryna:
        with contextlib.suppress(TimeoutError):
            while event := await socket.next(MessageCreated, timeout_s=0.5):
                assert event.message.text != "secret"


async def test_who_is_removed_is_told_though_nobody_announces_it(desk: Desk, crm: Any) -> None:
    """Also after a transaction that was longer than nodes look back: the stream tells it."""
    [room, _] = await two_rooms(desk, three)
    sockets = [await desk.client(IRYNA, node=node) for node in (0, 1)]
    async with crm.transaction():
        await crm.fetch("SELECT realtime.remove_participants($1, $2)", room.id, [IRYNA])
        await crm.execute("DELETE FROM realtime.membership_changes")

    for socket in sockets:
        while (gone := await socket.next(ParticipantChanged)).conversation_id != room.id:
            pass
        assert (gone.left, gone.participant.employee.id) == (True, IRYNA)
