"""What the statistics' statements return: counts and sums, before any rate is divided.

queries ─▶ these ─▶ rates, stats. A sum over no rows is 0; the
longest wait and the percentiles of no rows are None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitCounts:
    """How calls, or queue stints, ended and how long they waited."""

    offered: int
    answered: int
    abandoned: int
    short_abandoned: int
    """Abandoned sooner than the threshold for short abandons; part of abandoned."""
    answered_in_time: int
    abandoned_in_time: int
    timeout: int
    left_queue: int
    voicemail: int
    """Of calls; a queue stint has an end of its own."""
    failed: int
    answered_wait_ms: int
    answered_waits: int
    """How many answered ones have a known wait: the denominator of answered_wait_ms."""
    total_wait_ms: int
    waits: int
    """How many have a known wait: the denominator of total_wait_ms."""
    wait: Sequence[float] | None
    """The 50th, 90th and 95th percentile, in ms."""
    wait_max_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkCounts:
    """How long was talked, in conversations whose length is known."""

    talked: int
    talk_ms: int
    hold_ms: int
    """Part of talk_ms."""
    transferred: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekHourCount:
    """The calls that began in one hour of the week, over all weeks of the period."""

    weekday: int
    """1 is Monday."""
    hour: int
    calls: int
    hours: float
    """How much of the period lies in this hour of the week."""
    incomplete: bool
    """A PBX was not connected in part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewCounts:
    """All calls of a period."""

    calls: int
    inbound: int
    outbound: int
    internal: int
    live: int
    inbound_answered: int
    inbound_missed: int
    inbound_voicemail: int
    outbound_answered: int
    repeated: int
    peak: int
    waits: WaitCounts
    talks: TalkCounts
    hours: list[WeekHourCount]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCounts:
    """The stints in one queue, and the conversations that followed."""

    queue: str
    waits: WaitCounts
    talks: TalkCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCounts:
    """One agent: an employee, or a telephone (`source/extension`) that belongs to none."""

    employee_id: int | None
    telephone: str | None
    offered: int
    answered: int
    no_answer: int
    rejected: int
    answered_elsewhere: int
    placed: int
    ring_ms: int
    rings: int
    staffed_ms: int
    """From the first to the last call of each day, summed."""
    talking_ms: int
    """Time in conversation; two at once count once."""
    working_ms: int
    """Time in conversation or wrap-up."""
    away_ms: int
    """Time in conversation, wrap-up or pause."""
    talks: TalkCounts


@dataclass(frozen=True, slots=True)
class AgentPause:
    """A time in which an agent was paused in all of their queues."""

    person: str
    """The employee's id, or the telephone (`source/extension`) that belongs to none."""
    began: datetime
    ended: datetime
    wrap_up: bool


_WAITS = tuple(field.name for field in fields(WaitCounts))
_TALKS = tuple(field.name for field in fields(TalkCounts))
_NULLABLE = frozenset({"wait", "wait_max_ms", "employee_id", "telephone"})


def counts(row: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return these columns, with 0 for a sum over no rows."""
    return {name: 0 if row[name] is None and name not in _NULLABLE else row[name] for name in names}


def wait_counts(row: Any) -> WaitCounts:
    """Make the counts of waiting of a row that has their columns."""
    return WaitCounts(**counts(row, _WAITS))


def talk_counts(row: Any) -> TalkCounts:
    """Make the counts of talking of a row that has their columns."""
    return TalkCounts(**counts(row, _TALKS))
