"""SQL for folding stored calls again: which there are, and which are listed as missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ingest.conn import Conn


@dataclass(frozen=True, slots=True)
class Place:
    """A call, and where it stands in the order of their beginning."""

    call_id: UUID
    source: str
    started_at: datetime


async def page(
    conn: Conn,
    since: datetime | None,
    until: datetime | None,
    source: str | None,
    *,
    after: Place | None,
    limit: int,
) -> list[Place]:
    """Return the next calls, the newest first; not those that became part of another."""
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
        since,
        until,
        after.started_at if after else None,
        after.call_id if after else None,
        source,
        limit,
    )
    return [Place(row["id"], row["source"], row["started_at"]) for row in rows]


async def missed(conn: Conn, call_ids: Sequence[UUID]) -> dict[UUID, tuple[Any, ...]]:
    """Return the rows of those of these calls that are listed as missed."""
    rows = await conn.fetch(
        """
        -- rebuild.missed
        SELECT call_id, source, number_raw, number_e164, queue, outcome, started_at, ended_at,
               wait_ms
          FROM realtime.missed_calls
         WHERE call_id = ANY ($1::uuid[])
        """,
        call_ids,
    )
    return {row["call_id"]: tuple(row) for row in rows}
