"""What publishing costs PostgreSQL beside a plain INSERT, and how many events a relay moves.

scenarios/jobs.py ─▶ here. Of publishing, the CPU time of PostgreSQL's process is measured, for a
transaction of one prepared statement, COMMIT included: what a CRM's transaction adds or waits for
elsewhere is in neither side.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager
from statistics import median

from gateway.bus import Announcement
from gateway.db import Conn
from gateway.events.relay import Relay
from loadtests.process_cost import MeasuredProcess
from loadtests.queries import events as queries
from loadtests.queries import statements
from loadtests.report import Figure

TURNS, WARM_UP = 9, 2
CALLS = 500
"""Of each kind in a turn."""
RELAYED = 10_000

Connect = Callable[[], AbstractAsyncContextManager[Conn]]


async def publish_ratios(
    conn: Conn, *, calls: int = CALLS, turns: int = TURNS
) -> dict[str, Figure]:
    """Return what publishing costs, in times of a plain INSERT: medians of alternating turns."""
    process = MeasuredProcess(conn.get_server_pid())
    number = 0

    async def keyed() -> None:
        nonlocal number
        number += 1
        await queries.publish_keyed(conn, f"work_order:{number}")

    kinds: list[Callable[[], Awaitable[None]]] = [
        lambda: queries.insert(conn),
        lambda: queries.publish(conn),
        keyed,
    ]
    took: list[list[float]] = []
    for _ in range(WARM_UP + turns):
        turn = []
        for kind in kinds:
            before = process.cpu_s()
            for _ in range(calls):
                await kind()
            turn.append(process.cpu_s() - before)
        took.append(turn)
        await queries.clear(conn)
    kept = took[WARM_UP:]
    return {
        "publish_per_insert": median(published / plain for plain, published, _ in kept),
        "keyed_publish_per_insert": median(published / plain for plain, _, published in kept),
        "insert_us": median(plain for plain, _, _ in kept) * 1e6 / calls,
        "publish_executor_per_insert": await _executor_ratio(conn, kinds[:2], calls),
    }


async def _executor_ratio(
    conn: Conn, kinds: list[Callable[[], Awaitable[None]]], calls: int
) -> Figure:
    """Return the same of the executor alone; without pg_stat_statements, not a number."""
    if not await statements.can_count(conn):
        return float("nan")
    await queries.forget_times(conn)
    for _ in range(calls):
        for kind in kinds:
            await kind()
    plain = await queries.executor_us(conn, "INTO realtime.events_outbox")
    published = await queries.executor_us(conn, "realtime.publish(")
    await queries.clear(conn)
    return published / plain


async def relay_per_s(connect: Connect, *, events: int = RELAYED) -> Figure:
    """Return how many events a second one relay moves and announces, when so many wait."""
    announced = 0

    def publish(announcements: Collection[Announcement]) -> None:
        nonlocal announced
        announced += len(announcements)

    relay = Relay(connect, publish, poll_s=1.0)
    async with connect() as conn:
        await queries.publish_many(conn, events)
    began = time.perf_counter()
    while await relay.round():
        pass
    took = time.perf_counter() - began
    assert announced == relay.relayed == events
    async with connect() as conn:
        await queries.clear(conn)
    return events / took
