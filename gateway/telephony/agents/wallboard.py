"""Queues as they are now, for those with stats.view: snapshots for sockets and REST.

queries, agents ─▶ read ─▶ QueueLive. Two statements for any number of queues. The live service
level follows Cisco's rule: a call counts from the moment when it is answered, is abandoned, or has
waited longer than the threshold, whichever is first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.auth.permissions import CALLS_VIEW_ALL, STATS_VIEW
from gateway.context import Context
from gateway.db import Conn
from gateway.protocol.stats import ServiceLevel
from gateway.protocol.wallboard import (
    MAX_SHOWN_AGENTS,
    MAX_WATCHED_QUEUES,
    QueueLive,
    QueuePage,
    QueueToday,
    QueueWatch,
    QueueWatched,
)
from gateway.telephony.agents import agents
from gateway.telephony.agents.agents import Agent
from gateway.telephony.agents.queries import agents as agent_queries
from gateway.telephony.agents.queries import queues as queries
from gateway.telephony.agents.queries.queues import QueueFigures
from gateway.telephony.stats.rates import SHORT_MS, THRESHOLD_MS, rate
from gateway.telephony.stats.stats import check_zone

FORMULA = "answered_in_time / (answered + abandoned - short_abandoned + waiting_late)"


@dataclass(frozen=True, slots=True)
class LocalDay:
    """One day of a time zone, from midnight to midnight."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    """A queue, and when it changes due to time alone."""

    queue: QueueLive
    changes_at: datetime | None
    """When a waiting call will reach the threshold; None when none will."""


def today(tz: str, now: datetime | None = None) -> LocalDay:
    """Return the current day of a time zone."""
    zone = ZoneInfo(tz)
    date = (now or datetime.now(UTC)).astimezone(zone).date()
    first, last = (
        datetime.combine(day, time.min, zone).astimezone(UTC)
        for day in (date, date + timedelta(days=1))
    )
    return LocalDay(first, last)


async def read(
    conn: Conn, names: Collection[str], day: LocalDay, people: Sequence[Agent]
) -> list[QueueSnapshot]:
    """Return these queues; people must include all of their agents."""
    if not names:
        return []
    rows = await queries.live(
        conn,
        names,
        since=day.since,
        until=day.until,
        threshold_ms=THRESHOLD_MS,
        short_ms=SHORT_MS,
    )
    members = by_queue(people)
    return [
        QueueSnapshot(_to_wire(row, day, members.get(row.queue, ())), row.next_late) for row in rows
    ]


def by_queue(people: Sequence[Agent]) -> dict[str, list[Agent]]:
    """Return queue → its agents."""
    members: dict[str, list[Agent]] = {}
    for agent in people:
        for queue in agent.queues:
            members.setdefault(queue, []).append(agent)
    return members


def require_watch(ctx: Context, command: QueueWatch) -> None:
    """Raise Forbidden unless the employee may watch queues and, if asked for, their calls."""
    ctx.identity.require(STATS_VIEW)
    if command.calls:
        ctx.identity.require(CALLS_VIEW_ALL)


def may_watch(ctx: Context, *, calls: bool) -> bool:
    """Whether the employee may watch queues and, if asked for, their calls."""
    granted = ctx.identity.permissions
    return STATS_VIEW in granted and (not calls or CALLS_VIEW_ALL in granted)


async def snapshot(ctx: Context, command: QueueWatch, tz: str) -> QueueWatched:
    """Return the reply to queue.watch: the queues, and their agents, as they are now."""
    async with ctx.reading() as conn:
        everything = command.queues == "all"
        names: Sequence[str] = (
            await queries.names(conn, after="", limit=MAX_WATCHED_QUEUES)
            if everything
            else list(dict.fromkeys(command.queues))
        )
        employee_ids: list[int] = []
        if everything and command.agents:
            employee_ids = await agent_queries.employees(conn, after=0, limit=MAX_SHOWN_AGENTS)
        people = await agents.read(conn, employee_ids, names) if names or employee_ids else []
        shown = await read(conn, names, today(tz), people)
    states = [agent.to_wire() for agent in people if agent.employee_id is not None]
    return QueueWatched(
        queues=[one.queue for one in shown],
        agents=states[:MAX_SHOWN_AGENTS] if command.agents else [],
        tz=tz,
    )


async def page(ctx: Context, tz: str, *, after: str, limit: int) -> QueuePage:
    """Return a page of all queues, by name; needs stats.view."""
    ctx.identity.require(STATS_VIEW)
    check_zone(tz)
    async with ctx.reading() as conn:
        names = await queries.names(conn, after=after, limit=limit + 1)
        shown = names[:limit]
        people = await agents.read(conn, (), shown) if shown else []
        queues = await read(conn, shown, today(tz), people)
    return QueuePage(
        queues=[one.queue for one in queues],
        tz=tz,
        next=shown[-1] if len(names) > limit else None,
    )


def _to_wire(row: QueueFigures, day: LocalDay, members: Sequence[Agent]) -> QueueLive:
    return QueueLive(
        queue=row.queue,
        waiting=row.waiting,
        longest_since=row.longest_since,
        talking=row.talking,
        agents=agents.count(members, row.queue),
        today=QueueToday(
            since=day.since,
            offered=row.offered,
            answered=row.answered,
            abandoned=row.abandoned,
            short_abandoned=row.short_abandoned,
            service_level=_service_level(row),
        ),
        version=row.version,
    )


def _service_level(row: QueueFigures) -> ServiceLevel:
    counted = row.answered + row.abandoned - row.short_abandoned + row.late
    return ServiceLevel(
        method="sl6",
        formula=FORMULA,
        threshold_s=THRESHOLD_MS / 1_000,
        value=rate(row.answered_in_time, counted),
    )
