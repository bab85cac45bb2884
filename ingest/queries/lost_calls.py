"""SQL for calls in progress without events for long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from ingest.conn import Conn


@dataclass(frozen=True, slots=True)
class SilentCall:
    """A call in progress that has not changed for long."""

    id: UUID
    source: str
    started_at: datetime
    last_at: datetime | None
    """The time of its last event; None when one arrived lately, or not all are stored."""
    legs: list[str]
    """Legs that are open."""


async def page(
    conn: Conn, *, silence: timedelta, after: SilentCall | None, limit: int
) -> list[SilentCall]:
    """Return the next calls that began, and changed last, before the silence; the oldest first.

    The index call_sessions_live has only calls in progress. An event that changed nothing, or that
    arrived late, shows only in the events.
    """
    rows = await conn.fetch(
        """
        -- lost_calls.page
        SELECT c.id, c.source, c.started_at,
               CASE WHEN events.first_at <= c.started_at
                     AND greatest(events.last_at, events.received_at) < now() - $1::interval
                    THEN events.last_at END AS last_at,
               ARRAY(SELECT l.leg_key
                       FROM realtime.call_legs AS l
                      WHERE l.call_id = c.id AND l.ended_at IS NULL
                      ORDER BY l.position) AS legs
          FROM (SELECT id, source, started_at, first_event_at,
                       COALESCE(events_in, id) AS events_in
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
                WHERE e.call_id = c.events_in
                  AND e.occurred_at >= c.first_event_at - interval '1 day'
               ) AS events
         ORDER BY c.started_at, c.id
        """,
        silence,
        after.started_at if after else datetime.min.replace(tzinfo=UTC),
        after.id if after else UUID(int=0),
        limit,
    )
    return [SilentCall(**dict(row)) for row in rows]
