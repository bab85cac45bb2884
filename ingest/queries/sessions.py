"""SQL for calls: the latest state of each, with legs and queue stints."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ingest.conn import Conn
from ingest.model import parking_json
from ingest.model.call_state import CallState, LegState, StintState
from ingest.queries import recordings, transfers

CALL_COLUMNS = """id, version, source, direction, status, outcome, number_raw, number_e164,
               caller_name, queue, started_at, answered_at, ended_at, wait_ms, talk_ms,
               answered_extension, did, mailbox, message_left, ended_by, ended_by_extension,
               asked_extension, parked_ms, ring_group, room, events_in, events_leg, merged_into"""
"""The fields of a CallState that are columns of its row."""

ROWS_AT_ONCE = 1_000
"""Legs made without a pause: 2 ms in which this process does nothing else."""


@dataclass(frozen=True, slots=True)
class StoredCall:
    """A call's state, and the times of its first and last event."""

    state: CallState
    first_event_at: datetime
    last_event_at: datetime


async def load(conn: Conn, call_ids: Sequence[UUID]) -> dict[UUID, StoredCall]:
    """Read calls with legs, stints, transfers and recordings, exactly as they were saved."""
    rows = await conn.fetch(
        f"""
        -- sessions.load
        SELECT {CALL_COLUMNS}, parkings::text, first_event_at, last_event_at
          FROM realtime.call_sessions
         WHERE id = ANY ($1::uuid[])
        """,  # noqa: S608 - ours
        call_ids,
    )
    legs = await _legs(conn, call_ids) if rows else {}
    stints = await _stints(conn, call_ids) if rows else {}
    moved = await transfers.load(conn, call_ids) if rows else {}
    recorded = await recordings.load(conn, call_ids) if rows else {}
    found = {}
    for row in rows:
        fields = dict(row)
        first, last = fields.pop("first_event_at"), fields.pop("last_event_at")
        parked = parking_json.loads(fields.pop("parkings"))
        call_id = fields["id"]
        state = CallState(
            **fields,
            legs=tuple(legs.get(call_id, ())),
            stints=tuple(stints.get(call_id, ())),
            parkings=parked,
            transfers=tuple(moved.get(call_id, ())),
            recordings=tuple(recorded.get(call_id, ())),
        )
        found[call_id] = StoredCall(state, first, last)
    return found


async def load_further(conn: Conn, call_ids: Sequence[UUID]) -> dict[UUID, dict[str, StoredCall]]:
    """Read the calls stored with these: call → first channel of its caller → their call."""
    rows = await conn.fetch(
        """
        -- sessions.load_further
        SELECT id FROM realtime.call_sessions WHERE events_in = ANY ($1::uuid[])
        """,
        call_ids,
    )
    found: dict[UUID, dict[str, StoredCall]] = defaultdict(dict)
    for call in (await load(conn, [row["id"] for row in rows])).values() if rows else ():
        if call.state.events_in and call.state.events_leg:
            found[call.state.events_in][call.state.events_leg] = call
    return found


async def _legs(conn: Conn, call_ids: Sequence[UUID]) -> dict[UUID, list[LegState]]:
    rows = await conn.fetch(
        """
        -- sessions.legs
        SELECT call_id, leg_key, extension, kind, status, ringing_at, answered_at, ended_at,
               ended_reason, talk_ms, overlap_ms, hold_ms, sip_call_id, placed, forwarded_from,
               shared
          FROM realtime.call_legs
         WHERE call_id = ANY ($1::uuid[])
         ORDER BY call_id, position
        """,
        call_ids,
    )
    found: dict[UUID, list[LegState]] = defaultdict(list)
    for number, row in enumerate(rows, 1):
        fields = dict(row)
        found[fields.pop("call_id")].append(LegState(**fields))
        if number % ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return found


async def _stints(conn: Conn, call_ids: Sequence[UUID]) -> dict[UUID, list[StintState]]:
    rows = await conn.fetch(
        """
        -- sessions.stints
        SELECT call_id, queue, entered_at, answered_at, left_at, outcome, wait_ms
          FROM realtime.queue_stints
         WHERE call_id = ANY ($1::uuid[])
         ORDER BY call_id, position
        """,
        call_ids,
    )
    found: dict[UUID, list[StintState]] = defaultdict(list)
    for row in rows:
        fields = dict(row)
        found[fields.pop("call_id")].append(StintState(**fields))
    return found


def columns(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...] | None]:
    """Turn rows into columns for unnest(): one statement for all costs half of one for each.

    `unnest((SELECT $1))`, because then PostgreSQL keeps one plan for all lengths. A column in which
    no row has a value is sent as NULL, for which unnest() gives as many: asyncpg would examine each
    None for 0.2 µs, and half of the columns are of what few calls have.
    """
    found = zip(*rows, strict=True)
    return [None if one.count(None) == len(one) else one for one in found]


