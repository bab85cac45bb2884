"""What is old enough goes, what is unread stays, and numbers are never given twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.chat import retention
from gateway.protocol import MessageCreated, MessageHistory, MessageThread, UnreadGet
from tests.support.desk import OKSANA, PETRO, Desk, eventually, refused
from tests.support.retention import sweep

DAYS = 30


async def room(desk: Desk, *, old: int, fresh: int, read: dict[int, int]) -> int:
    """Make a group with old messages and then fresh ones; `read` says who has read how far."""
    rows = await desk.sql(
        """
        WITH made AS (
            INSERT INTO realtime.conversations (kind, title, last_seq, last_change)
            VALUES ('group', 'Room', $1::bigint + $2::bigint, $1::bigint + $2::bigint + 1)
         RETURNING id
        ), joined AS (
            INSERT INTO realtime.conversation_participants
                   (conversation_id, employee_id, change, last_read_seq)
            SELECT made.id, person, 1, read_to
              FROM made, unnest($3::bigint[], $4::bigint[]) AS p (person, read_to)
        ), written AS (
            INSERT INTO realtime.messages
                   (conversation_id, seq, change, sender_id, body, created_at)
            SELECT made.id, n, n + 1, 7, 'message ' || n,
                   now() - CASE WHEN n <= $1::bigint THEN interval '31 days'
                                ELSE interval '29 days' END
              FROM made, generate_series(1, $1::bigint + $2::bigint) AS n
        )
        SELECT id FROM made
        """,
        old,
        fresh,
        list(read),
        list(read.values()),
    )
    conversation_id: int = rows[0]["id"]
    return conversation_id


async def kept(desk: Desk, conversation_id: int) -> list[int]:
    rows = await desk.sql(
        "SELECT seq FROM realtime.messages WHERE conversation_id = $1 ORDER BY seq",
        conversation_id,
    )
    return [row["seq"] for row in rows]


async def test_what_is_old_and_read_by_all_is_deleted(desk: Desk) -> None:
    """Everything old where all have read; up to the slowest reader elsewhere; nothing fresh."""
    read = await room(desk, old=5, fresh=3, read={OKSANA: 8, PETRO: 8})
    behind = await room(desk, old=5, fresh=3, read={OKSANA: 8, PETRO: 2})
    unread = await room(desk, old=5, fresh=0, read={OKSANA: 0, PETRO: 5})

    deleted = await sweep(desk.nodes[0].node.services, DAYS)

    assert deleted == 7
    assert await kept(desk, read) == [6, 7, 8]
    assert await kept(desk, behind) == [3, 4, 5, 6, 7, 8]
    assert await kept(desk, unread) == [1, 2, 3, 4, 5]
    (noted,) = await desk.sql("SELECT act, actor_id, details FROM realtime.audit")
    assert (noted["act"], noted["actor_id"]) == ("retention.delete", None)
    assert noted["details"] == '{"messages": 7, "older_than_days": 30}'


async def test_who_has_gone_keeps_nothing(desk: Desk) -> None:
    """Someone who left, or no longer works here, will never read: they are not waited for."""
    left = await room(desk, old=5, fresh=0, read={OKSANA: 5, PETRO: 0})
    await desk.sql(
        "UPDATE realtime.conversation_participants SET left_seq = 5 WHERE employee_id = 2"
    )
    dismissed = await room(desk, old=5, fresh=0, read={OKSANA: 5, 20: 0})

    await sweep(desk.nodes[0].node.services, DAYS)

    assert await kept(desk, left) == []
    assert await kept(desk, dismissed) == []


async def test_counts_and_numbers_are_as_before(desk: Desk) -> None:
    """Nobody's unread count moves, and the next message takes the next number."""
    conversation_id = await room(desk, old=5, fresh=3, read={OKSANA: 8, PETRO: 4})
    petro = await desk.client(PETRO)
    before = await petro.request(UnreadGet())

    await sweep(desk.nodes[0].node.services, DAYS)
    after = await petro.request(UnreadGet())
    oksana = await desk.client(OKSANA)
    await oksana.send(conversation_id, "still here")

    assert before == after
    assert before.total.messages == 4
    assert (await petro.next(MessageCreated)).message.seq == 9
    page = await petro.request(MessageHistory(conversation_id=conversation_id))
    assert [message.seq for message in page.messages] == [5, 6, 7, 8, 9]


async def test_batches_are_small_and_two_workers_share_them(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many batches over many conversations, by two nodes at once: each message goes once."""
    monkeypatch.setattr(retention, "BATCH", 7)
    monkeypatch.setattr(retention, "CONVERSATIONS", 2)
    monkeypatch.setattr(retention, "PAUSE_S", 0.0)
    rooms = [await room(desk, old=10, fresh=1, read={OKSANA: 11}) for _ in range(5)]

    done = await asyncio.gather(*(sweep(node.node.services, DAYS) for node in desk.nodes))

    assert sum(done) == 50
    assert [await kept(desk, one) for one in rooms] == [[11]] * 5


async def test_a_message_that_somebody_holds_is_left_for_later(desk: Desk) -> None:
    """The sweep waits for nobody, and takes it the next time."""
    conversation_id = await room(desk, old=3, fresh=0, read={OKSANA: 3})
    services = desk.nodes[0].node.services
    async with services.connection() as conn, conn.transaction():
        await conn.execute("SELECT FROM realtime.messages WHERE seq = 2 FOR UPDATE")
        first = await sweep(services, DAYS)

    again = await sweep(services, DAYS)

    assert (first, again) == (2, 1)
    assert await kept(desk, conversation_id) == []


async def test_a_node_with_the_setting_sweeps_by_itself(empty_desk: Desk) -> None:
    """And one without it never does."""
    conversation_id = await room(empty_desk, old=3, fresh=1, read={OKSANA: 4})
    plain = await empty_desk.start_node()
    node = await empty_desk.start_node(message_retention_days=DAYS)

    async def swept() -> Any:
        return await kept(empty_desk, conversation_id) == [4]

    await eventually(swept)
    assert retention.DELETE in node.app.state.gateway.jobs.kinds
    assert retention.DELETE not in plain.app.state.gateway.jobs.kinds


async def test_answers_outlive_the_message_that_they_answer(desk: Desk) -> None:
    """A thread whose first message has gone is read as before: it is told as a deleted message."""
    group = await room(desk, old=3, fresh=5, read={OKSANA: 8, PETRO: 8})
    await desk.sql(
        "UPDATE realtime.messages SET reply_to_seq = 2 WHERE conversation_id = $1 AND seq > 4",
        group,
    )
    oksana = await desk.client(OKSANA)
    await sweep(desk.nodes[0].node.services, DAYS)
    assert await kept(desk, group) == [4, 5, 6, 7, 8]

    thread = await oksana.request(MessageThread(conversation_id=group, seq=2, limit=3))
    before = await oksana.request(
        MessageThread(conversation_id=group, seq=2, before=thread.messages[0].seq)
    )

    assert [message.seq for message in thread.messages] == [6, 7, 8]
    assert [message.seq for message in before.messages] == [5]
    assert (thread.has_before, before.has_before, before.has_after) == (True, False, True)
    root = thread.root
    assert (root.seq, root.text, root.reply_count, root.sender_id) == (2, "", 4, None)
    assert root.deleted_at is not None
    for nothing in (1, 3, 99):  # had no answers, or never was
        attempt = oksana.request(MessageThread(conversation_id=group, seq=nothing))
        assert await refused(attempt) == "message.not_found"
