"""Presence for clients: snapshots, own status, all of a department."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway import topics
from gateway.batch_loader import in_portions
from gateway.bus import Announcement, announce
from gateway.context import Context, Publish
from gateway.errors import Invalid, PresenceUnavailable
from gateway.people.queries import directory
from gateway.protocol import (
    Presence,
    PresenceChanged,
    PresenceIs,
    PresencePage,
    PresenceSet,
    PresenceWatch,
    PresenceWatched,
)
from gateway.protocol.people import MAX_WATCHED
from gateway.serving import serves
from presence import PresenceState, PresenceStore, StoreUnavailable

MAX_AHEAD = timedelta(days=366)


async def presences_of(ctx: Context, employee_ids: Collection[int]) -> list[Presence]:
    """Return the presence of these employees, with one read."""
    if not employee_ids:
        return []
    found = await ctx.presence.fetch(employee_ids)
    return [to_wire(found[employee_id]) for employee_id in employee_ids if employee_id in found]


async def fetch_watched(ctx: Context, command: PresenceWatch) -> PresenceWatched:
    """Return a snapshot of these employees; the session subscribes to changes."""
    found = await presences_of(ctx, set(command.employee_ids))
    return PresenceWatched(presences=found, degraded=ctx.presence.degraded)


async def fetch_together(
    store: PresenceStore, requests: Sequence[Collection[int]]
) -> list[list[Presence]]:
    """Return the presence of several lists of employees, each person read and made once."""
    everybody = sorted(set().union(*requests))
    found: dict[int, Presence] = {}
    for first in range(0, len(everybody), MAX_WATCHED):
        read = await store.fetch(everybody[first : first + MAX_WATCHED])
        async for one in in_portions(read.values(), MAX_WATCHED):
            found[one.user_id] = to_wire(one)
    return [
        [found[employee_id] for employee_id in sorted(asked) if employee_id in found]
        async for asked in in_portions(requests, 1)
    ]


@serves(PresenceSet)
async def set_presence(ctx: Context, command: PresenceSet) -> PresenceIs:
    """Set my status and text; watchers receive the change."""
    if command.until is not None:
        _require_valid_until(command, command.until)
    try:
        presence = await ctx.presence.choose(
            ctx.user_id, command.status, command.text, command.until
        )
    except StoreUnavailable:
        raise PresenceUnavailable from None
    return PresenceIs(presence=to_wire(presence))


async def of_department(
    ctx: Context, department: str, *, after: int = 0, limit: int = MAX_WATCHED
) -> PresencePage:
    """Return a page of the active employees of a department, by their ids."""
    async with ctx.reading() as conn:
        found = await directory.of_department(conn, department, after=after, limit=limit + 1)
    page = found[:limit]
    return PresencePage(
        presences=await presences_of(ctx, page),
        degraded=ctx.presence.degraded,
        next=page[-1] if len(found) > limit else None,
    )


def _require_valid_until(command: PresenceSet, until: datetime) -> None:
    if command.status is None and not command.text:
        raise Invalid("needs a status or a text that ends then", path="until")
    now = datetime.now(UTC)
    if not now < until <= now + MAX_AHEAD:
        raise Invalid("must be later than now and at most a year from now", path="until")


def to_wire(presence: PresenceState) -> Presence:
    return Presence(
        employee_id=presence.user_id,
        status=presence.status,
        since=presence.since,
        text=presence.text,
        version=presence.version,
        until=presence.until,
        last_seen=presence.last_seen,
    )


def from_wire(data: dict[str, Any]) -> PresenceState:
    """Parse one presence of a presence.changed of another node."""
    return PresenceState(
        user_id=data["employee_id"],
        status=data["status"],
        since=_moment(data["since"]),
        text=data["text"],
        version=data["version"],
        until=_moment(data.get("until")),  # nodes of an older version leave it out
        last_seen=_moment(data.get("last_seen")),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


async def publish_changed(publish: Publish, changed: Collection[PresenceState]) -> None:
    """Publish the presences that the store reports as changed."""
    publish(announcements(changed))


def announcements(changed: Collection[PresenceState]) -> list[Announcement]:
    """Make one announcement for each shard: it goes only to nodes with watchers of that shard."""
    shards: dict[str, list[Presence]] = {}
    for item in changed:
        shards.setdefault(topics.presence(item.user_id), []).append(to_wire(item))
    return [
        announce(topic, PresenceChanged(presences=presences)) for topic, presences in shards.items()
    ]
