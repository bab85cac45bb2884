"""What every user did and saw in one run; nothing is judged here.

users, injector ─▶ History ─▶ checker. Times are seconds of one clock, time.monotonic's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from loadtests.messenger.view import ClientView
from tests.faults.received_events import ReceivedEvents
from tests.faults.starvation import Starvation

Outcome = Literal["ok", "fail", "info"]


@dataclass(slots=True)
class Sent:
    """A message that somebody wanted to send; `info` while nobody knows what became of it."""

    writer: int
    conversation_id: int
    key: UUID
    text: str
    """Unlike any other."""
    invoked_at: float
    during: str = ""
    """The fault for which it was sent; nothing for what is written all the time."""
    outcome: Outcome = "info"
    ended_at: float | None = None
    seq: int | None = None
    tries: int = 1


@dataclass(slots=True)
class ObservedSession:
    """One connection of one reader, from its welcome on."""

    number: int
    reader: int
    worker: int
    began_at: float
    positions: dict[int, int]
    """conversation → the change after which it is told everything."""
    listed: frozenset[int] = frozenset()
    """Those of which it was given a list's entry instead of what it had missed."""
    left: bool = False
    """It was ended on purpose."""
    ended_at: float | None = None
    silent_from: float | None = None
    """Since then nothing passes, and neither end has been told."""
    in_doubt_from: float | None = None
    """Since then the gateway may have given it up: its ping had no answer in time."""

    def up(self, since: float, until: float) -> bool:
        """Say whether it worked, on both ends, for all of that time."""
        ends = (self.ended_at, self.silent_from, self.in_doubt_from)
        return self.began_at <= since and min(end or until for end in ends) >= until


@dataclass(frozen=True, slots=True)
class Retry:
    """A connection was lost, or not made, and is tried again."""

    reader: int
    worker: int
    at: float
    why: str
    """The close code, and the reason."""
    delay_s: float


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """A fault that has happened."""

    number: int
    name: str
    kind: str
    worker: int | None
    """None when it struck all."""
    began_at: float
    ended_at: float
    trace: int
    """What it was seen to do: connections cut, bytes held up … 0 when it did nothing."""
    recovery_s: float = 0.0

    @property
    def over_at(self) -> float:
        return self.ended_at + self.recovery_s

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Notice:
    """What somebody was told of somebody's presence."""

    watcher: int
    employee_id: int
    status: str
    at: float
    news: bool = True
    """It was not told this state of that person before."""


@dataclass(slots=True)
class History:
    """One run."""

    members: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """conversation → who is in it from the first to the last moment."""
    visitors: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """conversation → who comes and goes."""
    watched: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """reader → whose presence it shows."""
    sent: list[Sent] = field(default_factory=list)
    sessions: list[ObservedSession] = field(default_factory=list)
    retries: list[Retry] = field(default_factory=list)
    received: ReceivedEvents = field(default_factory=ReceivedEvents)
    faults: list[InjectedFault] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    starved: Starvation = field(default_factory=Starvation)
    refusals: dict[str, int] = field(default_factory=dict)
    """Error codes of refused commands that should have been done."""
    began_at: float = 0.0
    ended_at: float = 0.0
    """When the last fault was over and everybody had had time to get right."""

    read_at: float = float("inf")
    """When the database's content was read: what was heard later may not be in it."""
    views: dict[int, ClientView] = field(default_factory=dict)
    """At the end: reader → the unread counts that it shows."""
    shown: dict[int, dict[int, str]] = field(default_factory=dict)
    """At the end: reader → whom it watches → their status."""
    present: frozenset[int] = frozenset()
    """At the end: who is connected."""
