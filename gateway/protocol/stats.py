"""Statistics of calls over HTTP; a ratio whose divisor is 0 is null, never 0."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from gateway.protocol.calls import Direction
from gateway.protocol.frame import Id, frame

MAX_DAYS = 366
MAX_ROWS = 1_000
"""Agents or queues in one answer, the busiest first."""
MAX_GAPS = 1_000

ZONE = r"^[A-Za-z0-9_+/-]+$"
"""Characters allowed in a time zone name."""

Method = Literal["sl1", "sl2", "sl3", "sl4", "sl5", "sl6"]


@frame
class StatsAsked:
    """The parameters that an answer was computed with."""

    since: datetime
    until: datetime
    """Exclusive."""
    tz: str
    """The time zone of hours and days."""
    direction: Direction | None
    queue: str | None
    agent_id: Id | None
    short_s: float
    """A caller who gives up sooner is a short abandon."""


@frame
class ServiceLevel:
    """The share of calls answered in time, and its formula."""

    method: Method
    formula: str
    threshold_s: float
    value: float | None


@frame
class Service:
    """Figures about waiting in queues."""

    offered: int
    answered: int
    abandoned: int
    """Callers who gave up, short abandons included."""
    short_abandoned: int
    timeout: int
    left_queue: int
    """Left by pressing a key, removed, or ejected because no agent was left in the queue."""
    voicemail: int
    """Reached a mailbox after waiting; 0 for queues, where the end of the stint counts."""
    failed: int
    """Not admitted: the queue was full or had no agents."""
    other: int
    """Still waiting, or not known."""
    answer_rate: float | None
    """answered / offered."""
    abandonment_rate: float | None
    """(abandoned - short) / (offered - short)."""
    abandonment_rate_raw: float | None
    """abandoned / offered."""
    service_level: ServiceLevel
    asa_ms: float | None
    """Average speed of answer: the mean wait of answered calls."""
    wait_avg_ms: float | None
    """The mean over all calls that no longer wait, however it ended; also for the percentiles."""
    wait_p50_ms: float | None
    wait_p90_ms: float | None
    wait_p95_ms: float | None
    wait_max_ms: int | None


@frame
class Handling:
    """Figures about talking. Calls in progress, or whose end was lost, are left out."""

    handled: int
    talk_ms: int
    """Hold time included."""
    hold_ms: int
    wrap_ms: int | None
    """Wrap-up pauses; null when the filters cannot be applied to them."""
    aht_ms: float | None
    """Average handling time: (talk with holds + wrap-up) / handled."""
    talk_avg_ms: float | None
    transferred: int
    transfer_rate: float | None


@frame
class WeekHour:
    """One hour of the week, in the requested time zone."""

    weekday: int
    """1 is Monday."""
    hour: int
    calls: int
    hours: float
    """How many such hours the time range has; a day when clocks change has one more or less."""
    per_hour: float
    incomplete: bool
    """True: events of a PBX are missing for some of these hours, so the figure may be too low."""


@frame
class StatsOverview:
    """All calls that began in the time range; each counts once."""

    asked: StatsAsked
    calls: int
    inbound: int
    outbound: int
    internal: int
    live: int
    inbound_answered: int
    inbound_missed: int
    """Ended without an answer, mailboxes included."""
    inbound_voicemail: int
    """Of inbound_missed, those whose caller left a message, or may have."""
    inbound_answer_rate: float | None
    outbound_answered: int
    outbound_answer_rate: float | None
    repeated: int
    """Inbound calls whose number had called in the 24 hours before."""
    repeat_rate: float | None
    peak: int
    """The highest number of these calls at the same time."""
    service: Service
    """Of inbound calls that were in a queue; with two queues, the wait begins in the first."""
    handling: Handling
    hours: list[WeekHour]
    incomplete_hours: list[datetime]
    """Hours for which events of a PBX are missing, at most 1,000."""


@frame
class QueueStats:
    """Queue stints in one queue that began in the time range."""

    queue: str
    service: Service
    handling: Handling


@frame
class StatsQueues:
    """Queues, the busiest first. A call that was in two queues counts in both."""

    asked: StatsAsked
    queues: list[QueueStats]
    incomplete_hours: list[datetime]


@frame
class AgentStats:
    """All telephones of one agent, in calls that began in the time range."""

    employee_id: Id | None
    """null: the CRM assigns this telephone to nobody."""
    telephone: str | None
    """Source and extension of a telephone that is assigned to nobody."""
    offered: int
    """How often the telephone rang for a call to it, click-to-call not counted."""
    answered: int
    no_answer: int
    rejected: int
    """Rejected or busy."""
    answered_elsewhere: int
    """Answered by a colleague; it does not count as missed."""
    answer_rate: float | None
    """answered / (offered - answered elsewhere)."""
    ring_avg_ms: float | None
    """The mean time until the agent answered."""
    placed: int
    """Conversations that the telephone started, and calls that the PBX placed for it, also those
    that it did not take (click-to-call)."""
    handling: Handling
    pause_ms: int | None
    """Pauses between the first and last activity of each day, without talking and wrap-up."""
    staffed_ms: int | None
    """From the first ringing or call of each day to the end of the last one."""
    occupancy: float | None
    """(talk + wrap-up) / (staffed - pause); calls at the same time count once."""
    occupancy_method: Literal["first_to_last_activity"] = "first_to_last_activity"


@frame
class StatsAgents:
    """Agents, the busiest first."""

    asked: StatsAsked
    agents: list[AgentStats]
    incomplete_hours: list[datetime]
