"""The calls that a batch touches: load their events, fold, save what changed.

store ─▶ load_touched, refold, save ─▶ CallChange. A call's version rises only when its
state has changed, so a repeated event, or one that adds nothing, is not announced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from ingest.conn import Conn
from ingest.fold.callers import divide, is_conference
from ingest.fold.event_log import EventLog
from ingest.fold.fold import fold
from ingest.metrics import IngestMetrics
from ingest.model.call_state import CallChange, CallState
from ingest.model.events import CallEvent
from ingest.model.ids import uuid7
from ingest.queries import events as event_queries
from ingest.queries import recordings as recording_queries
from ingest.queries import sessions as queries
from ingest.queries import transfers as transfer_queries
from ingest.queries.sessions import StoredCall
from ingest.settings import IngestSettings
from ingest.storing.call_cache import CachedCall, CallCache
from ingest.storing.further_calls import FurtherCalls, ended_as_part, load_further
from ingest.storing.identity import Assignment

Part = TypeVar("Part")

SEARCH_MARGIN = timedelta(days=1)
"""The events of a call are searched this far outside of the times known so far. So events of a call
without a row (a caller id came before its channel) are found, and only one partition is read."""

EVENTS_AT_ONCE = 500
"""Events of one call added to its log without a pause: 3 to 5 ms."""

CALLS_AT_ONCE = 15
"""Calls folded without a pause: 1 to 3 ms in which this process does nothing else."""


async def load_calls(conn: Conn, call_ids: Sequence[UUID]) -> dict[UUID, CallState]:
    """Read the states of calls, for the gateway's snapshots and lists; unknown ids are left out."""
    stored = await queries.load(conn, call_ids)
    return {call_id: call.state for call_id, call in stored.items()}


@dataclass(slots=True)
class TouchedCalls:
    """The calls of a batch: all their events, the new ones included, and their stored states."""

    logs: dict[UUID, EventLog]
    stored: dict[UUID, StoredCall]
    merged: dict[UUID, UUID]
    further: dict[UUID, FurtherCalls] = field(default_factory=dict)
    overlong: set[UUID] = field(default_factory=set)
    """Known to have too many events: they are not read."""


@dataclass(slots=True)
class FoldedCalls:
    """What is to be saved and announced of a batch."""

    changes: list[CallChange] = field(default_factory=list)
    rewritten: dict[UUID, StoredCall] = field(default_factory=dict)
    overused: set[UUID] = field(default_factory=set)
    """Calls with too many events, or over too long a time."""

    def add(self, further: FoldedCalls) -> None:
        self.changes += further.changes
        self.rewritten |= further.rewritten
        self.overused |= further.overused


async def load_touched(
    conn: Conn,
    new: Iterable[CallEvent],
    assigned: Assignment,
    cache: CallCache,
    *,
    max_call_events: int,
) -> TouchedCalls:
    """Collect the events of all calls that new events belong to; read what is not cached."""
    by_call: dict[UUID, list[CallEvent]] = {}
    for event, call_id in zip(new, assigned.calls, strict=True):
        if call_id is not None:
            by_call.setdefault(call_id, []).append(event)
    overlong = {one for one in by_call if cache.is_overlong(one)}
    by_call = {one: events for one, events in by_call.items() if one not in overlong}
    cached = {call_id: cache.get(call_id) for call_id in by_call}
    unknown = [
        one for one, known in cached.items() if known is None and one not in assigned.new_calls
    ]
    stored, events_of = await _read(conn, unknown, by_call, assigned, max_call_events)
    losers = {one: stored[one] for one in assigned.merged if one in stored}
    touched = TouchedCalls({}, losers, assigned.merged, overlong=overlong)
    for call_id, events in by_call.items():
        known = cached[call_id]
        if known is None:
            event_log = await _event_log(events_of.get(call_id, []))
            known = CachedCall(events[0].source, event_log, stored.get(call_id))
        for first in range(0, len(events), EVENTS_AT_ONCE):
            cache.add(call_id, known, events[first : first + EVENTS_AT_ONCE])
            if len(events) - first > EVENTS_AT_ONCE:
                await asyncio.sleep(0)
        touched.logs[call_id] = known.log
        if known.stored is not None:
            touched.stored[call_id] = known.stored
    cache.add_aliases(assigned.aliases)
    conferences = {one: known.further for one, known in cached.items() if known and known.further}
    touched.further = await load_further(conn, touched.logs, conferences, losers, assigned.merged)
    return touched


async def _event_log(events: list[CallEvent]) -> EventLog:
    """Collect the events of a call; other tasks run in between."""
    found = EventLog()
    for first in range(0, len(events), EVENTS_AT_ONCE):
        if first:
            await asyncio.sleep(0)
        found.add(events[first : first + EVENTS_AT_ONCE])
    return found


