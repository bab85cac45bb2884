"""The cost of counting unread messages, with years of messages in the database.

The product's own statements on a separate PostgreSQL, beside two other ways of counting that CRMs
use. The newest tenth of the messages is loaded first, so that the same user with the same unread
messages is measured again with ten times as many messages.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from gateway.chat.queries import listing, receipts
from gateway.chat.receipts import total
from gateway.db import Conn
from gateway.protocol.conversations import MAX_CONVERSATIONS
from loadtests.options import Options
from loadtests.own_database import own_database
from loadtests.queries import archive, people
from loadtests.report import Figure, Result

STAFF = 200
RUNS = 200
UNBOUNDED_RUNS = 3
"""A second each."""
RECIPIENTS = 10

Statement = Callable[[Conn], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class UnreadVolume:
    """How much there is."""

    messages: int = 5_000_000
    conversations: int = 2_000
    mine: int = 100
    runs: int = RUNS

    @property
    def messages_each(self) -> int:
        return self.messages // self.conversations


class PlanRecorder:
    """Stands in for a connection: explains and runs the statement that it is given."""

    def __init__(self, conn: Conn) -> None:
        self._conn = conn
        self.plans: list[dict[str, Any]] = []

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        found = await self._conn.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *arguments)
        plan = orjson.loads(found) if isinstance(found, str) else found
        self.plans.append(plan[0]["Plan"])
        return []

    async def fetchrow(self, sql: str, *arguments: Any) -> None:
        await self.fetch(sql, *arguments)


def run(_options: Options) -> Result:
    """Load a database, measure, remove it."""
    return asyncio.run(measure(UnreadVolume()))


async def measure(size: UnreadVolume) -> Result:
    """Measure with a tenth of the messages, then with all of them."""
    async with own_database() as conn:
        staff = await people.hire(conn, STAFF)
        each = size.messages_each
        began = time.perf_counter()
        await archive.open_rooms(
            conn,
            staff,
            conversations=size.conversations,
            messages_each=each,
            mine=size.mine,
        )
        tenth = each - each // 10
        await _load(conn, staff, first=tenth + 1, last=each)
        load_s = time.perf_counter() - began
        small = await _product_ms(conn, staff[0], size.runs)
        began = time.perf_counter()
        await _load(conn, staff, first=1, last=tenth)
        load_s += time.perf_counter() - began
        found = await _look(conn, staff[0], size, small)
    setting = (
        f"{size.messages:,} messages in {size.conversations:,} conversations, "
        f"one person in {size.mine} of them"
    )
    figures: dict[str, Figure | Mapping[str, Figure]] = {**found.figures, "load_s": load_s}
    return Result("unread", setting, figures, found.failures)


@dataclass(frozen=True, slots=True)
class UnreadResult:
    figures: dict[str, Figure | Mapping[str, Figure]]
    failures: list[str]


async def _load(
    conn: asyncpg.Connection[asyncpg.Record], staff: list[int], *, first: int, last: int
) -> None:
    structures = await archive.structures(conn)
    await archive.bare(conn, structures)
    await archive.write(conn, staff, first=first, last=last)
    await archive.dressed(conn, structures)


def _product(me: int, pairs: list[tuple[int, int]]) -> dict[str, Statement]:
    async def badge(conn: Conn) -> Any:
        return total(await receipts.unread(conn, me))

    return {
        "list": lambda conn: listing.page(conn, me, limit=MAX_CONVERSATIONS + 1),
        "total": badge,
        "recipients": lambda conn: receipts.unread_of(conn, pairs),
    }


async def _product_ms(
    conn: asyncpg.Connection[asyncpg.Record], me: int, runs: int
) -> dict[str, float]:
    statements = _product(me, await _recipients(conn, me))
    return {name: await _median_ms(conn, one, runs) for name, one in statements.items()}


async def _recipients(conn: asyncpg.Connection[asyncpg.Record], me: int) -> list[tuple[int, int]]:
    """Return whose counts a node reads after a message: those of one conversation, and me."""
    rooms = await archive.rooms_of(conn, me)
    return [(me, conversation_id) for conversation_id, _ in rooms[:RECIPIENTS]]


async def _look(
    conn: asyncpg.Connection[asyncpg.Record],
    me: int,
    size: UnreadVolume,
    small: Mapping[str, float],
) -> UnreadResult:
    ms: dict[str, Figure] = {**await _product_ms(conn, me, size.runs)}
    one_by_one: Statement = lambda c: _one_by_one(c, me)  # noqa: E731 - a statement like the others
    unbounded: Statement = lambda c: archive.count_unbounded(c, me)  # noqa: E731
    ms["n_plus_1"] = await _median_ms(conn, one_by_one, max(3, size.runs // 10))
    ms["unbounded"] = await _median_ms(conn, unbounded, UNBOUNDED_RUNS)
    counted = {one.conversation_id: one.unread for one in await receipts.unread(conn, me)}
    same = counted == await _one_by_one(conn, me) == await archive.count_unbounded(conn, me)
    plans = await _plans(conn, _product(me, await _recipients(conn, me)))
    samples = [scan for name in ("total", "recipients") for scan in _scans(plans[name], "messages")]
    looks_at_rows = [
        scan["Node Type"] for scan in samples if scan["Node Type"] != "Index Only Scan"
    ]
    heap_fetches = sum(
        scan.get("Heap Fetches", 0) for plan in plans.values() for scan in _scans(plan, "messages")
    )
    figures: dict[str, Figure | Mapping[str, Figure]] = {
        "ms": ms,
        "growth_10x": ms["total"] / small["total"],
        "growth_10x_list": ms["list"] / small["list"],
        "n_plus_1_per_total": ms["n_plus_1"] / ms["total"],
        "unbounded_per_total": ms["unbounded"] / ms["total"],
        "heap_fetches": heap_fetches,
        "unread": sum(counted.values()),
        "unread_conversations": len(counted),
    }
    failures = []
    if not same:
        failures.append("the three ways of counting do not agree")
    if heap_fetches:
        failures.append(f"{heap_fetches} rows were opened to be counted")
    if looks_at_rows:
        failures.append(f"messages were counted by {', '.join(sorted({*looks_at_rows}))}")
    return UnreadResult(figures, failures)


async def _one_by_one(conn: Any, me: int) -> dict[int, int]:
    counted = {
        conversation_id: await archive.count_one(conn, me, conversation_id, read_to)
        for conversation_id, read_to in await archive.rooms_of(conn, me)
    }
    return {conversation_id: count for conversation_id, count in counted.items() if count}


async def _median_ms(conn: Conn, statement: Statement, runs: int) -> float:
    took: list[float] = []
    for number in range(-max(1, runs // 10), runs):  # those before 0 warm up
        began = time.perf_counter()
        await statement(conn)
        if number >= 0:
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1_000 if took else math.nan


async def _plans(
    conn: Conn, statements: Mapping[str, Statement]
) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for name, statement in statements.items():
        explaining = PlanRecorder(conn)
        await statement(explaining)  # type: ignore[arg-type]  # it has what statements use
        found[name] = explaining.plans
    return found


def _scans(plans: list[dict[str, Any]], relation: str) -> Iterator[dict[str, Any]]:
    for plan in plans:
        if plan.get("Relation Name") == relation:
            yield plan
        yield from _scans(plan.get("Plans", []), relation)
