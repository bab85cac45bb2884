"""Live state of queues and agents, on the wire."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from gateway.protocol.calls import QueueName
from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, Position, frame
from gateway.protocol.stats import ZONE, ServiceLevel

MAX_WATCHED_QUEUES = 200
MAX_SHOWN_AGENTS = 500

AgentStatus = Literal[
    "offline", "idle", "dialling", "ringing", "talking", "held", "wrap_up", "paused"
]


@frame
class AgentQueue:
    """A queue that an agent is a member of."""

    queue: str
    """Empty: applies to all queues of the telephone."""
    paused: bool
    reason: str | None = None
    """The reason of the pause, as the PBX sent it."""
    since: datetime | None = None
    """When the pause began; without a pause, when the last one ended."""


@frame
class AgentState:
    """The current state of an agent, over all their telephones."""

    employee_id: Id
    state: AgentStatus
    """offline: logged out of all queues; idle: none of the others; held: the agent put the other
    side on hold; wrap_up, paused: in every queue; `queues` shows those of single queues."""
    reason: str | None = None
    """The reason of a pause, as the PBX sent it."""
    since: datetime | None = None
    """When this state began; null: not known."""
    call_id: UUID | None = None
    queue: str | None = None
    """The queue that the call came through."""
    queues: list[AgentQueue] = field(default_factory=list)
    """The queues that the agent is logged in to or paused in, as the PBX reports."""
    version: Position
    """Rises with each change; ignore a version below the one already received."""


@frame
class QueueAgents:
    """How many agents of a queue are in which state."""

    total: int
    """Members of the queue that the PBX reports, and agents with a call of the queue."""
    available: int
    ringing: int
    talking: int
    """On any call, also of other queues or none; held and dialling are included."""
    wrap_up: int
    paused: int


@frame
class QueueToday:
    """The calls that entered a queue since midnight."""

    since: datetime
    """Midnight in the requested time zone."""
    offered: int
    answered: int
    abandoned: int
    short_abandoned: int
    """Those abandoned within 5 s; included in abandoned."""
    service_level: ServiceLevel


@frame
class QueueLive:
    """The current state of a queue. It is always sent whole; keep the highest version."""

    queue: str
    waiting: int
    longest_since: datetime | None = None
    """Since when the longest waiting caller waits; clients show the time since then."""
    talking: int
    """Calls in progress that came from this queue."""
    agents: QueueAgents
    today: QueueToday
    version: Position


@frame
class QueueWatched:
    """Reply to queue.watch: the current state; changes follow at most once a second."""

    queues: list[QueueLive]
    """For all queues the first 200 by name; GET /v1/telephony/queues has the others."""
    agents: list[AgentState] = field(default_factory=list)
    """The first 500 by their ids; GET /v1/telephony/agents has the others."""
    tz: str


def _work_of_watch(command: QueueWatch) -> int:
    """Return how often queue.watch counts: once for each ten queues, twice that with agents."""
    queues = MAX_WATCHED_QUEUES if command.queues == "all" else len(command.queues)
    return 1 + (queues // 10) * (2 if command.agents else 1)


@command(reply=QueueWatched, cost="read", repeatable=True, in_order=True, work=_work_of_watch)
class QueueWatch:
    """Client → server: receive changes of these queues; it replaces the list before, [] ends it.

    Needs permission `stats.view`, and `calls.view_all` for calls. When the permission is withdrawn,
    queue.unwatched is sent and the changes stop.
    """

    type: Literal["queue.watch"] = "queue.watch"
    queues: Annotated[list[QueueName], Field(max_length=MAX_WATCHED_QUEUES)] | Literal["all"]
    agents: Annotated[bool, Field(strict=True)] = False
    """Receive agent.state_changed of their agents; with all queues, of all agents."""
    calls: Annotated[bool, Field(strict=True)] = False
    """Receive the calls in them: call.offered, call.updated, call.ended, call.revised."""
    tz: Annotated[str, Field(strict=True, max_length=64, pattern=ZONE)] | None = None
    """The time zone whose midnight starts the day: `Europe/Kyiv`; null: the gateway's own."""


@frame
class QueuePage:
    """Queues and their current state, by name."""

    queues: list[QueueLive]
    tz: str
    next: str | None = None
    """Pass it as `after` for the next page; null on the last page."""


@frame
class AgentPage:
    """Agents and their current state, by their ids."""

    agents: list[AgentState]
    next: Id | None = None
    """Pass it as `after` for the next page; null on the last page."""


@event(lane="receipt")
class QueueChanged:
    """Server → watchers: these queues have changed."""

    type: Literal["queue.changed"] = "queue.changed"
    queues: list[QueueLive]


@event(lane="receipt")
class QueueUnwatched:
    """Server → a watcher: the permission for queues or their calls was withdrawn; watch again."""

    type: Literal["queue.unwatched"] = "queue.unwatched"


@event(lane="receipt")
class AgentStateChanged:
    """Server → the agent and watchers of their queues: the state of an agent has changed."""

    type: Literal["agent.state_changed"] = "agent.state_changed"
    agent: AgentState
