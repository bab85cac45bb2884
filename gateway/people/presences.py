"""Presence for clients: look, choose."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from gateway import topics
from gateway.bus import Announcement, announce
from gateway.context import Context
from gateway.errors import PresenceUnavailable
from gateway.protocol import (
    Presence,
    PresenceChanged,
    PresenceIs,
    PresenceSet,
    PresenceWatch,
    PresenceWatched,
)
from presence import Presence as StoredPresence
from presence import Unavailable


async def presences_of(ctx: Context, employee_ids: Collection[int]) -> list[Presence]:
    """Return how reachable these people are, in one read."""
    if not employee_ids:
        return []
    found = await ctx.presence.look(employee_ids)
    return [to_wire(found[employee_id]) for employee_id in employee_ids if employee_id in found]


async def look(ctx: Context, command: PresenceWatch) -> PresenceWatched:
    """Return a snapshot of these people; the session adds the watching."""
    found = await presences_of(ctx, set(command.employee_ids))
    return PresenceWatched(presences=found, degraded=ctx.presence.degraded)


async def choose(ctx: Context, command: PresenceSet) -> PresenceIs:
    """Choose my status and text; watchers hear of it."""
    try:
        presence = await ctx.presence.choose(ctx.user_id, command.status, command.text)
    except Unavailable:
        raise PresenceUnavailable from None
    return PresenceIs(presence=to_wire(presence))


def to_wire(presence: StoredPresence) -> Presence:
    return Presence(
        employee_id=presence.user_id,
        status=presence.status,
        since=presence.since,
        text=presence.text,
        version=presence.version,
    )


def from_wire(said: dict[str, Any]) -> StoredPresence:
    """Read one presence of a presence.changed that another node published."""
    return StoredPresence(
        user_id=said["employee_id"],
        status=said["status"],
        since=datetime.fromisoformat(said["since"]) if said["since"] else None,
        text=said["text"],
        version=said["version"],
    )


def announcements(changed: Collection[StoredPresence]) -> list[Announcement]:
    """Make one announcement a person: each goes only to nodes that watch their shard."""
    return [
        announce(topics.presence(item.user_id), PresenceChanged(presences=[to_wire(item)]))
        for item in changed
    ]