async def _read(
    conn: Conn,
    unknown: list[UUID],
    by_call: dict[UUID, list[CallEvent]],
    assigned: Assignment,
    max_call_events: int,
) -> tuple[dict[UUID, StoredCall], dict[UUID, list[CallEvent]]]:
    """Read calls that are not cached, and those that end as a part of another."""
    if not (unknown or assigned.merged):
        return {}, {}
    stored = await queries.load(conn, [*unknown, *assigned.merged])
    if not unknown:
        return stored, {}
    times = [event.occurred_at for call_id in unknown for event in by_call[call_id]]
    events = await load_events(
        conn, unknown, stored.values(), times=times, max_call_events=max_call_events
    )
    return stored, events


async def load_events(
    conn: Conn,
    call_ids: Iterable[UUID],
    stored: Iterable[StoredCall],
    *,
    times: Iterable[datetime] = (),
    max_call_events: int,
) -> dict[UUID, list[CallEvent]]:
    """Read the events of calls around their known times; of one call at most one over the limit."""
    known = [at for call in stored for at in (call.first_event_at, call.last_event_at)]
    known += times
    return await event_queries.load(
        conn,
        sorted(call_ids),
        since=min(known) - SEARCH_MARGIN,
        until=max(known) + SEARCH_MARGIN,
        limit=max_call_events + 1,
    )


async def count_events(
    conn: Conn, stored: Collection[StoredCall], *, max_call_events: int
) -> dict[UUID, int]:
    """Count the events that load_events would read of each of these calls."""
    if not stored:
        return {}
    return await event_queries.count(
        conn,
        [call.state.id for call in stored],
        since=min(call.first_event_at for call in stored) - SEARCH_MARGIN,
        until=max(call.last_event_at for call in stored) + SEARCH_MARGIN,
        limit=max_call_events + 1,
    )


async def refold(
    touched: TouchedCalls, cache: CallCache, *, settings: IngestSettings, metrics: IngestMetrics
) -> AsyncGenerator[FoldedCalls]:
    """Fold the calls, and cache the states that will be saved. Neither reads nor writes.

    Yields a few calls at a time, so that the caller can save them while others are folded.
    """
    metrics.folded += len(touched.logs)
    yield FoldedCalls(overused=touched.overlong)
    calls, rewritten = list(touched.logs.items()), set[UUID]()
    for first in range(0, len(calls), CALLS_AT_ONCE):
        folded = FoldedCalls()
        for call_id, event_log in calls[first : first + CALLS_AT_ONCE]:
            if len(event_log) > settings.max_call_events:
                cache.mark_overlong(call_id)
                folded.overused.add(call_id)
                continue
            if event_log.last_at - event_log.first_at > settings.longest_call:
                folded.overused.add(call_id)
            further = None
            if is_conference(event_log):
                further = touched.further.setdefault(call_id, FurtherCalls())
            before = touched.stored.get(call_id)
            if len(event_log) > settings.fold_aside_events:
                await asyncio.to_thread(fold_into, folded, call_id, event_log, before, further)
            else:
                fold_into(folded, call_id, event_log, before, further)
            if (cached := cache.get(call_id)) and call_id in folded.rewritten:
                cached.stored = folded.rewritten[call_id]
            if cached:
                cached.further = touched.further.get(call_id)
        rewritten |= folded.rewritten.keys()
        yield folded
    yield _end_merged(touched, rewritten)


def fold_into(
    folded: FoldedCalls,
    call_id: UUID,
    log: EventLog,
    before: StoredCall | None,
    further: FurtherCalls | None,
) -> StoredCall | None:
    """Fold a call and return it; of a conference, also those of the other callers."""
    own = _fold_further(folded, call_id, log, further) if further is not None else log
    after = refold_call(call_id, own, before, stored_in=log)
    _add(folded, before, after)
    return after


def _add(folded: FoldedCalls, before: StoredCall | None, after: StoredCall | None) -> None:
    """Add a call, if it has a telephone and is not stored like that already."""
    if after is None:
        return
    if before is None or after.state.version != before.state.version:
        folded.changes.append(CallChange(before.state if before else None, after.state))
    elif _within(after, before):
        return
    folded.rewritten[after.state.id] = after


def refold_call(
    call_id: UUID,
    log: EventLog,
    before: StoredCall | None,
    *,
    stored_in: EventLog | None = None,
    events_in: UUID | None = None,
    events_leg: str | None = None,
) -> StoredCall | None:
    """Fold all events of a call; its version rises if its state changed. None: it has no leg.

    The times are those of all events that are stored with it, also of other callers.
    """
    state = fold(log, call_id=call_id, version=before.state.version + 1 if before else 1)
    if state is None:
        return None
    if events_in:
        state = replace(state, events_in=events_in, events_leg=events_leg)
    if before and state == before.state:
        state = before.state
    whole = stored_in or log
    return StoredCall(state, whole.first_at, whole.last_at)


