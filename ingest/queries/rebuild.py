"""SQL for folding stored calls again: which calls there are, and which are listed as missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ingest.conn import Conn
from ingest.queries.rebuild_runs import CallSelection


@dataclass(frozen=True, slots=True)
class CallPosition:
    """A call and its position in the order of beginning."""

    call_id: UUID
    source: str
    started_at: datetime


async def page(
    conn: Conn,
    selection: CallSelection,
    *,
    after: CallPosition | None,
    limit: int,
) -> list[CallPosition]:
    """Return the next calls, the newest first, without those that became part of another."""
    rows = await conn.fetch(
        """
        -- rebuild.page
        SELECT id, source, started_at
          FROM realtime.call_sessions
         WHERE started_at >= coalesce($1::timestamptz, '-infinity')
           AND started_at < coalesce($2::timestamptz, 'infinity')
           AND (started_at, id) < (coalesce($3::timestamptz, 'infinity'),
                                   coalesce($4, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
           AND ($5::text IS NULL OR source = $5)
           AND merged_into IS NULL
         ORDER BY started_at DESC, id DESC
         LIMIT $6
        """,
        selection.since,
        selection.until,
        after.started_at if after else None,
        after.call_id if after else None,
        selection.source,
        limit,
    )
    return [CallPosition(row["id"], row["source"], row["started_at"]) for row in rows]


@dataclass(frozen=True, slots=True)
class MissingCall:
    """A call with events and without a row."""

    call_id: UUID
    source: str
    first_at: datetime
    last_at: datetime
    events: int


@dataclass(frozen=True, slots=True)
class MissingCalls:
    """The missing ones of a range of calls with stored events, in the order of their ids."""

    calls: list[MissingCall]
    searched: list[UUID]
    """All calls of the range."""
    last: UUID | None
    """The last call of the range; None when there are no more calls."""


async def find_missing(
    conn: Conn, selection: CallSelection, *, after: UUID, limit: int
) -> MissingCalls:
    """Examine the next `limit` calls with events in that time; return those without a row.

    It goes from id to id in the index, whatever the number of a call's events. The events of a call
    that became part of another belong to the other.
    """
    rows = await conn.fetch(
        """
        -- rebuild.find_missing
        WITH RECURSIVE ids AS (
            (SELECT e.call_id, 1 AS place
               FROM realtime.call_events AS e
              WHERE e.call_id > $3
                AND e.occurred_at >= coalesce($1::timestamptz, '-infinity')
                AND e.occurred_at < coalesce($2::timestamptz, 'infinity')
              ORDER BY e.call_id
              LIMIT 1)
          UNION ALL
            SELECT next.call_id, ids.place + 1
              FROM ids
             CROSS JOIN LATERAL (
                   SELECT e.call_id
                     FROM realtime.call_events AS e
                    WHERE e.call_id > ids.call_id
                      AND e.occurred_at >= coalesce($1::timestamptz, '-infinity')
                      AND e.occurred_at < coalesce($2::timestamptz, 'infinity')
                    ORDER BY e.call_id
                    LIMIT 1) AS next
             WHERE ids.place < $4
        )
        SELECT ids.call_id, seen.source, seen.first_at, seen.last_at, seen.events
          FROM ids
          LEFT JOIN realtime.call_sessions AS c ON c.id = ids.call_id
         CROSS JOIN LATERAL (
               SELECT min(e.source) AS source, min(e.occurred_at) AS first_at,
                      max(e.occurred_at) AS last_at, count(*) AS events
                 FROM realtime.call_events AS e
                WHERE c.id IS NULL AND e.call_id = ids.call_id) AS seen
         ORDER BY ids.call_id
        """,
        selection.since,
        selection.until,
        after,
        limit,
    )
    found = [MissingCall(*row) for row in rows if row["source"] is not None]
    searched = [row["call_id"] for row in rows]
    return MissingCalls(found, searched, searched[-1] if len(searched) == limit else None)


async def missed_rows(conn: Conn, call_ids: Sequence[UUID]) -> dict[UUID, tuple[Any, ...]]:
    """Return the rows of missed_calls of these calls, as far as they are listed."""
    rows = await conn.fetch(
        """
        -- rebuild.missed_rows
        SELECT call_id, source, number_raw, number_e164, queue, outcome, started_at, ended_at,
               wait_ms
          FROM realtime.missed_calls
         WHERE call_id = ANY ($1::uuid[])
        """,
        call_ids,
    )
    return {row["call_id"]: tuple(row) for row in rows}


async def align_parts(conn: Conn, call_ids: Sequence[UUID]) -> list[UUID]:
    """Copy source and start of calls into their legs and stints; return calls that differed."""
    rows = await conn.fetch(
        """
        -- rebuild.align_parts
        WITH legs AS (
            UPDATE realtime.call_legs AS l SET source = c.source, started_at = c.started_at
              FROM realtime.call_sessions AS c
             WHERE l.call_id = ANY ($1::uuid[]) AND c.id = l.call_id
               AND (l.source, l.started_at) IS DISTINCT FROM (c.source, c.started_at)
         RETURNING l.call_id
        ), stints AS (
            UPDATE realtime.queue_stints AS s SET started_at = c.started_at
              FROM realtime.call_sessions AS c
             WHERE s.call_id = ANY ($1::uuid[]) AND c.id = s.call_id
               AND s.started_at <> c.started_at
         RETURNING s.call_id
        )
        SELECT call_id FROM legs UNION SELECT call_id FROM stints
        """,
        call_ids,
    )
    return [row["call_id"] for row in rows]
