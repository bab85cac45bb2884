"""The pauses and wrap-ups of agents in a period, folded like their live state.

queries.pauses ─▶ read ─▶ stats. Events become states by ingest's TelephoneMarks, states become what
an agent does by agents.standing: both are the rules of the live state, so a pause may begin days
before the period, end by a logoff, or change its reason.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from gateway.db import Conn
from gateway.telephony.agents.standing import ALL_QUEUES, Standing, standing
from gateway.telephony.stats.counts import AgentPause
from gateway.telephony.stats.queries import pauses as queries
from gateway.telephony.stats.queries.stats import StatsFilter
from ingest import QueueState, TelephoneMarks, agent_order

MS = timedelta(milliseconds=1)

PAUSES = frozenset(("paused", "wrap_up"))
STATE_FIELDS = ("queue", "logged_in", "login_at", "paused", "reason", "paused_at")

Telephone = tuple[str, str]
"""(source, extension)."""
Pause = tuple[str, Standing, datetime, datetime]
"""Queue ('': all), paused or wrap_up, beginning, end."""


class AgentEvent(NamedTuple):
    """A login, logoff, pause or its end, of one telephone; in their order as tuples."""

    order: tuple[Any, ...]
    telephone: Telephone
    kind: str
    queue: str | None
    reason: str | None
    joins_paused: bool


@dataclass(slots=True)
class PauseTimes:
    """The pauses of all agents in a period."""

    pauses: list[AgentPause] = field(default_factory=list)
    """In all of an agent's queues, as the agent's state shows it."""
    wrap_ups: dict[str, timedelta] = field(default_factory=lambda: defaultdict(timedelta))
    """Wrap-up in each queue, added up over its agents; '': in all queues of an agent."""

    def wrap_up_ms(self, queue: str | None) -> int:
        """Return the milliseconds of wrap-up in a queue; None: in all queues of an agent."""
        return self.wrap_ups.get(queue or ALL_QUEUES, timedelta()) // MS


async def read(conn: Conn, criteria: StatsFilter) -> PauseTimes:
    """Fold the pauses of a period, up to now; of one employee, if the criteria name one."""
    events, known = await _load(conn, criteria)
    until = min(criteria.until, await queries.clock(conn))
    times = PauseTimes()
    for person in {**events, **known}:
        mine = events.get(person, ()), known.get(person, {})
        for queue, stands, began, ended in fold_person(*mine, criteria.since, until):
            if queue == ALL_QUEUES:
                times.pauses.append(AgentPause(person, began, ended, stands == "wrap_up"))
            if stands == "wrap_up":
                times.wrap_ups[queue] += ended - began
        await asyncio.sleep(0)  # let other tasks run
    return times


async def _load(
    conn: Conn, criteria: StatsFilter
) -> tuple[dict[str, list[AgentEvent]], dict[str, dict[Telephone, list[QueueState]]]]:
    """Return the events of each person, and the older marks of queues that none of them names."""
    events: dict[str, list[AgentEvent]] = defaultdict(list)
    mentioned: set[tuple[str, str, str]] = set()
    for row in await queries.events(conn, criteria):
        person, source, extension, at, told, kind, event_id, queue, reason, joins = row.values()
        order = agent_order(at, told, kind, event_id)
        phone = source, extension
        events[person].append(AgentEvent(order, phone, kind, queue, reason or None, bool(joins)))
        mentioned.add((source, extension, queue or ALL_QUEUES))
    known: dict[str, dict[Telephone, list[QueueState]]] = defaultdict(dict)
    for row in await queries.marks(conn, criteria):
        if (row["source"], row["extension"], row["queue"]) not in mentioned:
            fields = {name: row[name] for name in STATE_FIELDS}
            states = known[row["person"]].setdefault((row["source"], row["extension"]), [])
            states.append(QueueState(**fields))
    return events, known


def fold_person(
    events: Iterable[AgentEvent],
    known: dict[Telephone, list[QueueState]],
    since: datetime,
    until: datetime,
) -> Iterator[Pause]:
    """Yield one agent's pauses in [since, until): in each queue, and in all of them together.

    `known` are states of queues that none of the events names.
    """
    ordered = sorted(events)
    phones = {phone: TelephoneMarks(states) for phone, states in known.items()}
    for event in ordered:
        if event.telephone not in phones:
            phones[event.telephone] = TelephoneMarks()
    first = bisect_left(ordered, since, key=lambda event: event.order[0])
    for event in ordered[:first]:
        _apply(event, phones)
    doing: dict[str, tuple[Standing, datetime]] = {
        queue: (_standing_in(queue, phones), since) for queue in _queues(phones.values())
    }
    for at, told in groupby(ordered[first:], key=lambda event: event.order[0]):
        if at >= until:
            break
        touched = {ALL_QUEUES}
        for event in told:
            _apply(event, phones)
            touched |= {event.queue} if event.queue else phones[event.telephone].states.keys()
        for queue in touched:
            stands = _standing_in(queue, phones)
            before, began = doing.get(queue, ("ready", at))
            if stands != before:
                yield from _pause(queue, before, began, at)
                doing[queue] = stands, at
    for queue, (stands, began) in doing.items():
        yield from _pause(queue, stands, began, until)


def _apply(event: AgentEvent, phones: dict[Telephone, TelephoneMarks]) -> None:
    _, phone, kind, queue, reason, joins = event
    phones[phone].apply(kind, event.order[0], queue, reason, joins_paused=joins)


def _queues(phones: Iterable[TelephoneMarks]) -> set[str]:
    return {ALL_QUEUES}.union(*(phone.states for phone in phones))


def _standing_in(queue: str, phones: dict[Telephone, TelephoneMarks]) -> Standing:
    """Return what an agent does in this queue; '': by the states of all queues."""
    if queue == ALL_QUEUES:
        return standing([one for phone in phones.values() for one in phone.states.values()])
    return standing([phone.states[queue] for phone in phones.values() if queue in phone.states])


def _pause(queue: str, stands: Standing, began: datetime, ended: datetime) -> Iterator[Pause]:
    if stands in PAUSES and ended > began:
        yield queue, stands, began, ended
