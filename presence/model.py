"""The presence that people see of each other, and the rule that decides it.

Both stores return `PresenceState`. `visible_status` is the rule in Python, used by the in-memory
store; `scripts/_people.lua` is the same rule for Redis, and one contract suite tests both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

Status = Literal["offline", "away", "online", "busy", "on_call", "do_not_disturb"]
Choice = Literal["offline", "away", "online", "busy", "do_not_disturb"]
"""What a person may choose; "on_call" is measured, not chosen."""

DeviceStatus = Literal["offline", "away", "online"]
"""The status by connected devices alone: that of the most present device."""

CHOICES: frozenset[str] = frozenset({"offline", "away", "online", "busy", "do_not_disturb"})


@dataclass(frozen=True, slots=True)
class PresenceState:
    """How reachable one person is, across all devices and nodes."""

    user_id: int
    status: Status
    since: datetime | None
    """When this status began (UTC); None for someone never seen."""
    text: str | None
    version: int
    """Only grows; a reader with a higher version ignores a lower one. 0 during the recovery window
    of a store that lost its data (presence/recovery.py)."""
    until: datetime | None = None
    """When the shown chosen status or text ends automatically."""
    last_seen: datetime | None = None
    """When a person who is offline was last visibly online."""


OnChange = Callable[[list[PresenceState]], Awaitable[None]]
"""Receives every visible change that this node made, in batches."""


def never_seen(user_id: int) -> PresenceState:
    """Return the state of a person without a record."""
    return PresenceState(user_id, "offline", None, None, 0)


def without_times(presence: PresenceState) -> PresenceState:
    """Remove the times that show when a person who is offline was last online."""
    if presence.status != "offline":
        return presence
    return replace(presence, since=None, last_seen=None)


def visible_status(automatic: DeviceStatus, choice: Choice | None, *, talking: bool) -> Status:
    """Return the one status that others see.

    Having no device, or the choice "offline", overrides everything. "do_not_disturb" overrides a
    call, because the person requested it. A call overrides every other choice.
    """
    if automatic == "offline" or choice == "offline":
        return "offline"
    if choice == "do_not_disturb":
        return "do_not_disturb"
    if talking:
        return "on_call"
    return choice or automatic
