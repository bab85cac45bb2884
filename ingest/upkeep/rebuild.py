"""Calls folded again from their stored events: after a change of the fold, or a repair of rows.

`gateway replay --rebuild` ─▶ rebuild ─▶ the same rows. Some fifty calls in one transaction, under
the lock of live ingest, so both may run at once. The transaction stores also where the rebuild goes
on: whatever interrupts it, no step is lost or done twice. Rows that are right are not written.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from ingest.conn import Conn, Pool
from ingest.fold.event_log import EventLog
from ingest.model.call_state import CallState
from ingest.model.events import CallEvent
from ingest.model.rebuild_progress import RebuildProgress
from ingest.queries import events as event_queries
from ingest.queries import rebuild as queries
from ingest.queries import rebuild_runs as run_queries
from ingest.queries import sessions as session_queries
from ingest.queries.rebuild import CallPosition
from ingest.queries.rebuild_runs import CallSelection, RebuildRun
from ingest.queries.sessions import StoredCall
from ingest.storing import sessions
from ingest.storing.further_calls import load_further
from ingest.upkeep import restore
from ingest.upkeep.restore import fitting

CALLS_AT_ONCE = 50
"""Calls in one transaction; live ingest of that PBX waits for it. 1,070 recorded calls take 1.3 s
of this process's time, 50 calls 0.06 s."""


async def rebuild(
    pool: Pool,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    source: str | None = None,
    max_call_events: int,
    rules: str = "",
    anew: bool = False,
) -> AsyncGenerator[RebuildProgress, None]:
    """Fold the calls that began in [since, until) again; each step that it yields is committed.

    Then the calls of which only events are left, and all marks of agents, whatever their time.

    If an earlier rebuild of the same selection by the same rules was interrupted, it goes on there,
    unless it is to begin anew. The first that it yields is where it begins. Two that run at once
    share the work; of these, one yields that all is finished.
    """
    selection = CallSelection(since, until, source)
    run, resumed = await _begin(pool, selection, rules, anew=anew)
    reported = False
    while True:
        async with pool.acquire() as conn, conn.transaction():
            done = await run_queries.lock(conn, run.run_id)
            if done is None:
                return
            if reported:
                done = await _step(conn, selection, done, max_call_events)
                if done.finished:
                    await run_queries.end(conn, run.run_id)
                else:
                    await run_queries.save(conn, run.run_id, done)
        yield replace(done, resumed_from=run.began_at if resumed else None)
        reported = True
        if done.finished:
            return


async def _begin(
    pool: Pool, selection: CallSelection, rules: str, *, anew: bool
) -> tuple[RebuildRun, bool]:
    """Return the rebuild to go on with, and whether an earlier process began it."""
    async with pool.acquire() as conn:
        await run_queries.forget(conn, selection, unless_rules=None if anew else rules)
        found = await run_queries.find(conn, selection)
        if found is not None:
            return found, True
        while found is None:  # another process may begin and end it meanwhile
            await run_queries.add(conn, selection, rules)
            found = await run_queries.find(conn, selection)
        return found, False


async def _step(
    conn: Conn, selection: CallSelection, done: RebuildProgress, max_call_events: int
) -> RebuildProgress:
    """Do the next part of the work, in the caller's transaction."""
    if done.stage == "calls":
        return await _next_calls(conn, selection, done, max_call_events)
    if done.stage == "missing":
        return await restore.next_calls(conn, selection, done, max_call_events=max_call_events)
    return await restore.next_marks(conn, selection, done)


async def _next_calls(
    conn: Conn, selection: CallSelection, done: RebuildProgress, max_call_events: int
) -> RebuildProgress:
    after = None
    if done.after_time is not None and done.after_call is not None:
        after = CallPosition(done.after_call, "", done.after_time)
    page = await queries.page(conn, selection, after=after, limit=CALLS_AT_ONCE)
    if not page:
        return replace(done, stage="missing", done=0, after_time=None, after_call=None)
    await event_queries.lock_sources(conn, {call.source: 0 for call in page})
    stored = await session_queries.load(conn, [call.call_id for call in page])
    sizes = await sessions.count_events(conn, stored.values(), max_call_events=max_call_events)
    page = page[: fitting(sizes.get(call.call_id, 0) for call in page)]
    some = {call.call_id: stored[call.call_id] for call in page if call.call_id in stored}
    result = await _rebuild_calls(conn, some, max_call_events)
    return replace(
        done,
        done=done.done + len(page),
        examined=done.examined + len(page),
        changed=done.changed + result.changed,
        skipped=done.skipped + result.skipped,
        after_time=page[-1].started_at,
        after_call=page[-1].call_id,
        corrected=result.corrected,
    )


@dataclass(frozen=True, slots=True)
class _Rebuilt:
    changed: int = 0
    skipped: int = 0
    corrected: frozenset[datetime] = frozenset()


async def _rebuild_calls(
    conn: Conn, stored: dict[UUID, StoredCall], max_call_events: int
) -> _Rebuilt:
    """Fold these calls again, and write those that were wrong.

    The calls of other callers in a conference are folded with the first one's.
    """
    stored = {one: call for one, call in stored.items() if call.state.events_in is None}
    if not stored:
        return _Rebuilt()
    found = await sessions.load_events(
        conn, stored, stored.values(), max_call_events=max_call_events
    )
    logs = {
        call_id: EventLog(found[call_id])
        for call_id, before in stored.items()
        if _may_fold(found[call_id], before, max_call_events)
    }
    further = await load_further(conn, logs, {}, {}, {})
    states, folded, skipped = [], sessions.FoldedCalls(), len(stored) - len(logs)
    for call_id, log in logs.items():
        after = sessions.fold_into(folded, call_id, log, stored[call_id], further.get(call_id))
        if after is None:
            skipped += 1
            continue
        others = further[call_id].by_leg.values() if call_id in further else ()
        states += [one.state for one in (after, *others)]
    wrong_rows = {change.after.id for change in folded.changes}
    folded.rewritten = {one: call for one, call in folded.rewritten.items() if one in wrong_rows}
    await sessions.save(conn, folded)
    wrong = wrong_rows | await _repair_missed(conn, states)
    wrong.update(await queries.align_parts(conn, list(stored)))
    began = {state.started_at for state in states if state.id in wrong}
    began |= {stored[call_id].state.started_at for call_id in wrong if call_id in stored}
    return _Rebuilt(len(wrong), skipped, frozenset(began))


def _may_fold(events: list[CallEvent], before: StoredCall, max_call_events: int) -> bool:
    """Return whether all events are there; not if the month of its beginning was dropped."""
    if not events or len(events) > max_call_events or before.state.merged_into:
        return False
    return min(event.occurred_at for event in events) <= before.first_event_at


async def _repair_missed(conn: Conn, states: list[CallState]) -> set[UUID]:
    """Correct the list of missed calls, also of calls that are right; return their ids."""
    listed = await queries.missed_rows(conn, [state.id for state in states])
    wanted = {state.id: state for state in states if state.missed}
    rows = {call_id: session_queries.missed_row(state) for call_id, state in wanted.items()}
    wrong = [call_id for call_id, row in rows.items() if listed.get(call_id) != row]
    over = [call_id for call_id in listed if call_id not in wanted]
    if wrong:
        await session_queries.save_missed(conn, [wanted[call_id] for call_id in wrong])
    if over:
        await session_queries.delete_missed(conn, over)
    return {*wrong, *over}
