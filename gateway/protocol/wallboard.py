"""What goes on now on the wire: queues as they are at this moment, and their agents."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from gateway.protocol.calls import QueueName
from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, PlainText, Position, frame
from gateway.protocol.stats import ZONE, ServiceLevel

MAX_WATCHED_QUEUES = 200
MAX_SHOWN_AGENTS = 500

AgentStatus = Literal[
    "offline", "idle", "dialling", "ringing", "talking", "held", "wrap_up", "paused"
]


@frame
class AgentQueue:
    """A queue that an agent takes calls of."""

    queue: str
    """Empty: what is said of the telephone in all queues."""
    paused: bool
    reason: str | None = None
    """Of the pause, as the PBX gave it."""
    since: datetime | None = None
    """When the pause, or the last one's end, was."""


@frame
class AgentState:
    """What an agent does now, by all their telephones."""

    employee_id: Id
    state: AgentStatus
    """offline: logged out of all queues; idle: nothing else is known; held: has put the other side
    on hold; wrap_up, paused: in every queue, queues says in which otherwise."""
    reason: str | None = None
    """Of a pause, as the PBX gave it."""
    since: datetime | None = None
    """null: nobody knows."""
    call_id: UUID | None = None
    queue: str | None = None
    """The queue that the call came through."""
    queues: list[AgentQueue] = field(default_factory=list)
    """Where the PBX says that they are logged in or paused."""
    version: Position
    """Whoever holds a higher version ignores a lower one."""


@frame
class QueueAgents:
    """How many agents of a queue do what."""

    total: int
    """Members of the queue that the PBX told of, and whoever has a call of it."""
    available: int
    ringing: int
    talking: int
    """On the telephone, in calls of other queues or of none, too: held and dialling included."""
    wrap_up: int
    paused: int


@frame
class QueueToday:
    """What came into a queue since midnight."""

    since: datetime
    """That midnight."""
    offered: int
    answered: int
    abandoned: int
    short_abandoned: int
    """Of those, the ones that gave up within 5 s."""
    service_level: ServiceLevel


@frame
class QueueLive:
    """A queue at this moment. It travels whole: keep the highest version."""

    queue: str
    waiting: int
    longest_since: datetime | None = None
    """Since when the first of those waits: show the time that has passed."""
    talking: int
    """Conversations that came from this queue."""
    agents: QueueAgents
    today: QueueToday
    version: Position


@frame
class QueueWatched:
    """Reply to queue.watch: a snapshot, changes follow at most once a second."""

    queues: list[QueueLive]
    """With all: the first 200 by name; GET /v1/telephony/queues has the others."""
    agents: list[AgentState] = field(default_factory=list)
    """The first 500 by their numbers; GET /v1/telephony/agents has the others."""
    tz: str


@command(reply=QueueWatched, cost="passing", repeatable=True)
class QueueWatch:
    """Client → server: hear of these queues from now on; replaces what was watched, [] ends it.

    Needs permission `stats.view`, and `calls.view_all` for their calls. Whoever loses it hears
    queue.unwatched, and nothing more.
    """

    type: Literal["queue.watch"] = "queue.watch"
    queues: Annotated[list[QueueName], Field(max_length=MAX_WATCHED_QUEUES)] | Literal["all"]
    agents: Annotated[bool, Field(strict=True)] = False
    """Hear agent.state_changed of their agents; with all queues, of all agents."""
    calls: Annotated[bool, Field(strict=True)] = False
    """Hear of the calls in them: call.offered, call.updated, call.ended, call.revised."""
    tz: Annotated[PlainText, Field(max_length=64, pattern=ZONE)] | None = None
    """Whose midnight today began: `Europe/Kyiv`; without it, the gateway's."""


@frame
class QueuePage:
    """Queues as they are now, by name."""

    queues: list[QueueLive]
    tz: str
    next: str | None = None
    """Give it as `after` for those that follow; null when that is all."""


@frame
class AgentPage:
    """Agents and what they do now, by their numbers."""

    agents: list[AgentState]
    next: Id | None = None
    """Give it as `after` for those that follow; null when that is all."""


@event(lane="receipt")
class QueueChanged:
    """Server → watchers: how these queues now are."""

    type: Literal["queue.changed"] = "queue.changed"
    queues: list[QueueLive]


@event(lane="receipt")
class QueueUnwatched:
    """Server → a watcher: you may no longer watch queues, or not their calls; watch anew."""

    type: Literal["queue.unwatched"] = "queue.unwatched"


@event(lane="receipt")
class AgentStateChanged:
    """Server → the agent, and watchers of their queues: what the agent does now."""

    type: Literal["agent.state_changed"] = "agent.state_changed"
    agent: AgentState
