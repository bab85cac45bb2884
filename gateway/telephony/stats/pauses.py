"""The pauses and wrap-ups of agents in a period, folded like their live state.

queries.pauses ─▶ read ─▶ stats. Events become states by ingest's TelephoneMarks, states become what
an agent does by agents.standing: both are the rules of the live state, so a pause may begin days
before the period, end by a logoff, or change its reason.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from gateway.db import Conn
from gateway.telephony.agents.standing import Standing, standing
from gateway.telephony.stats.counts import AgentPause
from gateway.telephony.stats.queries import pauses as queries
from gateway.telephony.stats.queries.stats import StatsFilter
from ingest import ALL_QUEUES, QueueState, TelephoneMarks

MS = timedelta(milliseconds=1)

PAUSES = frozenset(("paused", "wrap_up"))
STATE_FIELDS = ("queue", "logged_in", "login_at", "paused", "reason", "paused_at")

Pause = tuple[str, Standing, datetime, datetime]
"""Queue ('': all), paused or wrap_up, beginning, end."""


AgentReport = tuple[datetime, str, str | None, str | None, bool | None]
"""Of one telephone: when, which type of event, in which queue, why, paused at login. A plain tuple,
as a period has 100,000 of them."""

END: AgentReport = (datetime.max.replace(tzinfo=UTC), "", None, None, None)
"""After the last report."""


@dataclass(slots=True)
class PhoneHistory:
    """What was told of one telephone, in order, and its states in queues that were not named."""

    reports: Sequence[AgentReport] = ()
    known: list[QueueState] = field(default_factory=list)


@dataclass(slots=True)
class PauseTimes:
    """The pauses of all agents in a period: in each queue, or in all queues of an agent."""

    pauses: list[AgentPause] = field(default_factory=list)
    """In all of an agent's queues, as the agent's state shows it."""
    wrap_ups: dict[str, timedelta] = field(default_factory=lambda: defaultdict(timedelta))
    """Wrap-up in each queue, added up over its agents; '': in all queues of an agent."""

    def wrap_up_ms(self, queue: str | None) -> int:
        """Return the milliseconds of wrap-up in a queue; None: in all queues of an agent."""
        return self.wrap_ups.get(queue or ALL_QUEUES, timedelta()) // MS


async def read(conn: Conn, criteria: StatsFilter, *, by_queue: bool) -> PauseTimes:
    """Fold the pauses of a period, up to now; of one employee, if the criteria name one.

    by_queue: those in each queue, else those in all queues of an agent.
    """
    people = await _load(conn, criteria)
    until = min(criteria.until, await queries.clock(conn))
    times = PauseTimes()
    for person, phones in people.items():
        for queue, stands, began, ended in fold_person(
            phones, criteria.since, until, by_queue=by_queue
        ):
            if stands == "wrap_up":
                times.wrap_ups[queue] += ended - began
            if not by_queue:
                times.pauses.append(AgentPause(person, began, ended, stands == "wrap_up"))
        await asyncio.sleep(0)  # let other tasks run
    return times


async def _load(conn: Conn, criteria: StatsFilter) -> dict[str, list[PhoneHistory]]:
    """Return the telephones of each person."""
    phones: dict[tuple[str, str, str], PhoneHistory] = defaultdict(PhoneHistory)
    for row in await queries.events(conn, criteria):
        person, source, extension, *columns = row.values()
        phones[person, source, extension].reports = list(zip(*columns, strict=True))
    named = {
        phone: {queue or ALL_QUEUES for _, _, queue, _, _ in told.reports}
        for phone, told in phones.items()
    }
    for row in await queries.marks(conn, criteria):
        phone = row["person"], row["source"], row["extension"]
        if row["queue"] not in named.get(phone, ()):
            phones[phone].known.append(QueueState(**{name: row[name] for name in STATE_FIELDS}))
    people: dict[str, list[PhoneHistory]] = defaultdict(list)
    for (person, _, _), history in phones.items():
        people[person].append(history)
    return people


def fold_person(
    histories: Sequence[PhoneHistory], since: datetime, until: datetime, *, by_queue: bool
) -> Iterator[Pause]:
    """Yield the pauses of one agent in [since, until): in each queue, or in all of them.

    Of the telephones at one moment any may come first: they share no state.
    """
    phones = [TelephoneMarks(one.known) for one in histories]
    told = [
        (report, phone)
        for one, phone in zip(histories, phones, strict=True)
        for report in one.reports
    ]
    told.sort(key=_at)
    first = bisect_left(told, since, key=_at)
    for report, phone in told[:first]:
        phone.apply(*report)
    scopes = {ALL_QUEUES}
    if by_queue:
        scopes = {queue for phone in phones for queue in phone.states} - scopes
    doing = {queue: (_standing_in(queue, phones), since) for queue in scopes}
    touched: set[str] = set()
    for (report, phone), following in pairwise([*told[first:], (END, phones[0])]):
        at, _, queue, _, _ = report
        if at >= until:
            break
        phone.apply(*report)
        if not by_queue:
            touched.add(ALL_QUEUES)
        elif queue:
            touched.add(queue)
        else:
            touched |= phone.states.keys() - {ALL_QUEUES}
        if following[0][0] == at:
            continue
        for name in touched:
            stands = _standing_in(name, phones)
            before, began = doing.get(name, ("ready", at))
            if stands != before:
                yield from _pause(name, before, began, at)
                doing[name] = stands, at
        touched.clear()
    for name, (stands, began) in doing.items():
        yield from _pause(name, stands, began, until)


def _at(told: tuple[AgentReport, TelephoneMarks]) -> datetime:
    return told[0][0]


def _standing_in(queue: str, phones: Sequence[TelephoneMarks]) -> Standing:
    """Return what an agent does in this queue; '': by the states of all queues."""
    if queue == ALL_QUEUES:
        return standing([one for phone in phones for one in phone.states.values()])
    return standing([phone.states[queue] for phone in phones if queue in phone.states])


def _pause(queue: str, stands: Standing, began: datetime, ended: datetime) -> Iterator[Pause]:
    if stands in PAUSES and ended > began:
        yield queue, stands, began, ended
