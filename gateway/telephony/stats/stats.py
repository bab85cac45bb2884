"""Statistics of calls: `overview`, `queues`, `agents`, for those with stats.view.

rest ─▶ read ─▶ answers (kept for a minute in Redis) ─▶ queries ─▶ rates. PostgreSQL counts; what
comes into Python is one row for each line of the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal
from zoneinfo import available_timezones

import asyncpg
import orjson

from gateway.auth.permissions import STATS_VIEW
from gateway.context import Context
from gateway.db import Conn
from gateway.errors import DatabaseUnavailable, Invalid
from gateway.protocol import codec
from gateway.protocol.stats import (
    MAX_DAYS,
    MAX_GAPS,
    MAX_ROWS,
    AgentStats,
    Method,
    QueueStats,
    StatsAgents,
    StatsAsked,
    StatsOverview,
    StatsQueues,
    WeekHour,
)
from gateway.telephony.stats.queries import stats as queries
from gateway.telephony.stats.queries import stats_agents, stats_queues
from gateway.telephony.stats.queries.stats import StatsFilter
from gateway.telephony.stats.rates import handling, rate, service

STATEMENT_S = 15.0
"""A year of calls takes seconds; commands are given up sooner."""

TOO_LONG = "Counting took too long: ask for less time or for one queue, or again later."

Kind = Literal["overview", "agents", "queues"]


@dataclass(frozen=True, slots=True)
class StatsRequest:
    """What is asked for, and how service levels are reckoned."""

    filter: StatsFilter
    method: Method


async def read(ctx: Context, kind: Kind, request: StatsRequest) -> bytes:
    """Return an answer as it is printed: kept by somebody less than a minute ago, or counted."""
    ctx.identity.require(STATS_VIEW)
    criteria, answers = request.filter, ctx.services.stats_cache
    check_period(criteria.since, criteria.until)
    check_zone(criteria.tz)
    services = replace(ctx.services, timeout_s=STATEMENT_S)

    async def count() -> bytes:
        try:
            async with services.connection() as conn:
                return codec.encode(await compute(conn, kind, request))
        except DatabaseUnavailable as error:
            if isinstance(error.__cause__, TimeoutError | asyncpg.QueryCanceledError):
                raise DatabaseUnavailable(TOO_LONG) from error
            raise

    if answers is None:
        return await count()
    return await answers.get(_key(kind, request), count, since=criteria.since, until=criteria.until)


def period(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """Return the time that is asked for; without one, the seven days up to this minute."""
    end = until or datetime.now(UTC).replace(second=0, microsecond=0)
    return since or end - timedelta(days=7), end


def check_period(since: datetime, until: datetime) -> None:
    """Refuse a time that is none, or is too long."""
    if until <= since:
        raise Invalid("until must be after since.", path="until")
    if until - since > timedelta(days=MAX_DAYS):
        raise Invalid(f"At most {MAX_DAYS} days.", path="until")


def check_zone(tz: str) -> None:
    """Refuse a zone that nobody knows, and names of what this machine happens to have."""
    if tz not in _zones():
        raise _no_zone()


async def compute(
    conn: Conn, kind: Kind, request: StatsRequest
) -> StatsOverview | StatsAgents | StatsQueues:
    """Count now."""
    count: Callable[[Conn, StatsRequest], Awaitable[Any]] = {
        "overview": _overview,
        "agents": _agents,
        "queues": _queues,
    }[kind]
    try:
        async with conn.transaction(readonly=True, isolation="repeatable_read"):
            await queries.tune_planner(conn)
            return await count(conn, request)  # type: ignore[no-any-return]
    except asyncpg.InvalidParameterValueError:  # a zone that PostgreSQL's list has not
        raise _no_zone() from None


async def _overview(conn: Conn, request: StatsRequest) -> StatsOverview:
    criteria = request.filter
    row = await queries.overview(conn, criteria)
    counts = ("calls", "inbound", "outbound", "internal", "live", "inbound_answered",
              "inbound_missed", "outbound_answered", "repeated")  # fmt: skip
    return StatsOverview(
        asked=_to_wire(criteria),
        **{name: row[name] for name in counts},
        inbound_answer_rate=rate(row["inbound_answered"], row["inbound"]),
        outbound_answer_rate=rate(row["outbound_answered"], row["outbound"]),
        repeat_rate=rate(row["repeated"], row["inbound"]),
        peak=row["peak"] or 0,
        service=service(row, request.method, criteria.threshold_ms),
        handling=handling(row, wrap_ms=None if criteria.direction else row["wrap_ms"] or 0),
        hours=[
            WeekHour(**cell, per_hour=round(cell["calls"] / cell["hours"], 6))
            for cell in row["hours"]
        ],
        incomplete_hours=await queries.gaps(conn, criteria, limit=MAX_GAPS),
    )


async def _queues(conn: Conn, request: StatsRequest) -> StatsQueues:
    criteria = request.filter
    rows = await stats_queues.read(conn, criteria, limit=MAX_ROWS)
    return StatsQueues(
        asked=_to_wire(criteria),
        queues=[
            QueueStats(
                queue=row["queue"],
                service=service(row, request.method, criteria.threshold_ms),
                handling=handling(
                    row,
                    wrap_ms=None if criteria.direction else row["wrap_ms"] or 0,
                    answered=row["answered"],
                ),
            )
            for row in rows
        ],
        incomplete_hours=await queries.gaps(conn, criteria, limit=MAX_GAPS),
    )


async def _agents(conn: Conn, request: StatsRequest) -> StatsAgents:
    criteria = request.filter
    rows = await stats_agents.read(conn, criteria, limit=MAX_ROWS)
    # Of some of the calls nobody can say how much of a day they filled.
    whole = criteria.direction is None and criteria.queue is None
    return StatsAgents(
        asked=_to_wire(criteria),
        agents=[_agent(row, whole=whole) for row in rows],
        incomplete_hours=await queries.gaps(conn, criteria, limit=MAX_GAPS),
    )


def _agent(row: dict[str, Any], *, whole: bool) -> AgentStats:
    talking, working, away = (row[f"{name}_ms"] or 0 for name in ("talking", "working", "away"))
    staffed, pause, wrap = row["staffed_ms"] or 0, away - working, working - talking
    names = ("employee_id", "telephone", "offered", "answered", "no_answer", "rejected",
             "answered_elsewhere", "placed")  # fmt: skip
    return AgentStats(
        **{name: row[name] for name in names},
        answer_rate=rate(row["answered"], row["offered"] - row["answered_elsewhere"]),
        ring_avg_ms=rate(row["ring_ms"], row["rings"]),
        handling=handling(row, wrap_ms=wrap if whole else None),
        pause_ms=pause if whole else None,
        staffed_ms=staffed if whole else None,
        occupancy=rate(working, staffed - pause) if whole else None,
    )


def _to_wire(criteria: StatsFilter) -> StatsAsked:
    return StatsAsked(
        since=criteria.since,
        until=criteria.until,
        tz=criteria.tz,
        direction=criteria.direction,  # type: ignore[arg-type]  # checked by the route
        queue=criteria.queue,
        agent_id=criteria.agent_id,
        short_s=criteria.short_ms / 1_000,
    )


def _key(kind: Kind, request: StatsRequest) -> str:
    return f"{kind}:{orjson.dumps(request).decode()}"


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones()) - {"Factory", "localtime"}


def _no_zone() -> Invalid:
    return Invalid("This time zone is not known: Europe/Kyiv, UTC …", path="tz")
