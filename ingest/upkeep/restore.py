"""Rows that are missing and whose events are still stored: of calls, and marks of agents.

rebuild ─▶ restore_calls, restore_marks. A few at a time, under the lock of their PBX, as in live
ingest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from ingest.conn import Conn, Pool
from ingest.fold.event_log import EventLog
from ingest.model.call_state import CallChange
from ingest.queries import agent_pauses as pause_queries
from ingest.queries import events as event_queries
from ingest.queries import rebuild as queries
from ingest.queries import sessions as session_queries
from ingest.queries.rebuild import MissingCall
from ingest.storing import agent_pauses, sessions

SEARCHED_CALLS = 1_000
"""Calls examined by one statement: 0.12 s when none is missing, in seven partitions of 1.8 million
events of calls; 200,000 calls take 27 s of PostgreSQL's time."""
CALLS_AT_ONCE = 50
"""Calls in one transaction, as in rebuild."""


@dataclass(frozen=True, slots=True)
class RestoredCalls:
    calls: int
    skipped: int
    """Calls with too many events."""


async def restore_calls(
    pool: Pool,
    since: datetime | None,
    until: datetime | None,
    source: str | None,
    *,
    max_call_events: int,
) -> AsyncIterator[RestoredCalls]:
    """Create the rows of calls that began in [since, until) and of which only events are stored."""
    after: UUID | None = UUID(int=0)
    while after is not None:
        async with pool.acquire() as conn:
            page = await queries.find_missing(conn, since, until, after=after, limit=SEARCHED_CALLS)
            by_source: dict[str, list[MissingCall]] = defaultdict(list)
            for one in page.calls:
                if source in {None, one.source}:
                    by_source[one.source].append(one)
            for name, missing in by_source.items():
                for first in range(0, len(missing), CALLS_AT_ONCE):
                    async with conn.transaction():
                        await event_queries.lock_sources(conn, {name: 0})
                        some = missing[first : first + CALLS_AT_ONCE]
                        back = await _put_back(conn, some, since, until, most=max_call_events)
                    yield back
        after = page.last


async def _put_back(
    conn: Conn,
    missing: Iterable[MissingCall],
    since: datetime | None,
    until: datetime | None,
    *,
    most: int,
) -> RestoredCalls:
    """Fold those that are still missing under the lock of their PBX."""
    times = {one.call_id: (one.first_at, one.last_at) for one in missing}
    for there in await session_queries.load(conn, list(times)):
        del times[there]
    if not times:
        return RestoredCalls(0, 0)
    stored_events = await sessions.load_events(
        conn, times, (), times=[at for both in times.values() for at in both], max_call_events=most
    )
    folded = sessions.FoldedCalls()
    for call_id, events in stored_events.items():
        after = sessions.refold_call(call_id, EventLog(events), None) if events else None
        if after is None or len(events) > most:
            continue
        if (since and after.state.started_at < since) or (
            until and after.state.started_at >= until
        ):
            continue
        # Its version was at most the number of its events, and clients ignore lower ones.
        state = replace(after.state, version=len(events) + 1)
        folded.changes.append(CallChange(None, state))
        folded.rewritten[call_id] = replace(after, state=state)
    await sessions.save(conn, folded)
    return RestoredCalls(
        len(folded.changes), sum(len(events) > most for events in stored_events.values())
    )


async def restore_marks(pool: Pool, source: str | None) -> AsyncIterator[int]:
    """Fold logins and pauses of all telephones again; yield how many were wrong."""
    after = (source or "", "")
    while True:
        async with pool.acquire() as conn:
            some = await pause_queries.telephones(
                conn, after=after, limit=agent_pauses.TELEPHONES_AT_ONCE
            )
            some = [one for one in some if source in {None, one[0]}]
            if not some:
                return
            async with conn.transaction():
                await event_queries.lock_sources(conn, dict.fromkeys((name for name, _ in some), 0))
                changed = await agent_pauses.refold_stored(conn, some)
        after = some[-1]
        yield len(changed)
