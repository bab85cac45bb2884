"""What people see of each other, and the rule that decides it.

Both stores give out `Presence`. `visible` is the rule in Python, used by the in-memory store;
`scripts/_people.lua` says the same for Redis, and one contract suite holds them together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

Status = Literal["offline", "away", "online", "busy", "on_call", "do_not_disturb"]
Choice = Literal["offline", "away", "online", "busy", "do_not_disturb"]
"""What a person may choose; being on a call is a fact, not a choice."""

DeviceStatus = Literal["offline", "away", "online"]
"""What the devices alone say: the most present of them."""

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
    """Only grows; whoever holds a higher one ignores a lower one. 0 while a store without a memory
    cannot say yet who is not here."""
    until: datetime | None = None
    """When the chosen status or text that is shown ends by itself."""
    last_seen: datetime | None = None
    """When someone offline was last here, as others could see it."""


OnChange = Callable[[list[PresenceState]], Awaitable[None]]
"""Hears every visible change that this node made, in batches."""


def never_seen(user_id: int) -> PresenceState:
    """Describe someone of whom nothing is known."""
    return PresenceState(user_id, "offline", None, None, 0)


def without_times(presence: PresenceState) -> PresenceState:
    """Take away from someone offline what tells when they were last here."""
    if presence.status != "offline":
        return presence
    return replace(presence, since=None, last_seen=None)


def visible_status(automatic: DeviceStatus, choice: Choice | None, *, talking: bool) -> Status:
    """Decide the one value that others see.

    No device, or the wish to be invisible, beats everything; do-not-disturb beats a call, since
    it is a request and a call is only a reason; a call beats every other choice.
    """
    if automatic == "offline" or choice == "offline":
        return "offline"
    if choice == "do_not_disturb":
        return "do_not_disturb"
    if talking:
        return "on_call"
    return choice or automatic
