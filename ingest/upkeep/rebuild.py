"""Calls folded again from their stored events: after a repair of the fold, or of rows.

`gateway replay --rebuild` ─▶ rebuild ─▶ the same rows. Fifty calls in one transaction, under
the lock that live ingest takes, so that both may run at once; what is right is not written.
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
"""Calls of one transaction; live ingest of that PBX waits for it. 1,070 recorded calls take 1.3 s
of this process' time, 0.06 s for so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildProgress:
    """How far it has come, the newest calls first."""

    examined: int = 0
    changed: int = 0
    restored: int = 0
    """Of those that changed: their rows were gone."""
    telephones: int = 0
    """Whose logins or pauses were not right."""
    skipped: int = 0
    """Calls whose events are no longer all there, or are too many: they stay as they are."""
    down_to: datetime | None = None


async def rebuild(
    pool: Pool,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    source: str | None = None,
    max_call_events: int,
) -> AsyncIterator[RebuildProgress]:
    """Fold the calls that began in [since, until) again; each step it tells of is committed.

    Then those of which only events are left, and what stands of agents, whenever it was told.
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
                    await event_queries.lock_sources(conn, [name])
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
    found: dict[str, list[UUID]] = defaultdict(list)
    for place in page:
        found[place.source].append(place.call_id)
    return found


async def _rebuild_calls(conn: Conn, call_ids: list[UUID], max_call_events: int) -> tuple[int, int]:
    """Fold these calls of one PBX; how many were not right, and how many cannot be folded."""
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
    """None when events are missing: retention has dropped the month in which the call began."""
    if not events or len(events) > max_call_events or before.state.merged_into:
        return None
    if min(event.occurred_at for event in events) > before.first_event_at:
        return None
    return sessions.refold_call(before.state.id, EventLog(events), before)


async def _repair_missed(conn: Conn, states: list[CallState]) -> set[UUID]:
    """Put the list of missed calls right, also where the call itself was."""
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
