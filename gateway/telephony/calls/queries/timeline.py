"""SQL for one call: who may see it, its family, and its PBX events."""

from __future__ import annotations

from uuid import UUID

from gateway.db import Conn
from gateway.protocol.timeline import CallFact
from gateway.telephony.calls.queries.calls import LEG_ON_TELEPHONE


async def find_visible(
    conn: Conn, call_id: UUID, *, telephones: list[tuple[str, str]] | None
) -> UUID | None:
    """Return the id of the call, or of the call that it was merged into.

    None when there is no such call, or none of these (source, extension) took part in it.
    telephones=None checks only that it exists.
    """
    found: UUID | None = await conn.fetchval(
        f"""
        -- timeline.find_visible
        WITH RECURSIVE way AS (
            SELECT id, source, merged_into, 1 AS steps
              FROM realtime.call_sessions WHERE id = $1
             UNION ALL
            SELECT c.id, c.source, c.merged_into, way.steps + 1
              FROM way JOIN realtime.call_sessions AS c ON c.id = way.merged_into
             WHERE way.steps < 20
        )
        SELECT c.id
          FROM way AS c
         WHERE c.merged_into IS NULL
           AND ($2::text[] IS NULL OR EXISTS (
                SELECT FROM realtime.call_legs AS l
                  JOIN unnest($3::text[], $2::text[]) AS mine (source, extension)
                    ON {LEG_ON_TELEPHONE}
                 WHERE l.call_id = c.id))
        """,  # noqa: S608 - ours
        call_id,
        None if telephones is None else [extension for _, extension in telephones],
        None if telephones is None else [source for source, _ in telephones],
    )
    return found


async def family(conn: Conn, call_id: UUID) -> list[UUID]:
    """Return all calls that are now one call with this one: its target, and all merged into it."""
    rows = await conn.fetch(
        """
        -- timeline.family
        WITH RECURSIVE way AS (
            SELECT id, merged_into, 1 AS steps FROM realtime.call_sessions WHERE id = $1
             UNION ALL
            SELECT c.id, c.merged_into, way.steps + 1
              FROM way JOIN realtime.call_sessions AS c ON c.id = way.merged_into
             WHERE way.steps < 20
        ), family AS (
            SELECT id, 1 AS steps FROM way WHERE merged_into IS NULL
             UNION ALL
            SELECT c.id, family.steps + 1
              FROM family JOIN realtime.call_sessions AS c ON c.merged_into = family.id
             WHERE family.steps < 20
        )
        SELECT id FROM family
        """,
        call_id,
    )
    return [row["id"] for row in rows]


async def facts(conn: Conn, call_id: UUID, *, limit: int) -> list[CallFact]:
    """Return the PBX events of a call, in the order in which they happened.

    Of callers in one conference, each with what happened to the legs of their call alone: a channel
    that is no leg may be of another caller's call.

    Without the URLs of recordings: recordings.issue_link gives those, to who may listen.
    """
    rows = await conn.fetch(
        """
        -- timeline.facts
        SELECT e.event_id, e.occurred_at AS at, e.type, e.leg_key AS leg,
               e.peer_leg_key AS peer_leg, e.queue, e.extension,
               e.attrs - '{url,recording}'::text[] AS attrs
          FROM realtime.call_sessions AS c
          JOIN realtime.call_events AS e
            ON e.call_id = COALESCE(c.events_in, c.id)
               AND e.occurred_at BETWEEN c.first_event_at AND c.last_event_at
         WHERE c.id = $1
           AND (e.leg_key IN (
                SELECT l.leg_key FROM realtime.call_legs AS l WHERE l.call_id = c.id)
                OR c.events_in IS NULL AND (e.leg_key IS NULL OR NOT EXISTS (
                   SELECT FROM realtime.call_sessions AS o WHERE o.events_in = c.id)))
         ORDER BY e.occurred_at, e.told NULLS FIRST, e.event_id
         LIMIT $2
        """,
        call_id,
        limit,
    )
    return [CallFact(**row) for row in rows]
