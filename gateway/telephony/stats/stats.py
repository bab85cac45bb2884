"""Statistics of calls: `overview`, `queues`, `agents`, for those with stats.view.

rest ─▶ read ─▶ stats_cache (one minute in Redis) ─▶ queries ─▶ rates. PostgreSQL counts; Python
receives one row for each line of the answer.
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
from gateway.telephony.stats import pauses
from gateway.telephony.stats.counts import AgentCounts
from gateway.telephony.stats.queries import stats as queries
from gateway.telephony.stats.queries import stats_agents, stats_queues
from gateway.telephony.stats.queries.stats import StatsFilter
from gateway.telephony.stats.rates import handling, rate, service

STATEMENT_S = 15.0
"""Timeout of a statement: a year of calls takes seconds, more than a command may take."""

TOO_LONG = "Counting took too long: choose a shorter period or one queue, or try again later."

Kind = Literal["overview", "agents", "queues"]


@dataclass(frozen=True, slots=True)
class StatsRequest:
    """What is counted, and by which method service levels are computed."""

    filter: StatsFilter
    method: Method


async def read(ctx: Context, kind: Kind, request: StatsRequest) -> bytes:
    """Return an answer as JSON: cached at most a minute ago by anybody, or counted now."""
    ctx.identity.require(STATS_VIEW)
    if kind == "agents":
        ctx.services.crm_views.require("extensions")
    criteria, cache = request.filter, ctx.services.stats_cache
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

    if cache is None:
        return await count()
    return await cache.get(_key(kind, request), count, since=criteria.since, until=criteria.until)


def period(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """Return the period; what is not given becomes the seven days up to this minute."""
    end = until or datetime.now(UTC).replace(second=0, microsecond=0)
    return since or end - timedelta(days=7), end


def check_period(since: datetime, until: datetime) -> None:
    """Raise Invalid for a period that is empty or too long."""
    if until <= since:
        raise Invalid("until must be after since.", path="until")
    if until - since > timedelta(days=MAX_DAYS):
        raise Invalid(f"At most {MAX_DAYS} days.", path="until")


def check_zone(tz: str) -> None:
    """Raise Invalid for an unknown time zone, and for names that only this machine has."""
    if tz not in _zones():
        raise _no_zone()


async def compute(
    conn: Conn, kind: Kind, request: StatsRequest
) -> StatsOverview | StatsAgents | StatsQueues:
    """Count now, all statements on one snapshot of the database."""
    count: Callable[[Conn, StatsRequest], Awaitable[Any]] = {
        "overview": _overview,
        "agents": _agents,
        "queues": _queues,
    }[kind]
    try:
        async with conn.transaction(readonly=True, isolation="repeatable_read"):
            await queries.tune_planner(conn)
            return await count(conn, request)  # type: ignore[no-any-return]
    except asyncpg.InvalidParameterValueError:  # a zone that PostgreSQL does not know
        raise _no_zone() from None


async def _overview(conn: Conn, request: StatsRequest) -> StatsOverview:
    criteria = request.filter
    counted = await queries.overview(conn, criteria)
    wrap_ms = None
    if criteria.direction is None:  # a pause has none
        paused = await pauses.read(conn, criteria, by_queue=criteria.queue is not None)
        wrap_ms = paused.wrap_up_ms(criteria.queue)
    return StatsOverview(
        asked=_to_wire(criteria),
        calls=counted.calls,
        inbound=counted.inbound,
        outbound=counted.outbound,
        internal=counted.internal,
        live=counted.live,
        inbound_answered=counted.inbound_answered,
        inbound_missed=counted.inbound_missed,
        inbound_voicemail=counted.inbound_voicemail,
        outbound_answered=counted.outbound_answered,
        repeated=counted.repeated,
        inbound_answer_rate=rate(counted.inbound_answered, counted.inbound),
        outbound_answer_rate=rate(counted.outbound_answered, counted.outbound),
        repeat_rate=rate(counted.repeated, counted.inbound),
        peak=counted.peak,
        service=service(counted.waits, request.method, criteria.threshold_ms),
        handling=handling(counted.talks, wrap_ms=wrap_ms),
        hours=[
            WeekHour(
                weekday=one.weekday,
                hour=one.hour,
                calls=one.calls,
                hours=one.hours,
                incomplete=one.incomplete,
                per_hour=round(one.calls / one.hours, 6),
            )
            for one in counted.hours
        ],
        incomplete_hours=await queries.gaps(conn, criteria, limit=MAX_GAPS),
    )


async def _queues(conn: Conn, request: StatsRequest) -> StatsQueues:
    criteria = request.filter
    rows = await stats_queues.read(conn, criteria, limit=MAX_ROWS)
    paused = None if criteria.direction else await pauses.read(conn, criteria, by_queue=True)
    return StatsQueues(
        asked=_to_wire(criteria),
        queues=[
            QueueStats(
                queue=row.queue,
                service=service(row.waits, request.method, criteria.threshold_ms),
                handling=handling(
                    row.talks,
                    wrap_ms=paused.wrap_up_ms(row.queue) if paused else None,
                    answered=row.waits.answered,
                ),
            )
            for row in rows
        ],
        incomplete_hours=await queries.gaps(conn, criteria, limit=MAX_GAPS),
    )


async def _agents(conn: Conn, request: StatsRequest) -> StatsAgents:
    criteria = request.filter
    # For a part of the calls it is unknown how much of an agent's day they filled.
    whole = criteria.direction is None and criteria.queue is None
    paused = (await pauses.read(conn, criteria, by_queue=False)).pauses if whole else []
    rows = await stats_agents.read(conn, criteria, limit=MAX_ROWS, pauses=paused)
    return StatsAgents(
        asked=_to_wire(criteria),
        agents=[_agent(row, whole=whole) for row in rows],
        incomplete_hours=await queries.gaps(conn, criteria, limit=MAX_GAPS),
    )


def _agent(row: AgentCounts, *, whole: bool) -> AgentStats:
    pause_ms, wrap_ms = row.away_ms - row.working_ms, row.working_ms - row.talking_ms
    return AgentStats(
        employee_id=row.employee_id,
        telephone=row.telephone,
        offered=row.offered,
        answered=row.answered,
        no_answer=row.no_answer,
        rejected=row.rejected,
        answered_elsewhere=row.answered_elsewhere,
        placed=row.placed,
        answer_rate=rate(row.answered, row.offered - row.answered_elsewhere),
        ring_avg_ms=rate(row.ring_ms, row.rings),
        handling=handling(row.talks, wrap_ms=wrap_ms if whole else None),
        pause_ms=pause_ms if whole else None,
        staffed_ms=row.staffed_ms if whole else None,
        occupancy=rate(row.working_ms, row.staffed_ms - pause_ms) if whole else None,
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
    return Invalid("Unknown time zone; valid are Europe/Kyiv, UTC …", path="tz")
