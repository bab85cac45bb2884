"""SQL for calls that go on and of which nothing more is heard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from ingest.conn import Conn


@dataclass(frozen=True, slots=True)
class SilentCall:
    """A call that goes on, of which nothing has changed for long."""

    id: UUID
    source: str
    started_at: datetime
    last_at: datetime | None
    """When it was last heard of; None when that was lately, or its events are not all there."""
    legs: list[str]
    """Those that are open."""


async def page(
    conn: Conn, *, silence: timedelta, after: SilentCall | None, limit: int
) -> list[SilentCall]:
    """Return the next calls that began, and changed last, before the silence; the oldest first.

    call_sessions_live has only calls that go on. What is told of a call without changing it, or
    long after it happened, shows in its events alone.
    """
    rows = await conn.fetch(
        """
        -- lost_calls.page
        SELECT c.id, c.source, c.started_at,
               CASE WHEN told.first_at <= c.started_at
                     AND greatest(told.last_at, told.received_at) < now() - $1::interval
                    THEN told.last_at END AS last_at,
               ARRAY(SELECT l.leg_key
                       FROM realtime.call_legs AS l
                      WHERE l.call_id = c.id AND l.ended_at IS NULL
                      ORDER BY l.position) AS legs
          FROM (SELECT id, source, started_at, first_event_at
                  FROM realtime.call_sessions
                 WHERE ended_at IS NULL
                   AND started_at < now() - $1::interval AND updated_at < now() - $1::interval
                   AND (started_at, id) > ($2::timestamptz, $3::uuid)
                 ORDER BY started_at, id
                 LIMIT $4) AS c
         CROSS JOIN LATERAL (
               SELECT min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at,
                      max(e.received_at) AS received_at
                 FROM realtime.call_events AS e
                WHERE e.call_id = c.id AND e.occurred_at >= c.first_event_at - interval '1 day'
               ) AS told
         ORDER BY c.started_at, c.id
        """,
        silence,
        after.started_at if after else datetime.min.replace(tzinfo=UTC),
        after.id if after else UUID(int=0),
        limit,
    )
    return [SilentCall(**dict(row)) for row in rows]
