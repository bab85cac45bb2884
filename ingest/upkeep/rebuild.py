"""Calls folded again from their stored events: after a repair of the fold, or of rows.

`gateway replay --rebuild` ─▶ rebuild ─▶ the same rows. Fifty calls in one transaction, under the
lock of live ingest, so both may run at once. Rows that are right are not written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from ingest.conn import Conn, Pool
from ingest.fold.event_log import EventLog
from ingest.model.call_state import CallChange, CallState
from ingest.model.events import CallEvent
from ingest.queries import events as event_queries
from ingest.queries import rebuild as queries
from ingest.queries import sessions as session_queries
from ingest.queries.rebuild import CallPosition
from ingest.queries.sessions import StoredCall
from ingest.storing import sessions
from ingest.upkeep import restore

CALLS_AT_ONCE = 50
"""Calls in one transaction; live ingest of that PBX waits for it. 1,070 recorded calls take 1.3 s
of this process's time, 50 calls 0.06 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildProgress:
    """The progress of a rebuild, which goes from the newest calls to the oldest."""

    examined: int = 0
    changed: int = 0
    restored: int = 0
    """Of the changed calls: those whose rows were missing."""
    telephones: int = 0
    """Telephones whose login or pause was wrong."""
    skipped: int = 0
    """Calls whose events are not all stored any more, or too many: they stay as they are."""
    down_to: datetime | None = None


async def rebuild(
    pool: Pool,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    source: str | None = None,
    max_call_events: int,
) -> AsyncIterator[RebuildProgress]:
    """Fold the calls that began in [since, until) again; each step that it yields is committed.

    Then the calls of which only events are left, and all marks of agents, whatever their time.
    """
    done = RebuildProgress()
    after: CallPosition | None = None
    while True:
        async with pool.acquire() as conn:
            page = await queries.page(conn, since, until, source, after=after, limit=CALLS_AT_ONCE)
            if not page:
                break
            for name, call_ids in _by_source(page).items():
                async with conn.transaction():
                    await event_queries.lock_sources(conn, {name: 0})
                    changed, left = await _rebuild_calls(conn, call_ids, max_call_events)
                done = replace(
                    done,
                    examined=done.examined + len(call_ids),
                    changed=done.changed + changed,
                    skipped=done.skipped + left,
                )
        after = page[-1]
        done = replace(done, down_to=after.started_at)
        yield done
    async for back in restore.restore_calls(
        pool, since, until, source, max_call_events=max_call_events
    ):
        done = replace(
            done,
            examined=done.examined + back.calls + back.skipped,
            changed=done.changed + back.calls,
            restored=done.restored + back.calls,
            skipped=done.skipped + back.skipped,
        )
        yield done
    async for telephones in restore.restore_marks(pool, source):
        done = replace(done, telephones=done.telephones + telephones)
        yield done


def _by_source(page: Iterable[CallPosition]) -> dict[str, list[UUID]]:
    by_source: dict[str, list[UUID]] = defaultdict(list)
    for call in page:
        by_source[call.source].append(call.call_id)
    return by_source


async def _rebuild_calls(conn: Conn, call_ids: list[UUID], max_call_events: int) -> tuple[int, int]:
    """Fold these calls of one PBX; return how many were wrong, and how many were skipped."""
    stored = await session_queries.load(conn, call_ids)
    if not stored:
        return 0, 0
    found = await sessions.load_events(
        conn, stored, stored.values(), max_call_events=max_call_events
    )
    states, folded = [], sessions.FoldedCalls()
    for call_id, before in stored.items():
        after = _fold(found[call_id], before, max_call_events)
        if after is None:
            continue
        states.append(after.state)
        if after.state != before.state:
            folded.changes.append(CallChange(before.state, after.state))
            folded.rewritten[call_id] = after
    await sessions.save(conn, folded)
    wrong = {change.after.id for change in folded.changes} | await _repair_missed(conn, states)
    wrong.update(await queries.align_parts(conn, list(stored)))
    return len(wrong), len(stored) - len(states)


def _fold(events: list[CallEvent], before: StoredCall, max_call_events: int) -> StoredCall | None:
    """Fold one call; None when events are missing, as the month of its beginning was dropped."""
    if not events or len(events) > max_call_events or before.state.merged_into:
        return None
    if min(event.occurred_at for event in events) > before.first_event_at:
        return None
    return sessions.refold_call(before.state.id, EventLog(events), before)


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
