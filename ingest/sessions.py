"""Calls that a batch touched: load their events, fold, save what changed.

store ─▶ refold ─▶ CallChange. The version rises only when something that can be seen has changed,
so a repeat or an event that adds nothing is not announced.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from ingest.conn import Conn
from ingest.events import CallEvent
from ingest.fold import fold
from ingest.identity import Assigned
from ingest.metrics import IngestMetrics
from ingest.queries import events as event_queries
from ingest.queries import sessions as queries
from ingest.queries.sessions import StoredCall
from ingest.state import CallChange, CallState

log = logging.getLogger(__name__)

AROUND = timedelta(days=1)
"""Events of a call are looked for this far outside of the times known so far: a call that has not
been stored yet (a caller id came before its channel) is found, and only one partition is read."""


async def load_calls(conn: Conn, call_ids: Sequence[UUID]) -> dict[UUID, CallState]:
    """Read the state of calls; what the gateway shows in snapshots and lists."""
    stored = await queries.load(conn, call_ids)
    return {call_id: call.state for call_id, call in stored.items()}


async def refold(
    conn: Conn,
    new: Iterable[CallEvent],
    assigned: Assigned,
    *,
    max_call_events: int,
    metrics: IngestMetrics,
) -> list[CallChange]:
    """Fold the calls of new events; save and return those that changed. The caller commits."""
    times: dict[UUID, list[datetime]] = {}
    for event in new:
        call_id = assigned.calls[event.source, event.event_id]
        if call_id is not None:
            times.setdefault(call_id, []).append(event.occurred_at)
    if not times:
        return []
    stored = await queries.load(conn, [*times, *assigned.merged])
    known = [at for ats in times.values() for at in ats]
    known += [at for call in stored.values() for at in (call.first_event_at, call.last_event_at)]
    found = await event_queries.load(
        conn,
        sorted(times),
        since=min(known) - AROUND,
        until=max(known) + AROUND,
        limit=max_call_events + 1,
    )
    metrics.folded += len(found)
    changes, rewritten = _fold_all(found, stored, max_call_events, metrics)
    changes += _merged(assigned.merged, stored, rewritten)
    await _save(conn, changes, rewritten)
    return changes


def _fold_all(
    found: dict[UUID, list[CallEvent]],
    stored: dict[UUID, StoredCall],
    max_call_events: int,
    metrics: IngestMetrics,
) -> tuple[list[CallChange], dict[UUID, StoredCall]]:
    changes: list[CallChange] = []
    rewritten: dict[UUID, StoredCall] = {}
    for call_id, events in found.items():
        if len(events) > max_call_events:
            metrics.overlong += 1
            log.warning("call=%s has too many events, left as it is", call_id)
            continue
        before = stored.get(call_id)
        after = _fold_one(call_id, events, before)
        if after is None:
            continue
        rewritten[call_id] = after
        if before is None or after.state.version != before.state.version:
            changes.append(CallChange(before.state if before else None, after.state))
        elif _within(after, before):
            del rewritten[call_id]
    return changes, rewritten


def _fold_one(
    call_id: UUID, events: list[CallEvent], before: StoredCall | None
) -> StoredCall | None:
    state = fold(events, call_id=call_id, version=before.state.version + 1 if before else 1)
    if state is None:
        return None
    if before and state.same_as(before.state):
        state = before.state
    times = [event.occurred_at for event in events]
    return StoredCall(state, min(times), max(times))


def _within(after: StoredCall, before: StoredCall) -> bool:
    """Whether the times known so far still lead to all events: then nothing need be written."""
    earliest, latest = before.first_event_at - AROUND / 2, before.last_event_at + AROUND / 2
    return earliest <= after.first_event_at and after.last_event_at <= latest


def _merged(
    merged: dict[UUID, UUID], stored: dict[UUID, StoredCall], rewritten: dict[UUID, StoredCall]
) -> list[CallChange]:
    """End the calls that became part of another one: no legs, no stints, no missed call."""
    changes = []
    for loser, winner in merged.items():
        call = stored.get(loser)
        if call is None:
            continue
        after = replace(
            call.state,
            version=call.state.version + 1,
            status="ended",
            outcome=call.state.outcome or "unknown",
            ended_at=call.state.ended_at or call.last_event_at,
            merged_into=winner,
            legs=(),
            stints=(),
        )
        rewritten[loser] = replace(call, state=after)
        changes.append(CallChange(call.state, after))
    return changes


async def _save(conn: Conn, changes: list[CallChange], rewritten: dict[UUID, StoredCall]) -> None:
    if rewritten:
        await queries.save(conn, rewritten.values())
    if not changes:
        return
    await _save_legs(conn, changes)
    await _save_stints(conn, changes)
    missed = [change.after for change in changes if change.after.missed]
    no_longer = [c.after.id for c in changes if c.before and c.before.missed and not c.after.missed]
    if missed:
        await queries.save_missed(conn, missed)
    if no_longer:
        await queries.delete_missed(conn, no_longer)


async def _save_legs(conn: Conn, changes: list[CallChange]) -> None:
    written, gone = [], []
    for change in changes:
        call_id, legs = change.after.id, change.after.legs
        before = enumerate(change.before.legs) if change.before else ()
        known = {leg.leg_key: (position, leg) for position, leg in before}
        for position, leg in enumerate(legs):
            if known.pop(leg.leg_key, None) != (position, leg):
                written.append((call_id, position, leg))
        gone += [(call_id, leg_key) for leg_key in known]
    if gone:
        await queries.delete_legs(conn, gone)
    if written:
        await queries.save_legs(conn, written)


async def _save_stints(conn: Conn, changes: list[CallChange]) -> None:
    written, beyond = [], []
    for change in changes:
        call_id, stints = change.after.id, change.after.stints
        known = change.before.stints if change.before else ()
        for position, stint in enumerate(stints):
            if position >= len(known) or known[position] != stint:
                written.append((call_id, position, stint))
        if len(known) > len(stints):
            beyond.append((call_id, len(stints)))
    if beyond:
        await queries.delete_stints(conn, beyond)
    if written:
        await queries.save_stints(conn, written)
