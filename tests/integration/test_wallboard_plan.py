"""PostgreSQL's plans for the live statements, and that they agree with the statistics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.db import Conn, connect
from gateway.telephony.agents import agents, wallboard
from gateway.telephony.agents.queries import agents as agent_queries
from gateway.telephony.agents.queries import queues
from gateway.telephony.calls.queries import calls
from gateway.telephony.stats import rates
from gateway.telephony.stats.queries import stats_queues
from gateway.telephony.stats.queries.stats import StatsFilter
from loadtests.generated_calls import QUEUES, CallGenerator
from loadtests.queries import callstats
from tests.support.query_plans import Explaining

LARGE = {"call_sessions", "queue_stints", "call_legs"}


@pytest.fixture(scope="module")
async def conn(module_database: str) -> AsyncIterator[Conn]:
    """Yield a connection to a database with 4,000 calls of four days, up to now."""
    conn = await connect(module_database, application_name="test")
    maker = CallGenerator(3, datetime.now(UTC) - timedelta(days=4), 4, numbers=500)
    for made in maker.batches(4_000):
        await callstats.store(conn, made)
    await conn.execute(
        "INSERT INTO realtime.agent_marks (source, extension, queue, logged_in, paused)"
        " SELECT 'main', (100 + n)::text, 'sales', true, n % 3 = 0 FROM generate_series(1, 9) AS n"
    )
    await callstats.settle(conn)
    yield conn
    await conn.close()


def day(now: datetime) -> dict[str, Any]:
    """Return the arguments for the last 24 hours."""
    return {
        "since": now - timedelta(days=1), "until": now + timedelta(hours=1),
        "threshold_ms": rates.THRESHOLD_MS, "short_ms": rates.SHORT_MS,
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_only_live_calls_and_the_days_stints_are_read(conn: Conn, mode: str) -> None:
    """No table is gone through, whatever it holds of other days; a queue costs at most its day.

    Of so few rows PostgreSQL reads all of the day for each queue, of many only the queue's own.
    """
    today = await conn.fetchval(
        "SELECT count(*) FROM realtime.queue_stints WHERE entered_at > now() - interval '1 day'"
    )
    explaining: Any = Explaining(conn, mode)

    await queues.live(explaining, list(QUEUES), **day(datetime.now(UTC)))
    counted = list(explaining.reads())
    await agent_queries.read(explaining, [1, 2], list(QUEUES), with_their_queues=True)
    reads = list(explaining.reads())
    ago = datetime.now(UTC) - timedelta(seconds=90)
    newest: Any = Explaining(conn, "auto")  # PostgreSQL keeps no plan of it: hours decide
    await calls.changed_since(newest, ago, until=datetime.now(UTC), hours=2, limit=500)
    reads += newest.reads()

    for table, how, rows in counted + reads:
        assert not (table in LARGE and how == "Seq Scan"), (table, how)
        assert table != "call_sessions" or rows < 200, (table, how, rows)
    stints = sum(rows for table, _, rows in counted if table == "queue_stints")
    assert 0 < stints < today * len(QUEUES) + 200


async def test_the_live_counts_equal_the_statistics_of_the_day(conn: Conn) -> None:
    """Two independent statements return the same for each queue."""
    now = datetime.now(UTC)
    what = day(now)
    asked = StatsFilter(**what, tz="UTC", direction=None, queue=None, agent_id=None)
    names = ("offered", "answered", "abandoned", "short_abandoned", "answered_in_time")

    live = await queues.live(conn, [*QUEUES, "nobody's"], **what)
    counted = await stats_queues.read(conn, asked, limit=100)

    shown = {row.queue: {name: getattr(row, name) for name in names} for row in live}
    assert shown.pop("nobody's") == dict.fromkeys(names, 0)
    assert shown == {
        row.queue: {name: getattr(row.waits, name) for name in names} for row in counted
    }
    assert await queues.names(conn, after="", limit=100) == sorted(QUEUES)
    assert await queues.names(conn, after="parts", limit=2) == ["sales", "service"]


async def test_telephones_without_an_employee_are_counted_as_agents(conn: Conn) -> None:
    """An employee counts once with all telephones; a telephone of nobody is an agent, too."""
    found = await agents.read(conn, [], ["sales"])
    members = [agent for agent in found if "sales" in {mark.queue for mark in agent.record.marks}]
    counted = agents.count(found, "sales")

    assert len(members) == 9
    assert {agent.employee_id for agent in members} == {1, 2, 3, 4, 5, None}
    assert counted.total >= 9
    parts = counted.available + counted.ringing + counted.talking + counted.wrap_up
    assert parts + counted.paused == counted.total
    assert counted.paused <= 3


def test_a_day_begins_at_its_own_midnight() -> None:
    """Also where clocks change, and where there is no midnight: Santiago skips it in September."""
    kyiv = wallboard.today("Europe/Kyiv", datetime(2026, 3, 29, 12, tzinfo=UTC))
    santiago = wallboard.today("America/Santiago", datetime(2026, 9, 6, 12, tzinfo=UTC))
    before = wallboard.today("America/Santiago", datetime(2026, 9, 5, 12, tzinfo=UTC))

    assert kyiv.until - kyiv.since == timedelta(hours=23)
    assert kyiv.since == datetime(2026, 3, 28, 22, tzinfo=UTC)
    assert santiago.since == before.until
    assert santiago.until == datetime(2026, 9, 7, 3, tzinfo=UTC)
