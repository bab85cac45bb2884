"""Runs a plan against workers, waits until nothing is pending, and checks the result.

MessengerSetup, MessengerPlan ─▶ play ─▶ MessengerRun.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import asyncpg

from gateway.client import Connection, connect
from gateway.protocol import UnreadGet
from loadtests.messenger import truth as database
from loadtests.messenger.actions import ActionTargets
from loadtests.messenger.check import ObservedClient, Report, check, strays
from loadtests.messenger.client import MessengerClient, archived, client, drafts, history
from loadtests.messenger.plan import MessengerPlan
from loadtests.messenger.truth import Truth
from loadtests.messenger.view import ClientView
from loadtests.own_database import connected
from loadtests.queries import messenger as queries
from loadtests.test_users import SignedInUser

QUIET_S = 15.0
"""Reconnects take half a second, sweeps two, pushed counts half of one."""
LOOK_S = 0.1
AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class MessengerSetup:
    """Running workers, and the people who are to play."""

    database_url: str
    urls: Sequence[str]
    """Of the workers' sockets: who comes back comes to the next one."""
    players: Sequence[SignedInUser]
    """Person of the plan → employee; their `url` is not used."""


@dataclass(slots=True)
class MessengerRun:
    """What came of it."""

    report: Report
    truth: Truth
    witnesses: list[ObservedClient]
    fresh: dict[int, ClientView]
    founders: dict[int, list[int]]
    refusals: Counter[str] = field(default_factory=Counter)
    cuts: int = 0
    reconnects: int = 0
    events: int = 0


async def play(stage: MessengerSetup, plan: MessengerPlan) -> MessengerRun:
    """Have everyone do their part at once."""
    async with connected(stage.database_url) as conn:
        founders = await _seat(conn, stage, plan)
        scene = _scene(stage, plan, list(founders))
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(
                    client(stage.players[person], _turned(stage.urls, index), scene)
                )
                for index, person in enumerate(plan.persons)
            ]
            async with asyncio.TaskGroup() as group:
                for one, actions in zip(clients, plan.actions, strict=True):
                    group.create_task(one.carry_out(actions), name="messenger.act")
            return await _judge(stage, conn, clients, founders)


async def _seat(
    conn: asyncpg.Connection[asyncpg.Record], stage: MessengerSetup, plan: MessengerPlan
) -> dict[int, list[int]]:
    """Make the conversations; return each one's first participants."""
    seated: dict[int, list[int]] = {}
    for number, founders in enumerate(plan.founders):
        employees = [stage.players[one].employee_id for one in founders]
        seated[await queries.seat(conn, employees, f"Room {number}")] = employees
    return seated


def _scene(stage: MessengerSetup, plan: MessengerPlan, rooms: Sequence[int]) -> ActionTargets:
    people = [player.employee_id for player in stage.players]
    return ActionTargets(
        people,
        {room: [people[one] for one in pool] for room, pool in zip(rooms, plan.pools, strict=True)},
    )


def _turned(urls: Sequence[str], index: int) -> Sequence[str]:
    """Let every client begin with the next worker."""
    first = index % len(urls)
    return [*urls[first:], *urls[:first]]


async def _judge(
    stage: MessengerSetup,
    conn: asyncpg.Connection[asyncpg.Record],
    clients: Sequence[MessengerClient],
    founders: dict[int, list[int]],
) -> MessengerRun:
    people = [player.employee_id for player in stage.players]
    witnesses = [
        ObservedClient(f"client {index}", one.view.employee_id, one.view, one.actions.acknowledged)
        for index, one in enumerate(clients)
    ]
    while True:
        truth = await database.read(conn, list(founders), people)
        fresh = await _fresh(stage)
        if await _quiet(clients, truth, witnesses, fresh):
            break
        again = await database.read(conn, list(founders), people)
        if again == truth:  # else a command whose connection was cut had still been at work
            break
    return MessengerRun(
        check(truth, witnesses, fresh, founders),
        truth,
        witnesses,
        fresh,
        founders,
        sum((one.refusals for one in clients), Counter()),
        sum(one.cuts for one in clients),
        sum(one.connection.reconnects for one in clients),
        sum(len(one.view.received) for one in clients),
    )


async def _quiet(
    clients: Sequence[MessengerClient],
    truth: Truth,
    witnesses: Sequence[ObservedClient],
    fresh: Mapping[int, ClientView],
) -> bool:
    """Wait until every device shows what it should; False when one never does."""
    loop = asyncio.get_running_loop()
    until = loop.time() + QUIET_S
    waiting = list(zip(clients, witnesses, strict=True))
    while waiting and loop.time() < until:
        for client_ in clients:
            client_.look_after()
        waiting = [
            (client_, witness)
            for client_, witness in waiting
            if not client_.settled or any(strays(witness, fresh[witness.employee_id], truth))
        ]
        if waiting:
            await asyncio.sleep(LOOK_S)
    return not waiting


async def _fresh(stage: MessengerSetup) -> dict[int, ClientView]:
    """Have everybody sign in once more, and fetch everything."""
    views: dict[int, ClientView] = {}
    turns = asyncio.Semaphore(AT_ONCE)

    async def fetch(player: SignedInUser) -> None:
        async with turns, connect(stage.urls[0], player.token) as gateway:
            views[player.employee_id] = await fetch_all(player.employee_id, gateway)

    async with asyncio.TaskGroup() as group:
        for player in stage.players:
            group.create_task(fetch(player), name="messenger.fresh")
    return views


async def fetch_all(employee_id: int, gateway: Connection) -> ClientView:
    """Return what a new session is given: the welcome, lists, and whole histories."""
    view = ClientView(employee_id)
    view.welcomed(gateway.welcome)
    for conversation in await archived(gateway):
        view.listed(conversation)
    view.drafted(await drafts(gateway), before={})
    for room in list(view.rooms.values()):
        view.fetching(room)
        view.fetched(room, await history(gateway, room.id))
    counts = await gateway.request(UnreadGet())
    view.counts = {cid: one for cid, one in view.counts.items() if not one.unread} | {
        one.conversation_id: one for one in counts.conversations
    }
    view.total = counts.total
    return view
