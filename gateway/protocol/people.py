"""Employees, presence and typing on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from gateway.protocol.declaration import command, event
from gateway.protocol.frame import Id, Instant, Line, Position, frame

Status = Literal["offline", "away", "online", "busy", "on_call", "do_not_disturb"]
StatusText = Annotated[Line, Field(max_length=140)]
ChosenStatus = Literal["online", "away", "busy", "do_not_disturb", "offline"]

MAX_WATCHED = 500


@frame
class Employee:
    """An active or former employee, as stored in the CRM."""

    id: Id
    name: str
    department: str | None = None
    position: str | None = None
    avatar_url: str | None = None
    external_id: str | None = None
    """The CRM's own id, where its ids are not numbers."""
    url: str | None = None
    """The address of this employee's page in the CRM."""


@frame
class Presence:
    """The status of one employee across all their devices."""

    employee_id: Id
    status: Status
    since: datetime | None = None
    """When this status began; null when the employee was never connected."""
    text: str | None = None
    """A status text that the employee chose."""
    until: datetime | None = None
    """When the chosen status and text end."""
    last_seen: datetime | None = None
    """When an offline employee was last connected; null when that is hidden."""
    version: Position
    """Rises with each change; ignore a version below the one already received."""


@frame
class PresenceWatched:
    """Reply to presence.watch: the current state; changes follow as presence.changed."""

    presences: list[Presence]
    degraded: bool = False
    """True while presence cannot be read: the values are the last known ones."""


def work_of_reading(people: int) -> int:
    """Return how often reading the presence of so many people counts against a rate."""
    return 1 + people // 50


@command(
    reply=PresenceWatched,
    cost="passing",
    repeatable=True,
    work=lambda command: work_of_reading(len(command.employee_ids)),
)
class PresenceWatch:
    """Client → server: watch these employees; replaces the previous list."""

    type: Literal["presence.watch"] = "presence.watch"
    employee_ids: Annotated[list[Id], Field(max_length=MAX_WATCHED)]


@frame
class PresenceIs:
    """Reply to presence.set: what others see now."""

    presence: Presence


@command(reply=PresenceIs, cost="passing", repeatable=True)
class PresenceSet:
    """Client → server: choose a status and a text; status null returns to the automatic one.

    Each command replaces the whole choice before, its end included.
    """

    type: Literal["presence.set"] = "presence.set"
    status: ChosenStatus | None = None
    text: StatusText | None = None
    until: Instant | None = None
    """When both end, at most a year from now; null: never."""


@command(reply=None, cost="passing", repeatable=True)
class PresenceAway:
    """Client → server: report whether somebody is looking at this device; hello has the same field.

    An employee whose devices are all away is shown as away, unless they chose a status.
    """

    type: Literal["presence.away"] = "presence.away"
    away: Annotated[bool, Field(strict=True)]


@frame
class PresencePage:
    """Presence of employees, by their ids."""

    presences: list[Presence]
    degraded: bool = False
    """True while presence cannot be read: the values are the last known ones."""
    next: Id | None = None
    """Pass it as `after` for the next page of a department; null on the last page."""


@event(lane="passing")
class PresenceChanged:
    """Server → watchers: the presence of these employees has changed."""

    type: Literal["presence.changed"] = "presence.changed"
    presences: list[Presence]
    degraded: bool = False
    """True while presence cannot be read: the values are the last known ones."""


@command(reply=None, cost="passing")
class TypingStart:
    """Client → server: the employee is typing; repeat it every 3 s while that lasts."""

    type: Literal["typing.start"] = "typing.start"
    conversation_id: Id


@event(lane="passing")
class TypingStarted:
    """Server → the other participants: show typing for expires_ms, or until a message comes."""

    type: Literal["typing.started"] = "typing.started"
    conversation_id: Id
    employee_id: Id
    expires_ms: int = 6000
