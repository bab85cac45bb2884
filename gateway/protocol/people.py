"""Employees, presence and typing on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, PlainText, Position, frame

Status = Literal["offline", "away", "online", "busy", "on_call", "do_not_disturb"]
ChosenStatus = Literal["online", "away", "busy", "do_not_disturb", "offline"]

MAX_WATCHED = 500


@frame
class Employee:
    """Someone who works here, as the CRM knows them."""

    id: Id
    name: str
    department: str | None = None
    position: str | None = None
    avatar_url: str | None = None


@frame
class Presence:
    """How reachable one employee is, across all their devices."""

    employee_id: Id
    status: Status
    since: datetime | None = None
    """When this status began; null when never seen."""
    text: str | None = None
    """A line of their own choosing."""
    until: datetime | None = None
    """When the status or text they chose ends by itself."""
    last_seen: datetime | None = None
    """When someone offline was last here; null where that is kept private."""
    version: Position
    """Whoever holds a higher version ignores a lower one."""


@frame
class PresenceWatched:
    """Reply to presence.watch: a snapshot, deltas follow as presence.changed."""

    presences: list[Presence]
    degraded: bool = False
    """True while presence cannot be read: what is shown is the last known state."""


@command(reply=PresenceWatched, cost="passing", repeatable=True)
class PresenceWatch:
    """Client → server: hear of these people from now on; replaces the previous list."""

    type: Literal["presence.watch"] = "presence.watch"
    employee_ids: Annotated[list[Id], Field(max_length=MAX_WATCHED)]


@frame
class PresenceIs:
    """Reply to presence.set: what others now see."""

    presence: Presence


@command(reply=PresenceIs, cost="passing", repeatable=True)
class PresenceSet:
    """Client → server: choose a status and a text; status null returns to the automatic one.

    Each choice replaces the one before, its end included.
    """

    type: Literal["presence.set"] = "presence.set"
    status: ChosenStatus | None = None
    text: Annotated[PlainText, Field(max_length=140)] | None = None
    until: AwareDatetime | None = None
    """When both end by themselves, at most a year from now; null: they stay."""


@command(reply=None, cost="passing", repeatable=True)
class PresenceAway:
    """Client → server: whether nobody is looking at this device; with `hello`, from the start.

    A person whose every device is away is away, unless they chose a status.
    """

    type: Literal["presence.away"] = "presence.away"
    away: Annotated[bool, Field(strict=True)]


@frame
class PresencePage:
    """How some people are, in order of their numbers."""

    presences: list[Presence]
    degraded: bool = False
    """True while presence cannot be read: what is shown is the last known state."""
    next: Id | None = None
    """Give it as `after` for the rest of a department; null when that is all."""


@event(lane="passing")
class PresenceChanged:
    """Server → watchers: how these people now are."""

    type: Literal["presence.changed"] = "presence.changed"
    presences: list[Presence]
    degraded: bool = False
    """True while presence cannot be read: what is shown is the last known state."""


@command(reply=None, cost="passing")
class TypingStart:
    """Client → server: I am writing here; repeat every 3 s while it lasts."""

    type: Literal["typing.start"] = "typing.start"
    conversation_id: Id


@event(lane="passing")
class TypingStarted:
    """Server → the other participants: show it for expires_ms, or until a message comes."""

    type: Literal["typing.started"] = "typing.started"
    conversation_id: Id
    employee_id: Id
    expires_ms: int = 6000
