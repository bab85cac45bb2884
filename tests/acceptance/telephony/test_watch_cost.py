"""Watching all queues and many people costs by what is watched, and what is read is shared."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Literal

import asyncpg
import pytest

from gateway.client import connect
from gateway.protocol import PresenceWatch, QueueWatch
from gateway.telephony.agents import wallboard
from loadtests.queries.attacks import log_agents_in
from presence import RedisPresence
from tests.support.callback_time import HELD_MS, callback_times
from tests.support.desk import DIRECTOR, OKSANA, Desk
from tests.support.raw import raw

WATCHERS = 30


async def supervisor_of(desk: Desk) -> int:
    """Return an employee who may watch queues."""
    (found,) = await desk.sql(
        "SELECT min(employee_id) AS id FROM crm.permissions WHERE permission = 'stats.view'"
    )
    employee_id: int = found["id"]
    return employee_id


async def add_agents(desk: Desk, *, agents: int, queues_each: int, queues: int) -> None:
    conn = await asyncpg.connect(desk.database)
    await log_agents_in(conn, agents=agents, queues_each=queues_each, queues=queues)
    await conn.close()


async def test_watchers_who_come_together_share_one_reading(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty supervisors cause a few readings; each sees exactly what they asked for."""
    await add_agents(small_desk, agents=20, queues_each=5, queues=40)
    readings: list[int] = []
    read = wallboard.snapshots

    async def counted(services: Any, requests: Sequence[Any]) -> Any:
        readings.append(len(requests))
        return await read(services, requests)

    monkeypatch.setattr(wallboard, "snapshots", counted)
    token = small_desk.token(await supervisor_of(small_desk))
    wanted: list[list[str] | Literal["all"]] = [
        "all" if number % 3 == 0 else [f"queue {number:03}", "unused"] for number in range(WATCHERS)
    ]
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(connect(small_desk.nodes[0].socket_url, token))
            for _ in range(WATCHERS)
        ]
        shown = await asyncio.gather(
            *(
                client.request(QueueWatch(queues=queues, agents=number % 2 == 0))
                for number, (client, queues) in enumerate(zip(clients, wanted, strict=True))
            )
        )

    assert sum(readings) == WATCHERS
    assert len(readings) <= 5
    every = [f"queue {number:03}" for number in range(40)]
    for number, (queues, one) in enumerate(zip(wanted, shown, strict=True)):
        names = [queue.queue for queue in one.queues]
        assert names == (every if queues == "all" else queues)
        assert bool(one.agents) == (queues == "all" and number % 2 == 0)
    members = {queue.queue: queue.agents.total for queue in shown[0].queues}
    assert sum(members.values()) == 100
    assert all(
        queue.agents.total == members.get(queue.queue, 0) for one in shown for queue in one.queues
    )


async def test_people_are_read_once_for_all_who_begin_to_watch_them(
    small_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty clients that come back after an outage: a few reads of the presence store."""
    reads: list[int] = []
    fetch = RedisPresence.fetch

    async def counted(store: RedisPresence, user_ids: Any) -> Any:
        reads.append(len(user_ids))
        return await fetch(store, user_ids)

    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                connect(small_desk.nodes[0].socket_url, small_desk.token(OKSANA))
            )
            for _ in range(WATCHERS)
        ]
        monkeypatch.setattr(RedisPresence, "fetch", counted)
        shown = await asyncio.gather(
            *(
                client.request(PresenceWatch(employee_ids=list(range(1, 2 + number))))
                for number, client in enumerate(clients)
            )
        )

    assert len(reads) <= 8
    for number, one in enumerate(shown):
        assert [person.employee_id for person in one.presences] == list(range(1, 2 + number))


@pytest.mark.parametrize(
    ("large", "small"),
    [
        ({"type": "queue.watch", "queues": "all", "agents": True}, {"queues": ["one"]}),
        ({"type": "presence.watch", "employee_ids": list(range(1, 501))}, {"employee_ids": [1]}),
    ],
    ids=["queues", "people"],
)
async def test_who_watches_much_may_do_so_less_often(
    empty_desk: Desk, large: dict[str, Any], small: dict[str, Any]
) -> None:
    """A command counts by what it asks for: of the largest ones few are served at once."""
    await empty_desk.start_node(
        reads_per_s=0.1, reads_burst=200, passing_per_s=0.1, passing_burst=100
    )
    token = empty_desk.token(await supervisor_of(empty_desk))
    other = empty_desk.token(DIRECTOR)

    async with raw(empty_desk.nodes[0].socket_url) as socket:
        await socket.hello(token)
        answers = [await socket.ask(large | {"id": 10 + number}) for number in range(15)]
    async with raw(empty_desk.nodes[0].socket_url) as socket:
        await socket.hello(other)
        others = [await socket.ask(large | small | {"id": 10 + number}) for number in range(40)]

    served = ["ok" in answer for answer in answers]
    assert served == sorted(served, reverse=True)
    assert 1 <= sum(served) <= 10
    assert {answer["error"]["code"] for answer in answers if "error" in answer} == {
        "limit.too_fast"
    }
    assert all("ok" in answer for answer in others)


@pytest.mark.slow
async def test_a_thousand_queues_hold_nobody_up(small_desk: Desk) -> None:
    """Snapshots and changes of 500 agents in 100 queues each: no callback takes 20 ms of CPU."""
    await add_agents(small_desk, agents=500, queues_each=100, queues=1_000)
    supervisor = await supervisor_of(small_desk)
    clients = [await small_desk.client(supervisor) for _ in range(4)]
    named = [f"queue {number:03}" for number in range(200)]
    await clients[0].request(QueueWatch(queues=["one"]))
    await clients[0].request(PresenceWatch(employee_ids=[1]))  # what is made once, is made

    with callback_times() as times:
        await asyncio.gather(
            clients[0].request(QueueWatch(queues="all", agents=True)),
            clients[1].request(QueueWatch(queues=named, agents=True)),
            *(
                client.request(PresenceWatch(employee_ids=list(range(first, first + 500))))
                for first, client in zip((1, 501), clients[2:], strict=True)
            ),
        )
        small_desk.nodes[0].node.queue_watches.read_all()
        await small_desk.nodes[0].node.queue_watches._publish_changes()

    assert times.longest().cpu_ms < HELD_MS, times.report()
