"""What is gone from the rows and still in the events: calls without a row, and agents' marks.

rebuild ─▶ calls, marks. A few at a time, each under the lock of its PBX, as live ingest has it.
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
"""Calls looked for by one statement: 0.12 s when none is gone, in seven partitions of 1.8 million
events of calls; 200,000 calls take 27 s of PostgreSQL's time."""
CALLS_AT_ONCE = 50
"""Calls of one transaction, as in rebuild."""


@dataclass(frozen=True, slots=True)
class RestoredCalls:
    calls: int
    skipped: int
    """Too many events to be a call."""


async def restore_calls(
    pool: Pool,
    since: datetime | None,
    until: datetime | None,
    source: str | None,
    *,
    max_call_events: int,
) -> AsyncIterator[RestoredCalls]:
    """Make the rows of calls that began in [since, until) and have events alone."""
    after: UUID | None = UUID(int=0)
    while after is not None:
        async with pool.acquire() as conn:
            looked = await queries.find_missing(
                conn, since, until, after=after, limit=SEARCHED_CALLS
            )
            by_source: dict[str, list[MissingCall]] = defaultdict(list)
            for one in looked.calls:
                if source in {None, one.source}:
                    by_source[one.source].append(one)
            for name, gone in by_source.items():
                for first in range(0, len(gone), CALLS_AT_ONCE):
                    async with conn.transaction():
                        await event_queries.lock_sources(conn, [name])
                        some = gone[first : first + CALLS_AT_ONCE]
                        back = await _put_back(conn, some, since, until, most=max_call_events)
                    yield back
        after = looked.last


async def _put_back(
    conn: Conn,
    gone: Iterable[MissingCall],
    since: datetime | None,
    until: datetime | None,
    *,
    most: int,
) -> RestoredCalls:
    """Fold those that are still gone now that nobody else writes calls of this PBX."""
    times = {one.call_id: (one.first_at, one.last_at) for one in gone}
    for there in await session_queries.load(conn, list(times)):
        del times[there]
    if not times:
        return RestoredCalls(0, 0)
    told = await sessions.load_events(
        conn, times, (), times=[at for both in times.values() for at in both], max_call_events=most
    )
    folded = sessions.FoldedCalls()
    for call_id, events in told.items():
        after = sessions.refold_call(call_id, EventLog(events), None) if events else None
        if after is None or len(events) > most:
            continue
        if (since and after.state.started_at < since) or (
            until and after.state.started_at >= until
        ):
            continue
        # Its version was at most the number of its events, and clients keep the highest.
        state = replace(after.state, version=len(events) + 1)
        folded.changes.append(CallChange(None, state))
        folded.rewritten[call_id] = replace(after, state=state)
    await sessions.save(conn, folded)
    return RestoredCalls(len(folded.changes), sum(len(events) > most for events in told.values()))


async def restore_marks(pool: Pool, source: str | None) -> AsyncIterator[int]:
    """Fold logins and pauses of all telephones again; tell how many were not right."""
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
                await event_queries.lock_sources(conn, {name for name, _ in some})
                changed = await agent_pauses.refold_stored(conn, some)
        after = some[-1]
        yield len(changed)
