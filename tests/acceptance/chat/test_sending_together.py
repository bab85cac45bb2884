"""What many people send at the same time shares a statement, and nobody's trouble is another's."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from gateway.client import Connection
from gateway.protocol import ConversationCreate, Message, MessageCreated, MessageSend
from tests.support.desk import IRYNA, OKSANA, PETRO, Desk, eventually, refused

MANY = 12


@asynccontextmanager
async def holding(desk: Desk, statement: str, *arguments: object) -> AsyncIterator[None]:
    """Keep what this statement locks until the end of the block."""
    conn = await asyncpg.connect(desk.database)
    try:
        async with conn.transaction():
            await conn.execute(statement, *arguments)
            yield
    finally:
        await conn.close()


async def waiting(desk: Desk, count: int) -> None:
    """Return when so many statements of the gateway wait for a lock."""

    async def they_wait() -> bool:
        [row] = await desk.sql(
            "SELECT count(*) AS n FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return bool(row["n"] >= count)

    await eventually(they_wait)


async def groups(oksana: Connection, count: int) -> list[int]:
    made = [
        await oksana.request(ConversationCreate(title=f"Group {n}", employee_ids=[PETRO]))
        for n in range(count)
    ]
    return [one.conversation.id for one in made]


async def test_what_is_sent_at_once_is_stored_together(desk: Desk) -> None:
    """While two statements are out, others' messages gather and share the next ones; each sender
    gets their own answer, and a refusal in between is nobody else's.
    """
    sender = await desk.client(OKSANA)
    ids = await groups(sender, MANY)
    clients = [await desk.client(OKSANA) for _ in ids]
    key = uuid.uuid4()
    first = await sender.send(ids[0], "sent before", client_key=key)

    async with holding(desk, "LOCK TABLE realtime.messages IN SHARE MODE"):
        early = []
        for n in (1, 2):  # one after the other: what comes together shares a statement
            early.append(asyncio.create_task(clients[n].send(ids[n], f"early {n}")))
            await waiting(desk, n)
        late = [asyncio.create_task(clients[n].send(ids[n], f"late {n}")) for n in range(3, MANY)]
        again = asyncio.create_task(clients[0].send(ids[0], "sent before", client_key=key))
        stranger = await desk.client(IRYNA)
        wrong = asyncio.create_task(refused(stranger.send(ids[1], "let me in")))
        nowhere = asyncio.create_task(
            refused(
                sender.request(
                    MessageSend(
                        conversation_id=ids[0],
                        client_key=uuid.uuid4(),
                        text="an answer",
                        reply_to_seq=99,
                    )
                )
            )
        )
        await eventually(lambda: desk.nodes[0].node.services.message_store.waiting >= MANY - 3)

    stored: list[Message] = await asyncio.gather(*early, *late)
    assert [(one.conversation_id, one.text) for one in stored] == [
        (ids[n], f"{'early' if n < 3 else 'late'} {n}") for n in range(1, MANY)
    ]
    assert await again == first
    assert await wrong == "conversation.not_found"
    assert await nowhere == "message.not_found"
    [row] = await desk.sql(
        "SELECT count(DISTINCT xmin::text) AS n FROM realtime.messages WHERE body LIKE 'late%'"
    )
    assert row["n"] == 1


async def test_who_holds_one_conversation_delays_no_other(small_desk: Desk) -> None:
    """A transaction that keeps one conversation's row makes its own senders wait, however many:
    they share one connection, and everybody else is served at once.
    """
    oksana = await small_desk.client(OKSANA)
    held, free = await groups(oksana, 2)
    senders = [await small_desk.client(PETRO) for _ in range(8)]

    async with holding(
        small_desk, "SELECT FROM realtime.conversations WHERE id = $1 FOR UPDATE", held
    ):
        delayed = [asyncio.create_task(one.send(held, "when it is free")) for one in senders]
        await waiting(small_desk, 1)
        for n in range(3):
            assert (await oksana.send(free, f"at once {n}")).seq == n + 1
        assert not any(task.done() for task in delayed)

    assert sorted([(await task).seq for task in delayed]) == list(range(1, 9))


async def test_who_is_removed_while_waiting_takes_no_number(small_desk: Desk) -> None:
    """A send that waits for the row, and whose sender is out by then, is refused; the next number
    is the next person's.
    """
    oksana, petro = await small_desk.client(OKSANA), await small_desk.client(PETRO)
    [group] = await groups(oksana, 1)

    async with holding(
        small_desk,
        "WITH held AS (SELECT id FROM realtime.conversations WHERE id = $1 FOR UPDATE)"
        " UPDATE realtime.conversation_participants SET left_seq = 0"
        f" WHERE conversation_id = (SELECT id FROM held) AND employee_id = {PETRO}",
        group,
    ):
        too_late = asyncio.create_task(refused(petro.send(group, "still here?")))
        await waiting(small_desk, 1)

    assert await too_late == "conversation.not_found"
    assert (await oksana.send(group, "next")).seq == 1


async def test_what_waits_for_one_conversation_is_stored_together(desk: Desk) -> None:
    """Senders of one conversation who wait for its row are numbered in one statement, in the order
    in which they came; who is removed meanwhile uses no number and costs nobody theirs.
    """
    oksana = await desk.client(OKSANA)
    [group] = await groups(oksana, 1)
    senders = [await desk.client(PETRO) for _ in range(8)]
    colleagues = [await desk.client(OKSANA) for _ in range(8)]
    store: Any = desk.nodes[0].node.services.message_store
    waiters = store._lock_waiters

    async with holding(
        desk,
        "WITH held AS (SELECT id FROM realtime.conversations WHERE id = $1 FOR UPDATE)"
        " UPDATE realtime.conversation_participants SET left_seq = 0"
        f" WHERE conversation_id = (SELECT id FROM held) AND employee_id = {PETRO}",
        group,
    ):
        first = asyncio.create_task(colleagues[0].send(group, "0"))
        await waiting(desk, 1)
        asked: list[asyncio.Task[object]] = []
        for n in range(1, 8):
            asked.append(asyncio.create_task(colleagues[n].send(group, str(n))))
            asked.append(asyncio.create_task(refused(senders[n].send(group, "still here?"))))
        await eventually(lambda: [len(one) for one in waiters._behind.values()] == [14])

    assert (await first).seq == 1
    answers = await asyncio.gather(*asked)
    assert [one for one in answers if isinstance(one, str)] == ["conversation.not_found"] * 7
    stored = await desk.sql(
        "SELECT seq, body, xmin::text AS by FROM realtime.messages"
        " WHERE conversation_id = $1 AND body <> '0' ORDER BY seq",
        group,
    )
    assert [row["seq"] for row in stored] == list(range(2, 9))
    assert sorted(row["body"] for row in stored) == [str(n) for n in range(1, 8)]


async def test_a_refused_message_makes_its_conversation_wait_for_no_other(desk: Desk) -> None:
    """While all connections of the waiting lane wait for locked conversations, a message that is
    refused waits for one of them; what is sent to its conversation then is stored at once.
    """
    oksana = await desk.client(OKSANA)
    *held, free = await groups(oksana, 5)
    clients = [await desk.client(OKSANA) for _ in held]

    async with holding(
        desk, "SELECT FROM realtime.conversations WHERE id = ANY ($1::bigint[]) FOR UPDATE", held
    ):
        delayed = [
            asyncio.create_task(client.send(cid, "when it is free"))
            for client, cid in zip(clients, held, strict=True)
        ]
        await waiting(desk, 3)
        answer = MessageSend(
            conversation_id=free, client_key=uuid.uuid4(), text="to what?", reply_to_seq=99
        )
        wrong = asyncio.create_task(refused((await desk.client(OKSANA)).request(answer)))
        store: Any = desk.nodes[0].node.services.message_store
        await eventually(lambda: free in store._lock_waiters._behind)

        assert (await oksana.send(free, "at once")).seq == 1
        assert not wrong.done()
        assert not any(one.done() for one in delayed)

    assert await wrong == "message.not_found"
    assert [(await one).seq for one in delayed] == [1] * len(held)


async def test_many_write_to_one_conversation_from_two_nodes(desk: Desk) -> None:
    """Everything is stored once, numbered without a gap, told to all in order, and shares
    statements.
    """
    oksana = await desk.client(OKSANA)
    [group] = await groups(oksana, 1)
    reader = await desk.client(PETRO)
    senders = [await desk.client((OKSANA, PETRO)[n % 2], node=n % 2) for n in range(30)]

    async def write(sender: Connection, number: int) -> None:
        for turn in range(4):
            await sender.send(group, f"{number}/{turn}")

    await asyncio.gather(*(write(sender, number) for number, sender in enumerate(senders)))

    rows = await desk.sql(
        "SELECT seq, body, xmin::text AS by FROM realtime.messages WHERE conversation_id = $1"
        " ORDER BY seq",
        group,
    )
    assert [row["seq"] for row in rows] == list(range(1, 121))
    for number in range(30):
        own = [row["body"] for row in rows if row["body"].startswith(f"{number}/")]
        assert own == [f"{number}/{turn}" for turn in range(4)]
    assert len({row["by"] for row in rows}) < 90, "messages share statements"
    heard = [(await reader.next(MessageCreated)).message.seq for _ in rows]
    assert heard == list(range(1, 121))
