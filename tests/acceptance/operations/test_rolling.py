"""A deployment: each worker is replaced in turn while people write, and nobody notices."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import httpx2
import pytest

from gateway.client import Connection, connect
from gateway.protocol import ConversationCreate, ConversationCreated, MessageCreated, UnreadGet
from loadtests.fleet import NO_LIMITS
from tests.acceptance.operations.test_processes import _worker_of
from tests.support.desk import IRYNA, OKSANA, PETRO, eventually
from tests.support.dev import DevGateway, run_dev

pytestmark = pytest.mark.slow

WRITERS = (OKSANA, IRYNA)
LISTENERS = (PETRO, 4, 5, 6)
EVERY_S = 0.03
ROLL_S = 45.0


class Talk:
    """What was written, as those who wrote it were told."""

    def __init__(self, conversation_id: int) -> None:
        self.conversation_id = conversation_id
        self.acknowledged: dict[int, str] = {}
        self.over = asyncio.Event()

    async def write(self, who: Connection) -> None:
        """Send one message after the other; each one must be acknowledged."""
        while not self.over.is_set():
            text = str(uuid.uuid4())
            message = await who.send(self.conversation_id, text)
            assert message.seq not in self.acknowledged
            self.acknowledged[message.seq] = text
            await asyncio.sleep(EVERY_S)

    async def read_along(self, who: Connection) -> None:
        """Ask for what may be asked for twice, all the time; each question has an answer."""
        while not self.over.is_set():
            await who.request(UnreadGet())
            await who.history(self.conversation_id, limit=5)
            await asyncio.sleep(EVERY_S)


async def test_replacing_the_workers_in_turn_loses_and_repeats_nothing() -> None:
    """Under load, through the shared port: every command is answered, every message heard once."""
    with run_dev(**NO_LIMITS, GATEWAY_DRAIN_S="3") as gateway:  # who is sent away is back in that
        url = gateway.url.replace("http", "ws", 1) + "/v1/ws"
        async with everyone(gateway, url) as people:
            talk = Talk(await room(people))
            async with asyncio.TaskGroup() as group:
                for who in WRITERS:
                    group.create_task(talk.write(people[who]))
                for who in LISTENERS[:2]:
                    group.create_task(talk.read_along(people[who]))
                for index in range(2):
                    await replace(gateway, index)
                talk.over.set()

            expected = sorted(talk.acknowledged)
            heard = await asyncio.gather(*(hear(people[who], len(expected)) for who in LISTENERS))
            assert all(connection.reconnects for connection in people.values())

        assert expected == list(range(1, len(expected) + 1))
        assert heard == [[talk.acknowledged[seq] for seq in expected]] * len(LISTENERS)
        assert await stored(gateway, talk.conversation_id) == talk.acknowledged


@asynccontextmanager
async def everyone(gateway: DevGateway, url: str) -> AsyncIterator[dict[int, Connection]]:
    """Connect them all to the port that the workers share."""
    async with AsyncExitStack() as stack:
        yield {
            who: await stack.enter_async_context(connect(url, gateway.token(who)))
            for who in (*WRITERS, *LISTENERS)
        }


async def room(people: dict[int, Connection]) -> int:
    """Make a group of them, and wait until each has heard of it."""
    made = await people[OKSANA].request(
        ConversationCreate(
            title="Чергування", employee_ids=[who for who in people if who != OKSANA]
        )
    )
    for who, connection in people.items():
        if who != OKSANA:
            await connection.next(ConversationCreated)
    conversation_id: int = made.conversation.id
    return conversation_id


async def replace(gateway: DevGateway, index: int) -> None:
    """Ask a worker to end, and wait until another serves in its place."""
    old = await eventually(lambda: _worker_of(gateway, index))
    os.kill(old, signal.SIGTERM)

    async def serves() -> bool:
        if _worker_of(gateway, index) in {None, old}:
            return False
        async with httpx2.AsyncClient(base_url=gateway.worker_urls[index]) as http:
            try:
                return (await http.get("/readyz")).status_code == 200
            except httpx2.HTTPError:
                return False

    await eventually(serves, timeout_s=ROLL_S)


async def hear(who: Connection, count: int) -> list[str]:
    """Return the texts of so many messages, in the order in which they came."""
    return [(await who.next(MessageCreated, timeout_s=30)).message.text for _ in range(count)]


async def stored(gateway: DevGateway, conversation_id: int) -> dict[int, str]:
    conn = await asyncpg.connect(gateway.database)
    try:
        rows = await conn.fetch(
            "SELECT seq, body FROM realtime.messages WHERE conversation_id = $1", conversation_id
        )
    finally:
        await conn.close()
    return {row["seq"]: row["body"] for row in rows}
