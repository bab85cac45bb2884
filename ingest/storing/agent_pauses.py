"""The marks of agents' telephones, folded again for new agent.* events (fold/agent_marks.py).

store ─▶ refold ─▶ AgentChange ─▶ announce. The marks of a telephone are a function of the set of
its newest 100 events and the new ones, so repetition has no effect, and the order of arrival none
but between equal times; what none of them mentions stays as it was. A PBX that restarts reports all
telephones at once: they are folded a few at a time, and other tasks run in between.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from ingest.conn import Conn
from ingest.fold.agent_marks import AGENT_EVENTS, ALL_QUEUES, current_marks
from ingest.model.agent_mark import AgentMark, Telephone
from ingest.model.events import CallEvent
from ingest.queries import agent_pauses as queries

MAX_EVENTS = 100
MAX_EVENTS_REBUILT = 1_000
"""The newest events of a telephone from which a rebuild folds its marks: more than a new event is
folded with, so that a login before many pauses is found."""
TELEPHONES_AT_ONCE = 10
"""Telephones folded without a pause: a thousand events, 12 to 17 ms of CPU."""


@dataclass(frozen=True, slots=True)
class AgentChange:
    """A committed change of one telephone's login or pause, or a late event about it."""

    source: str
    extension: str
    queues: frozenset[str]
    """The queues concerned: those of the events, or all in which the telephone has a mark."""
    since: datetime | None = None
    """The earliest time of the new events; None: it is not known which events are new."""
    unchanged: bool = False
    """The event came late: the marks are as before, but statistics of that day may change."""


async def refold(conn: Conn, new: Iterable[CallEvent]) -> list[AgentChange]:
    """Fold the telephones of new events; save and return their changes. The caller commits."""
    fresh: dict[Telephone, list[datetime]] = defaultdict(list)
    for event in _of_agents(new):
        fresh[event.source, event.extension or ""].append(event.occurred_at)
    telephones = sorted(fresh)
    changes: list[AgentChange] = []
    for first in range(0, len(telephones), TELEPHONES_AT_ONCE):
        some = telephones[first : first + TELEPHONES_AT_ONCE]
        changes += await _refold(
            conn,
            {one: MAX_EVENTS + len(fresh[one]) for one in some},
            since={one: min(fresh[one]) for one in some},
        )
        await asyncio.sleep(0)  # let other tasks run
    return changes


async def refold_stored(conn: Conn, telephones: Iterable[Telephone]) -> list[AgentChange]:
    """Fold these telephones from their stored events; save and return those that were wrong."""
    found = await _refold(conn, dict.fromkeys(telephones, MAX_EVENTS_REBUILT), since={})
    return [change for change in found if not change.unchanged]


async def _refold(
    conn: Conn, telephones: Mapping[Telephone, int], *, since: Mapping[Telephone, datetime]
) -> list[AgentChange]:
    """Fold telephones, each from the given number of its newest events."""
    known = await queries.load(conn, list(telephones))
    stored = await queries.events(conn, telephones)
    changes: list[AgentChange] = []
    written: list[AgentMark] = []
    for telephone in telephones:
        before = known.get(telephone, {})
        after = current_marks(stored.get(telephone, ()), before)
        changed = [mark for queue, mark in after.items() if mark != before.get(queue)]
        written += changed
        # A late event changes no mark, but may change the statistics of its day.
        changes.append(_change(telephone, changed, after, since.get(telephone)))
    if written:
        await queries.save(conn, written)
    return changes


async def current_changes(conn: Conn, events: Iterable[CallEvent]) -> list[AgentChange]:
    """Return the telephones of a batch as changed, since it is not known whether they did."""
    telephones = {(event.source, event.extension or "") for event in _of_agents(events)}
    known = await queries.load(conn, sorted(telephones))
    return [_change(telephone, marks.values(), marks) for telephone, marks in known.items()]


def _of_agents(events: Iterable[CallEvent]) -> Iterator[CallEvent]:
    return (e for e in events if e.extension and e.type in AGENT_EVENTS)


def _change(
    telephone: Telephone,
    changed: Iterable[AgentMark],
    known: Mapping[str, AgentMark],
    since: datetime | None = None,
) -> AgentChange:
    queues = {mark.queue for mark in changed}
    if ALL_QUEUES in queues:
        queues |= set(known)
    return AgentChange(*telephone, frozenset(queues - {ALL_QUEUES}), since, unchanged=not queues)
