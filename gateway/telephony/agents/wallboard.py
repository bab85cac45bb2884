"""Queues as they are now, for those with stats.view: snapshots for sockets and REST.

queries, agents ─▶ read ─▶ QueueLive. Two statements for any number of queues. The live service
level follows Cisco's rule: a call counts from the moment when it is answered, is abandoned, or has
waited longer than the threshold, whichever is first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gateway.auth.permissions import CALLS_VIEW_ALL, STATS_VIEW
from gateway.batch_loader import in_portions
from gateway.context import Context, Services
from gateway.db import Conn
from gateway.protocol import codec
from gateway.protocol.stats import ServiceLevel
from gateway.protocol.wallboard import (
    MAX_SHOWN_AGENTS,
    MAX_WATCHED_QUEUES,
    AgentState,
    QueueLive,
    QueuePage,
    QueueToday,
    QueueWatch,
)
from gateway.telephony.agents import agents
from gateway.telephony.agents.agents import Agent
from gateway.telephony.agents.queries import agents as agent_queries
from gateway.telephony.agents.queries import queues as queries
from gateway.telephony.agents.queries.queues import QueueFigures
from gateway.telephony.stats.rates import SHORT_MS, THRESHOLD_MS, rate
from gateway.telephony.stats.stats import check_zone

QUEUES_AT_ONCE = 5
"""Queues made of rows without a pause: 1 ms with 100 agents each."""

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
    members = await by_queue(people)
    return [
        QueueSnapshot(_to_wire(row, day, members.get(row.queue, ())), row.next_late)
        async for row in in_portions(rows, QUEUES_AT_ONCE)
    ]


async def by_queue(people: Sequence[Agent]) -> dict[str, list[Agent]]:
    """Return queue → its agents."""
    members: dict[str, list[Agent]] = {}
    async for agent in in_portions(people, agent_queries.AT_ONCE):
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


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """What one watcher wants to see."""

    queues: tuple[str, ...] | None
    """None: all, the first 200 by name."""
    agents: bool
    tz: str


class WatchedStates(NamedTuple):
    """What one watcher is shown."""

    queues: list[QueueLive]
    """By name."""
    agents: list[AgentState]
    """By id."""
    encoded: tuple[codec.JsonFragment, codec.JsonFragment]
    """Both, as they are sent."""


async def snapshots(services: Services, requests: Sequence[SnapshotRequest]) -> list[WatchedStates]:
    """Return queues and agents as they are now for several watchers, of one reading."""
    whole = any(one.queues is None for one in requests)
    days = {one.tz: today(one.tz) for one in requests}
    async with services.connection() as conn:
        every: Sequence[str] = ()
        employee_ids: Sequence[int] = ()
        if whole:
            every = await queries.names(conn, after="", limit=MAX_WATCHED_QUEUES)
        if any(one.queues is None and one.agents for one in requests):
            employee_ids = await agent_queries.employees(conn, after=0, limit=MAX_SHOWN_AGENTS)
        wanted: dict[LocalDay, set[str]] = {}
        for one in requests:
            wanted.setdefault(days[one.tz], set()).update(
                every if one.queues is None else one.queues
            )
        named = set().union(*wanted.values())
        people = await agents.read(conn, employee_ids, named) if named or employee_ids else []
        shown = {
            day: {one.queue.queue: one.queue for one in await read(conn, names, day, people)}
            for day, names in wanted.items()
        }
    states = [
        (agent.employee_id, agent.queues, agent.to_wire())
        async for agent in in_portions(people, agent_queries.AT_ONCE)
        if agent.employee_id is not None
    ]
    by_id = frozenset(employee_ids)
    found = []
    async for one in in_portions(requests, 1):
        names = sorted(set(every if one.queues is None else one.queues))
        queues, theirs = shown[days[one.tz]], set(names)
        of_queues = (
            state
            for employee_id, member_of, state in states
            if (one.queues is None and employee_id in by_id) or not theirs.isdisjoint(member_of)
        )
        listed = list(islice(of_queues, MAX_SHOWN_AGENTS)) if one.agents else []
        named_queues = [queues[name] for name in names if name in queues]
        shown_queues = await codec.list_stepwise(named_queues)
        shown_agents = await codec.list_stepwise(listed)
        found.append(WatchedStates(named_queues, listed, (shown_queues, shown_agents)))
    return found


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
