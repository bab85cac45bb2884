"""Rows that are missing and whose events are still stored: of calls, and marks of agents.

rebuild ─▶ next_calls, next_marks. A few at a time, under the lock of their PBX, as in live ingest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from ingest.conn import Conn
from ingest.fold.event_log import EventLog
from ingest.model.call_state import CallChange
from ingest.model.rebuild_progress import RebuildProgress
from ingest.queries import agent_pauses as pause_queries
from ingest.queries import events as event_queries
from ingest.queries import rebuild as queries
from ingest.queries import sessions as session_queries
from ingest.queries.rebuild import MissingCall
from ingest.queries.rebuild_runs import CallSelection
from ingest.storing import agent_pauses, sessions
from ingest.storing.further_calls import load_further

SEARCHED_CALLS = 1_000
"""Calls examined by one statement: 0.12 s when none is missing, in seven partitions of 1.8 million
events of calls; 200,000 calls take 27 s of PostgreSQL's time."""
CALLS_AT_ONCE = 50
"""Calls in one transaction, as in rebuild."""
EVENTS_AT_ONCE = 10_000
"""Events of the calls in one transaction, if it is more than one call. So a chunk of the longest
calls needs no more memory and time than 200 usual ones."""


def fitting(sizes: Iterable[int]) -> int:
    """Return how many calls, one or more, to fold at once, given their numbers of events."""
    events = calls = 0
    for size in sizes:
        events += size
        if calls and events > EVENTS_AT_ONCE:
            break
        calls += 1
    return calls


async def next_calls(
    conn: Conn, selection: CallSelection, done: RebuildProgress, *, max_call_events: int
) -> RebuildProgress:
    """Create the rows of the next calls of the selection of which only events are stored."""
    page = await queries.find_missing(
        conn, selection, after=done.after_call or UUID(int=0), limit=SEARCHED_CALLS
    )
    missing = [one for one in page.calls if selection.source in {None, one.source}]
    some = missing[:CALLS_AT_ONCE]
    some = some[: fitting(min(one.events, max_call_events + 1) for one in some)]
    back, last = _Restored(), page.last
    if some:
        await event_queries.lock_sources(conn, {one.source: 0 for one in some})
        back = await _put_back(conn, some, selection, most=max_call_events)
        last = some[-1].call_id if len(some) < len(missing) else page.last
    searched = sum(last is None or call_id <= last for call_id in page.searched)
    done = replace(
        done,
        done=done.done + searched,
        examined=done.examined + back.calls + back.skipped,
        changed=done.changed + back.calls,
        restored=done.restored + back.calls,
        skipped=done.skipped + back.skipped,
        after_call=last,
        corrected=back.began,
    )
    return done if last else replace(done, stage="agents", done=0)


@dataclass(frozen=True, slots=True)
class _Restored:
    calls: int = 0
    skipped: int = 0
    """Calls with too many events."""
    began: frozenset[datetime] = frozenset()


async def _put_back(
    conn: Conn,
    missing: Iterable[MissingCall],
    selection: CallSelection,
    *,
    most: int,
) -> _Restored:
    """Fold those that are still missing under the lock of their PBX."""
    times = {one.call_id: (one.first_at, one.last_at) for one in missing}
    for there in await session_queries.load(conn, list(times)):
        del times[there]
    if not times:
        return _Restored()
    stored_events = await sessions.load_events(
        conn, times, (), times=[at for both in times.values() for at in both], max_call_events=most
    )
    logs = {one: EventLog(some) for one, some in stored_events.items() if 0 < len(some) <= most}
    further = await load_further(conn, logs, {}, {}, {})
    folded = sessions.FoldedCalls()
    for call_id, log in logs.items():
        found = sessions.FoldedCalls()
        after = sessions.fold_into(found, call_id, log, None, further.get(call_id))
        if after is None or not selection.has(after.state.started_at):
            continue
        for change in found.changes:
            # Its version was at most the number of its events, and clients ignore lower ones.
            state = change.after
            if change.before is None:
                state = replace(state, version=len(log) + 1)
            folded.changes.append(CallChange(change.before, state))
            folded.rewritten[state.id] = replace(found.rewritten[state.id], state=state)
    await sessions.save(conn, folded)
    return _Restored(
        sum(change.before is None for change in folded.changes),
        sum(len(events) > most for events in stored_events.values()),
        frozenset(change.after.started_at for change in folded.changes),
    )


async def next_marks(
    conn: Conn, selection: CallSelection, done: RebuildProgress
) -> RebuildProgress:
    """Fold logins and pauses of the next telephones again."""
    after = (done.after_source or selection.source or "", done.after_extension or "")
    found = await pause_queries.telephones(conn, after=after, limit=agent_pauses.TELEPHONES_AT_ONCE)
    some = [one for one in found if selection.source in {None, one[0]}]
    if not some:
        return replace(done, stage="finished", done=0)
    await event_queries.lock_sources(conn, dict.fromkeys((name for name, _ in some), 0))
    changed = await agent_pauses.refold_stored(conn, some)
    return replace(
        done,
        done=done.done + len(some),
        telephones=done.telephones + len(changed),
        after_source=some[-1][0],
        after_extension=some[-1][1],
    )
