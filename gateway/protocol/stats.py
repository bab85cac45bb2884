"""Statistics of calls as they are read over HTTP; what cannot be divided is null, never 0."""

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
"""What names of time zones are made of."""

Method = Literal["sl1", "sl2", "sl3", "sl4", "sl5", "sl6"]


@frame
class StatsAsked:
    """What an answer is about."""

    since: datetime
    until: datetime
    """Not in it itself."""
    tz: str
    """Whose hours and days these are."""
    direction: Direction | None
    queue: str | None
    agent_id: Id | None
    short_s: float
    """Whoever gave up sooner is a short abandon."""


@frame
class ServiceLevel:
    """The share that was answered in time, and how it was reckoned."""

    method: Method
    formula: str
    threshold_s: float
    value: float | None


@frame
class Service:
    """Waiting in queues: who came, who was answered, how long it took."""

    offered: int
    answered: int
    abandoned: int
    """Gave up; the short ones are among them."""
    short_abandoned: int
    timeout: int
    left_queue: int
    """By key, taken out, or thrown out because nobody was there any more."""
    failed: int
    """Not let in: full, or nobody there."""
    other: int
    """Still waiting, or unknown."""
    answer_rate: float | None
    """answered / offered."""
    abandonment_rate: float | None
    """(abandoned - short) / (offered - short)."""
    abandonment_rate_raw: float | None
    """abandoned / offered."""
    service_level: ServiceLevel
    asa_ms: float | None
    """Average speed of answer: the mean wait of those who were answered."""
    wait_avg_ms: float | None
    """Of all who no longer wait, however it ended; so are the percentiles."""
    wait_p50_ms: float | None
    wait_p90_ms: float | None
    wait_p95_ms: float | None
    wait_max_ms: int | None


@frame
class Handling:
    """Talking. A call that still goes on, or whose end was lost, is not in it."""

    handled: int
    talk_ms: int
    """With holds."""
    hold_ms: int
    wrap_ms: int | None
    """Pauses for wrap-up; null where they cannot be told apart by what was asked."""
    aht_ms: float | None
    """Average handling time: (talk with holds + wrap-up) / handled."""
    talk_avg_ms: float | None
    transferred: int
    transfer_rate: float | None


@frame
class WeekHour:
    """One hour of the week, in the time zone asked for."""

    weekday: int
    """1 is Monday."""
    hour: int
    calls: int
    hours: float
    """How many such hours this time has: a day of changing clocks has one more or one less."""
    per_hour: float
    incomplete: bool
    """A PBX was not heard in some of them: the figure may be too low."""


@frame
class StatsOverview:
    """All calls that began in this time; each counts once."""

    asked: StatsAsked
    calls: int
    inbound: int
    outbound: int
    internal: int
    live: int
    inbound_answered: int
    inbound_missed: int
    """Over, and nobody talked to them."""
    inbound_answer_rate: float | None
    outbound_answered: int
    outbound_answer_rate: float | None
    repeated: int
    """Inbound calls whose number had called in the 24 hours before."""
    repeat_rate: float | None
    peak: int
    """Most of these calls at one moment."""
    service: Service
    """Of inbound calls that were in a queue; one that was in two waited from the first on."""
    handling: Handling
    hours: list[WeekHour]
    incomplete_hours: list[datetime]
    """Hours in which a PBX was not heard, at most 1,000."""


@frame
class QueueStats:
    """Stays in one queue that began in this time."""

    queue: str
    service: Service
    handling: Handling


@frame
class StatsQueues:
    """Queues, the busiest first. A call that went through two counts in both."""

    asked: StatsAsked
    queues: list[QueueStats]
    incomplete_hours: list[datetime]


@frame
class AgentStats:
    """One agent's telephones, in calls that began in this time."""

    employee_id: Id | None
    """Null: the CRM gives this telephone to nobody."""
    telephone: str | None
    """Source and extension of a telephone that is nobody's."""
    offered: int
    """How often it rang."""
    answered: int
    no_answer: int
    rejected: int
    """Or busy."""
    answered_elsewhere: int
    """Not missed: a colleague was faster."""
    answer_rate: float | None
    """answered / (offered - answered elsewhere)."""
    ring_avg_ms: float | None
    """Until the agent answered."""
    placed: int
    """Calls that began at this telephone."""
    handling: Handling
    pause_ms: int | None
    """Between a day's first and last activity; talking and wrap-up are none."""
    staffed_ms: int | None
    """From the first ringing or call of each day to the end of its last one."""
    occupancy: float | None
    """(talk + wrap-up) / (staffed - pause); conversations at the same time count once."""
    occupancy_method: Literal["first_to_last_activity"] = "first_to_last_activity"


@frame
class StatsAgents:
    """Agents, the busiest first."""

    asked: StatsAsked
    agents: list[AgentStats]
    incomplete_hours: list[datetime]