async def save(conn: Conn, calls: Iterable[StoredCall]) -> None:
    """Write the rows of call_sessions."""
    await conn.execute(
        """
        -- sessions.save
        INSERT INTO realtime.call_sessions AS c
               (id, source, version, direction, status, outcome, number_raw, number_e164,
                caller_name, queue, started_at, answered_at, ended_at, wait_ms, talk_ms,
                answered_extension, merged_into, first_event_at, last_event_at, did,
                mailbox, message_left, ended_by, ended_by_extension, asked_extension, parked_ms,
                parkings, ring_group, room, events_in, events_leg)
        SELECT * FROM unnest((SELECT $1::uuid[]), (SELECT $2::text[]), (SELECT $3::bigint[]),
               (SELECT $4::text[]), (SELECT $5::text[]), (SELECT $6::text[]), (SELECT $7::text[]),
               (SELECT $8::text[]), (SELECT $9::text[]), (SELECT $10::text[]),
               (SELECT $11::timestamptz[]), (SELECT $12::timestamptz[]),
               (SELECT $13::timestamptz[]), (SELECT $14::bigint[]), (SELECT $15::bigint[]),
               (SELECT $16::text[]), (SELECT $17::uuid[]), (SELECT $18::timestamptz[]),
               (SELECT $19::timestamptz[]), (SELECT $20::text[]), (SELECT $21::text[]),
               (SELECT $22::boolean[]), (SELECT $23::text[]), (SELECT $24::text[]),
               (SELECT $25::text[]), (SELECT $26::bigint[]), (SELECT $27::text[]::jsonb[]),
               (SELECT $28::text[]), (SELECT $29::text[]), (SELECT $30::uuid[]),
               (SELECT $31::text[]))
            ON CONFLICT (id) DO UPDATE
           SET version = excluded.version, direction = excluded.direction,
               status = excluded.status, outcome = excluded.outcome,
               number_raw = excluded.number_raw, number_e164 = excluded.number_e164,
               caller_name = excluded.caller_name, queue = excluded.queue,
               started_at = excluded.started_at, answered_at = excluded.answered_at,
               ended_at = excluded.ended_at, wait_ms = excluded.wait_ms,
               talk_ms = excluded.talk_ms, answered_extension = excluded.answered_extension,
               merged_into = excluded.merged_into, first_event_at = excluded.first_event_at,
               last_event_at = excluded.last_event_at, did = excluded.did,
               mailbox = excluded.mailbox, message_left = excluded.message_left,
               ended_by = excluded.ended_by, ended_by_extension = excluded.ended_by_extension,
               asked_extension = excluded.asked_extension, parked_ms = excluded.parked_ms,
               parkings = excluded.parkings, ring_group = excluded.ring_group,
               room = excluded.room, events_in = excluded.events_in,
               events_leg = excluded.events_leg, updated_at = now()
        """,
        *columns(
            (c.state.id, c.state.source, c.state.version, c.state.direction, c.state.status,
             c.state.outcome, c.state.number_raw, c.state.number_e164, c.state.caller_name,
             c.state.queue, c.state.started_at, c.state.answered_at, c.state.ended_at,
             c.state.wait_ms, c.state.talk_ms, c.state.answered_extension, c.state.merged_into,
             c.first_event_at, c.last_event_at, c.state.did, c.state.mailbox, c.state.message_left,
             c.state.ended_by, c.state.ended_by_extension, c.state.asked_extension,
             c.state.parked_ms, parking_json.dumps(c.state.parkings), c.state.ring_group,
             c.state.room, c.state.events_in, c.state.events_leg)
            for c in calls
        ),
    )  # fmt: skip


