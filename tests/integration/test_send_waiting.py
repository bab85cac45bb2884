"""What is committed while a message waits for its conversation's row counts when it is stored."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway import db
from gateway.chat.queries import messages
from gateway.chat.queries.messages import Mentions, NewMessage
from tests.support.desk import OKSANA, PETRO, eventually


@pytest.fixture
async def conns(new_database: str) -> AsyncIterator[list[Any]]:
    """Give the gateway's connection, who holds the row, and the CRM."""
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(3):
            found.append(await db.connect(new_database, application_name="test"))
            stack.push_async_callback(found[-1].close)
        yield found


def message(sender_id: int, conversation_id: int) -> NewMessage:
    return NewMessage(
        sender_id, conversation_id, uuid.uuid4(), text="hi", reply_to_seq=None, mentions=Mentions()
    )


@pytest.mark.parametrize("sends_before", [0, 8], ids=["planned now", "plan kept"])
@pytest.mark.parametrize("of_each", [1, 2], ids=["single", "several"])
async def test_who_is_dismissed_while_waiting_for_the_row_sends_nothing(
    conns: list[Any], of_each: int, sends_before: int
) -> None:
    """The statement began before, and yet stores only what others sent, without a gap."""
    gateway, holder, crm = conns
    conversation_id = await crm.fetchval(
        "WITH made AS (INSERT INTO realtime.conversations (kind, title, last_change)"
        " VALUES ('group', 'g', 1) RETURNING id)"
        " INSERT INTO realtime.conversation_participants (conversation_id, employee_id, change)"
        " SELECT id, unnest($1::bigint[]), 1 FROM made RETURNING conversation_id",
        [OKSANA, PETRO],
    )

    def batch() -> list[NewMessage]:
        senders = [PETRO] if of_each == 1 else [PETRO, OKSANA, PETRO]
        return [message(sender, conversation_id) for sender in senders]

    for _ in range(sends_before):
        assert None not in await messages.insert(gateway, batch(), wait=True)
    stored = await crm.fetchval("SELECT count(*) FROM realtime.messages")

    async with holder.transaction():
        await holder.execute(
            "SELECT FROM realtime.conversations WHERE id = $1 FOR UPDATE", conversation_id
        )
        sending = asyncio.create_task(messages.insert(gateway, batch(), wait=True))

        async def waits() -> bool:
            return (
                await crm.fetchval(
                    "SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND NOT granted)",
                    gateway.get_server_pid(),
                )
                or sending.done()
            )

        await eventually(waits)
        assert not sending.done()
        await crm.execute("UPDATE demo_crm.staff SET dismissed_on = now() WHERE id = $1", PETRO)
    found = await sending

    senders = [one.message.sender_id for one in found if one is not None]
    assert senders == ([] if of_each == 1 else [OKSANA])
    rows = await crm.fetch("SELECT seq FROM realtime.messages ORDER BY seq")
    assert [row["seq"] for row in rows] == [*range(1, stored + len(senders) + 1)]
