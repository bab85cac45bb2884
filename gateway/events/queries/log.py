"""SQL that reads relayed events in their order, and forgets old ones: one function each."""

from __future__ import annotations

from typing import Any

from gateway.db import Conn
from gateway.events.event import RelayedEvent, encode_body

BODY = "position, id, type, source, event_key, users, topics, payload::text, created_at"


HEAD = "greatest(h.position, (SELECT max(e.position) FROM realtime.events AS e))"
"""The last position, also when somebody put back the head h: events that are stored have theirs."""


def to_event(row: Any) -> RelayedEvent:
    """Return the event of a row with the columns of BODY."""
    return RelayedEvent(
        row["position"],
        row["users"],
        row["topics"],
        encode_body(
            row["id"],
            row["type"],
            source=row["source"],
            key=row["event_key"],
            payload=row["payload"],
            created_at=row["created_at"],
        ),
    )


async def head(conn: Conn) -> int:
    """Return the last position."""
    found: int = await conn.fetchval(
        f"""
        -- log.head
        SELECT {HEAD} FROM realtime.event_head AS h
        """  # noqa: S608 - a part of several statements
    )
    return found


async def after(conn: Conn, position: int, *, limit: int) -> tuple[int, list[RelayedEvent]]:
    """Return the last position, and the first events after one."""
    rows = await conn.fetch(
        f"""
        -- log.after
        SELECT {HEAD} AS head, e.*
          FROM realtime.event_head AS h
          LEFT JOIN LATERAL (
               SELECT {BODY}
                 FROM realtime.events
                WHERE position > $1
                ORDER BY position
                LIMIT $2
               ) AS e ON true
         ORDER BY e.position
        """,  # noqa: S608 - a part of several statements
        position,
        limit,
    )
    return rows[0]["head"], [to_event(row) for row in rows if row["position"] is not None]


async def forget(conn: Conn, *, seconds: float, limit: int) -> int:
    """Delete some of the events that were relayed so long ago; return how many."""
    return int(
        await conn.fetchval(
            """
            -- log.forget
            WITH gone AS (
                DELETE FROM realtime.events
                 WHERE position = ANY (ARRAY(
                       SELECT position FROM (
                           SELECT position, relayed_at
                             FROM realtime.events
                            ORDER BY position
                            LIMIT $2) AS first
                        WHERE relayed_at < now() - make_interval(secs => $1)))
                RETURNING 1
            )
            SELECT count(*) FROM gone
            """,
            seconds,
            limit,
        )
    )


async def forget_keys(conn: Conn, *, days: int, limit: int) -> int:
    """Delete some of the keys whose events were published, and due, so many days ago."""
    return int(
        await conn.fetchval(
            """
            -- log.forget_keys
            WITH gone AS (
                DELETE FROM realtime.event_keys
                 WHERE ctid = ANY (ARRAY(
                       SELECT ctid FROM realtime.event_keys
                        WHERE created_at < now() - make_interval(days => $1)
                          AND deliver_at < now() - make_interval(days => $1)
                        LIMIT $2
                          FOR UPDATE SKIP LOCKED))
                RETURNING 1
            )
            SELECT count(*) FROM gone
            """,
            days,
            limit,
        )
    )