async def save_legs(conn: Conn, legs: Iterable[tuple[CallState, int, LegState]]) -> None:
    """Write legs of calls. If a call's start changed, save() has updated its other legs."""
    await conn.execute(
        """
        -- sessions.save_legs
        INSERT INTO realtime.call_legs
               (call_id, leg_key, position, extension, kind, status, ringing_at, answered_at,
                ended_at, ended_reason, talk_ms, hold_ms, sip_call_id, placed, source, started_at,
                overlap_ms, forwarded_from, shared)
        SELECT * FROM unnest((SELECT $1::uuid[]), (SELECT $2::text[]), (SELECT $3::smallint[]),
               (SELECT $4::text[]), (SELECT $5::text[]), (SELECT $6::text[]),
               (SELECT $7::timestamptz[]), (SELECT $8::timestamptz[]), (SELECT $9::timestamptz[]),
               (SELECT $10::text[]), (SELECT $11::bigint[]), (SELECT $12::bigint[]),
               (SELECT $13::text[]), (SELECT $14::boolean[]), (SELECT $15::text[]),
               (SELECT $16::timestamptz[]), (SELECT $17::bigint[]), (SELECT $18::text[]),
               (SELECT $19::boolean[]))
            ON CONFLICT (call_id, leg_key) DO UPDATE
           SET position = excluded.position, extension = excluded.extension,
               kind = excluded.kind, status = excluded.status, ringing_at = excluded.ringing_at,
               answered_at = excluded.answered_at, ended_at = excluded.ended_at,
               ended_reason = excluded.ended_reason, talk_ms = excluded.talk_ms,
               hold_ms = excluded.hold_ms, sip_call_id = excluded.sip_call_id,
               placed = excluded.placed, source = excluded.source,
               started_at = excluded.started_at, overlap_ms = excluded.overlap_ms,
               forwarded_from = excluded.forwarded_from, shared = excluded.shared
        """,
        *columns(
            (call.id, leg.leg_key, position, leg.extension, leg.kind, leg.status, leg.ringing_at,
             leg.answered_at, leg.ended_at, leg.ended_reason, leg.talk_ms, leg.hold_ms,
             leg.sip_call_id, leg.placed, call.source, call.started_at, leg.overlap_ms,
             leg.forwarded_from, leg.shared)
            for call, position, leg in legs
        ),
    )  # fmt: skip


async def delete_legs(conn: Conn, legs: Iterable[tuple[UUID, str]]) -> None:
    await conn.executemany(
        """
        -- sessions.delete_legs
        DELETE FROM realtime.call_legs WHERE call_id = $1 AND leg_key = $2
        """,
        list(legs),
    )


async def save_stints(conn: Conn, stints: Iterable[tuple[CallState, int, StintState]]) -> None:
    await conn.execute(
        """
        -- sessions.save_stints
        INSERT INTO realtime.queue_stints
               (call_id, position, queue, entered_at, answered_at, left_at, outcome, wait_ms,
                started_at)
        SELECT * FROM unnest((SELECT $1::uuid[]), (SELECT $2::smallint[]), (SELECT $3::text[]),
               (SELECT $4::timestamptz[]), (SELECT $5::timestamptz[]), (SELECT $6::timestamptz[]),
               (SELECT $7::text[]), (SELECT $8::bigint[]), (SELECT $9::timestamptz[]))
            ON CONFLICT (call_id, position) DO UPDATE
           SET queue = excluded.queue, entered_at = excluded.entered_at,
               answered_at = excluded.answered_at, left_at = excluded.left_at,
               outcome = excluded.outcome, wait_ms = excluded.wait_ms,
               started_at = excluded.started_at
        """,
        *columns(
            (call.id, position, s.queue, s.entered_at, s.answered_at, s.left_at, s.outcome,
             s.wait_ms, call.started_at)
            for call, position, s in stints
        ),
    )  # fmt: skip


async def delete_stints(conn: Conn, beyond: Iterable[tuple[UUID, int]]) -> None:
    """Delete the stints of a call from a position on."""
    await conn.executemany(
        """
        -- sessions.delete_stints
        DELETE FROM realtime.queue_stints WHERE call_id = $1 AND position >= $2
        """,
        list(beyond),
    )


async def save_missed(conn: Conn, calls: Iterable[CallState]) -> None:
    await conn.executemany(
        """
        -- sessions.save_missed
        INSERT INTO realtime.missed_calls
               (call_id, source, number_raw, number_e164, queue, outcome, started_at, ended_at,
                wait_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT (call_id) DO UPDATE
           SET number_raw = excluded.number_raw, number_e164 = excluded.number_e164,
               queue = excluded.queue, outcome = excluded.outcome,
               started_at = excluded.started_at, ended_at = excluded.ended_at,
               wait_ms = excluded.wait_ms
        """,
        [missed_row(call) for call in calls],
    )


def missed_row(call: CallState) -> tuple[Any, ...]:
    """Return the row of realtime.missed_calls for a call."""
    return (
        call.id,
        call.source,
        call.number_raw,
        call.number_e164,
        call.queue,
        call.outcome,
        call.started_at,
        call.ended_at,
        call.wait_ms,
    )


async def delete_missed(conn: Conn, call_ids: Sequence[UUID]) -> None:
    """Remove calls that were answered, or are in progress, according to a late event."""
    await conn.execute(
        """
        -- sessions.delete_missed
        DELETE FROM realtime.missed_calls WHERE call_id = ANY ($1::uuid[])
        """,
        call_ids,
    )
