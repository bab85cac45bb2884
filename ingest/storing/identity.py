"""Which call an event belongs to: native ids joined transitively, under call ids of our own.

store ─▶ assign ─▶ sessions. A native id does not identify a call: a Linkedid changes in the middle
of every attended transfer, and a consultation begins as a call of its own. Two native ids named by
one event belong together from then on. When that joins two calls, the one that began first goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from ingest.conn import Conn
from ingest.fold.union_find import UnionFind
from ingest.model.events import CallEvent
from ingest.model.ids import uuid7
from ingest.queries import aliases, sessions
from ingest.queries.aliases import NativeId
from ingest.storing.call_cache import CallCache


@dataclass(frozen=True, slots=True)
class Assignment:
    calls: list[UUID | None]
    """The call of each event; None for events about no call (an agent's pause)."""
    merged: dict[UUID, UUID]
    """Call that is over → call it is a part of."""
    new_calls: frozenset[UUID]
    """Calls of which nothing was stored before."""
    aliases: dict[NativeId, UUID]
    """Every native id that was not found in the cache by its event → its call."""


def keys_of(event: CallEvent) -> list[NativeId]:
    return [(event.source, key) for key in event.keys]


async def assign(conn: Conn, events: Iterable[CallEvent], cache: CallCache) -> Assignment:
    """Find or create the call of each event, and merge calls that turn out to be one.

    Most events name only ids of one cached call: those need no query.
    """
    calls: list[UUID | None] = []
    named: dict[int, list[NativeId]] = {}
    joined: UnionFind[NativeId] = UnionFind()
    for index, event in enumerate(events):
        keys = event.keys
        calls.append(cache.call_of(event.source, keys))
        if keys and calls[index] is None:
            named[index] = [(event.source, key) for key in keys]
            joined.union(named[index])
    if not named:
        return Assignment(calls, {}, frozenset(), {})
    known = await _find_calls(conn, {key for keys in named.values() for key in keys}, cache)
    chosen, merged = await _choose(conn, joined, known)
    new = {key: call for key, call in chosen.items() if key not in known}
    if new:
        await aliases.add(conn, new)
    if merged:
        await aliases.repoint(conn, list(merged), list(merged.values()))
        cache.evict([*merged, *merged.values()])
        calls = [call and merged.get(call, call) for call in calls]
    for index, ids in named.items():
        calls[index] = chosen[ids[0]]
    new_calls = frozenset(new.values()) - frozenset(known.values())
    return Assignment(calls, merged, new_calls, chosen)


async def _find_calls(conn: Conn, keys: set[NativeId], cache: CallCache) -> dict[NativeId, UUID]:
    """Find the calls of these ids: in the cache, else in the database."""
    found = cache.find(keys)
    if unknown := [key for key in keys if key not in found]:
        found |= await aliases.find(conn, unknown)
    return found


async def _choose(
    conn: Conn, joined: UnionFind[NativeId], known: dict[NativeId, UUID]
) -> tuple[dict[NativeId, UUID], dict[UUID, UUID]]:
    """Choose one call for each set of keys. Sets that share a known call are one set."""
    first_of: dict[UUID, NativeId] = {}
    for key, call in known.items():
        joined.union((first_of.setdefault(call, key), key))
    chosen: dict[NativeId, UUID] = {}
    merged: dict[UUID, UUID] = {}
    for members in joined.sets():
        calls = {known[key] for key in members if key in known}
        call = await _first_of(conn, calls) if calls else uuid7()
        chosen |= dict.fromkeys(members, call)
        merged |= {other: call for other in calls if other != call}
    return chosen, merged


async def _first_of(conn: Conn, calls: set[UUID]) -> UUID:
    """Return the call that began first."""
    if len(calls) == 1:
        return next(iter(calls))
    stored = await sessions.load(conn, list(calls))
    began = [(call.state.started_at, call_id) for call_id, call in stored.items()]
    return min(began)[1] if began else min(calls)