def _fold_further(
    folded: FoldedCalls, call_id: UUID, log: EventLog, further: FurtherCalls
) -> EventLog:
    """Fold the calls of other callers in the conference; return the events of the first one.

    A call that had begun before its caller entered the conference goes on under its id.
    """
    callers = divide(log, further.by_leg)
    for caller in callers[1:]:
        key = caller.leg_key
        before = further.by_leg.get(key) or further.taken_over(key)
        after = refold_call(
            before.state.id if before else uuid7(),
            caller.log,
            before,
            events_in=call_id,
            events_leg=key,
        )
        _add(folded, before, after)
        if after:
            further.by_leg[key] = after
    further.joining.clear()
    for key in further.by_leg.keys() - {caller.leg_key for caller in callers[1:]}:
        gone = further.by_leg.pop(key)
        _add(folded, gone, ended_as_part(gone, call_id))
    return callers[0].log if callers else log


def _within(after: StoredCall, before: StoredCall) -> bool:
    """Return whether the stored times still lead to all events: then nothing need be written."""
    earliest, latest = (
        before.first_event_at - SEARCH_MARGIN / 2,
        before.last_event_at + SEARCH_MARGIN / 2,
    )
    return earliest <= after.first_event_at and after.last_event_at <= latest


def _end_merged(touched: TouchedCalls, rewritten: Collection[UUID]) -> FoldedCalls:
    """End the calls that became part of another: they keep no legs and no missed call."""
    folded = FoldedCalls()
    for loser, winner in touched.merged.items():
        call = touched.stored.get(loser)
        if call is not None and loser not in rewritten:
            _add(folded, call, ended_as_part(call, winner))
    return folded


async def save(conn: Conn, folded: FoldedCalls) -> None:
    """Save what has changed. The caller commits."""
    changes = folded.changes
    if folded.rewritten:
        await queries.save(conn, folded.rewritten.values())
    if not changes:
        return
    await _save_legs(conn, changes)
    await _save_stints(conn, changes)
    await _save_transfers(conn, changes)
    await _save_recordings(conn, changes)
    missed = [change.after for change in changes if change.after.missed]
    no_longer = [c.after.id for c in changes if c.before and c.before.missed and not c.after.missed]
    if missed:
        await queries.save_missed(conn, missed)
    if no_longer:
        await queries.delete_missed(conn, no_longer)


async def _save_legs(conn: Conn, changes: list[CallChange]) -> None:
    written, deleted = [], []
    for change in changes:
        call, known = change.after, change.before.legs if change.before else ()
        for position, leg in enumerate(call.legs):
            if position >= len(known) or known[position] != leg:
                written.append((call, position, leg))
        if known:
            now = {leg.leg_key for leg in call.legs}
            deleted += [(call.id, leg.leg_key) for leg in known if leg.leg_key not in now]
    if deleted:
        await queries.delete_legs(conn, deleted)
    if written:
        await queries.save_legs(conn, written)


async def _save_stints(conn: Conn, changes: list[CallChange]) -> None:
    written, beyond = _by_position(changes, lambda state: state.stints)
    if beyond:
        await queries.delete_stints(conn, beyond)
    if written:
        await queries.save_stints(conn, written)


async def _save_transfers(conn: Conn, changes: list[CallChange]) -> None:
    written, beyond = _by_position(changes, lambda state: state.transfers)
    if beyond:
        await transfer_queries.delete(conn, beyond)
    if written:
        await transfer_queries.save(conn, written)


def _by_position(
    changes: list[CallChange], part: Callable[[CallState], tuple[Part, ...]]
) -> tuple[list[tuple[CallState, int, Part]], list[tuple[UUID, int]]]:
    """Return the differences: (call, position, new), and (call, first position to delete)."""
    written, beyond = [], []
    for change in changes:
        call, now = change.after, part(change.after)
        known = part(change.before) if change.before else ()
        for position, one in enumerate(now):
            if position >= len(known) or known[position] != one:
                written.append((call, position, one))
        if len(known) > len(now):
            beyond.append((call.id, len(now)))
    return written, beyond


async def _save_recordings(conn: Conn, changes: list[CallChange]) -> None:
    written, deleted = [], []
    for change in changes:
        call_id = change.after.id
        known = {one.id: one for one in change.before.recordings} if change.before else {}
        now = change.after.recordings
        written += [(call_id, one) for one in now if known.pop(one.id, None) != one]
        deleted += [(call_id, recording_id) for recording_id in known]
    if deleted:
        await recording_queries.delete(conn, deleted)
    if written:
        await recording_queries.save(conn, written)
