"""What text ids cost: the same statements on a CRM with uuids and on one with numbers.

Two databases of one PostgreSQL, with the same people, customers, chats and calls. The CPU time of
this process and of the backend is measured in turns, so that a busy machine slows both.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from gateway import db, demo
from gateway.auth.queries import employees_batch
from gateway.chat.queries import messages, receipts
from gateway.chat.queries.messages import Mentions, NewMessage
from gateway.embedded import start_postgres
from gateway.hello import views
from gateway.hello.queries import overview
from gateway.hello.views import ViewRequest
from gateway.telephony.calls.queries import lookup
from loadtests.options import Options
from loadtests.own_database import connected, own_directory
from loadtests.process_cost import MeasuredProcess
from loadtests.queries import archive, quiet
from loadtests.queries import ids as queries
from loadtests.report import Figure, Result

ROUNDS = 7
EMPLOYEES, CUSTOMERS = 2_000, 50_000
PEOPLE, CONVERSATIONS, MESSAGES = 50, 60, 200
CALLS_EACH = {"hello": 150, "send": 150, "unread": 400, "lookup": 400}
"""Statements, or groups of them, in one turn: about a quarter of a second of CPU."""
GOAL = 1.1
TEXT_CRM = Path(__file__).parents[1] / "text_crm.sql"

Act = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class IdsDatabase:
    """One database, and what is done in it."""

    conn: asyncpg.Connection[asyncpg.Record]
    backend: int
    acts: Mapping[str, Act]


def run(_options: Options) -> Result:
    """Measure all four in turns, and compare."""
    return asyncio.run(_measure(ROUNDS))


async def _measure(rounds: int) -> Result:
    ratios: dict[str, list[float]] = {name: [] for name in CALLS_EACH}
    async with _offices() as (numbers, texts):
        for office in (numbers, texts):  # plans and caches
            for act in office.acts.values():
                for _ in range(20):
                    await act()
        for turn in range(rounds):
            for name, count in CALLS_EACH.items():
                order = (numbers, texts) if turn % 2 else (texts, numbers)
                cost = {id(office): await _cpu_s(office, name, count) for office in order}
                ratios[name].append(cost[id(texts)] / cost[id(numbers)])
    found: Mapping[str, Figure] = {
        name: round(statistics.median(each), 3) for name, each in ratios.items()
    }
    slow = [f"{name}: {ratio} > {GOAL}" for name, ratio in found.items() if float(ratio) > GOAL]
    setting = (
        f"text ids against bigint, {EMPLOYEES:,} employees, {CUSTOMERS:,} customers, "
        f"CPU of client and backend, median of {rounds} ratios in turns"
    )
    return Result("ids", setting, {"ratio": found}, slow)


@asynccontextmanager
async def _offices() -> AsyncIterator[tuple[IdsDatabase, IdsDatabase]]:
    with own_directory() as directory, start_postgres(directory, durable=False) as server:
        async with connected(server.dsn()) as admin:
            await queries.create_database(admin, "numbers")
            await queries.create_database(admin, "texts")
        async with (
            connected(server.dsn("numbers")) as numbers,
            connected(server.dsn("texts")) as texts,
        ):
            yield await _office(numbers, text=False), await _office(texts, text=True)


async def _office(conn: asyncpg.Connection[asyncpg.Record], *, text: bool) -> IdsDatabase:
    """Fill a database, and return what is done in it."""
    await quiet.no_autovacuum(conn)
    await db.migrate(conn)
    await demo.install(conn)
    await queries.fill(conn, employees=EMPLOYEES, customers=CUSTOMERS)
    if text:
        await conn.execute(TEXT_CRM.read_text(encoding="utf-8"))
    people = await queries.people(conn, PEOPLE)
    await archive.open_rooms(
        conn, people, conversations=CONVERSATIONS, messages_each=MESSAGES, mine=CONVERSATIONS // 2
    )
    await archive.write(conn, people, first=1, last=MESSAGES)
    await queries.analyze(conn)
    me = people[0]
    rooms = [conversation_id for conversation_id, _ in await archive.rooms_of(conn, me)]
    numbers = await queries.numbers(conn, 200)
    sent = 0

    async def hello() -> None:
        await overview.newcomers(conn, [me], ["a token"], 500)
        await views.read_views(conn, [ViewRequest(me, {})], max_topics=500)
        await employees_batch.find_profiles(conn, people)

    async def send() -> None:
        nonlocal sent
        sent += 1
        room = rooms[sent % len(rooms)]
        message = NewMessage(me, room, uuid.uuid4(), "Good morning", None, Mentions())
        assert await messages.insert(conn, [message], wait=True) != [None]

    async def unread() -> None:
        await receipts.unread(conn, me)

    async def look_up() -> None:
        nonlocal sent
        sent += 1
        await lookup.customers(conn, [numbers[sent % len(numbers)]])

    acts = {"hello": hello, "send": send, "unread": unread, "lookup": look_up}
    return IdsDatabase(conn, conn.get_server_pid(), acts)


async def _cpu_s(office: IdsDatabase, name: str, count: int) -> float:
    """Return the CPU time that this process and the backend take for some of these."""
    act, before = office.acts[name], _used_s(office)
    for _ in range(count):
        await act()
    return _used_s(office) - before


def _used_s(office: IdsDatabase) -> float:
    """Return the CPU time of this process and of the backend."""
    return sum(MeasuredProcess(pid).cpu_s() for pid in (os.getpid(), office.backend))
