"""SQL for connectors: the lease of each PBX, what is open there, and gaps without a connection."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingest.conn import Conn


@dataclass(frozen=True, slots=True)
class AcquiredLease:
    """What the node that acquires a lease needs."""

    heard_at: datetime | None


async def acquire(conn: Conn, source: str, holder: str, lease: timedelta) -> AcquiredLease | None:
    """Acquire or renew the lease; None while another node holds it."""
    row = await conn.fetchrow(
        """
        -- connectors.acquire
        INSERT INTO realtime.pbx_leases AS l (source, holder, lease_until)
        VALUES ($1, $2, now() + $3)
            ON CONFLICT (source) DO UPDATE
           SET holder = excluded.holder, lease_until = excluded.lease_until
         WHERE l.holder = excluded.holder OR l.lease_until <= now()
        RETURNING heard_at
        """,
        source,
        holder,
        lease,
    )
    return AcquiredLease(row["heard_at"]) if row else None


async def renew(
    conn: Conn, source: str, holder: str, *, lease: timedelta, heard_at: datetime | None
) -> bool:
    """Renew the lease and save heard_at; False when another node has acquired it."""
    status = await conn.execute(
        """
        -- connectors.renew
        UPDATE realtime.pbx_leases
           SET lease_until = now() + $3, heard_at = COALESCE($4, heard_at)
         WHERE source = $1 AND holder = $2 AND lease_until > now()
        """,
        source,
        holder,
        lease,
        heard_at,
    )
    return status == "UPDATE 1"


async def release(conn: Conn, source: str, holder: str, heard_at: datetime | None) -> None:
    """Release the lease; any node may acquire it."""
    await conn.execute(
        """
        -- connectors.release
        UPDATE realtime.pbx_leases
           SET lease_until = now(), heard_at = COALESCE($3, heard_at)
         WHERE source = $1 AND holder = $2 AND lease_until > now()
        """,
        source,
        holder,
        heard_at,
    )


async def note_gap(
    conn: Conn, source: str, began_at: datetime, *, ended_at: datetime, reason: str
) -> None:
    await conn.execute(
        """
        -- connectors.note_gap
        INSERT INTO realtime.ingest_gaps (source, began_at, ended_at, reason)
        VALUES ($1, $2, $3, $4)
            ON CONFLICT (source, began_at) DO UPDATE
           SET ended_at = greatest(ingest_gaps.ended_at, excluded.ended_at)
        """,
        source,
        began_at,
        ended_at,
        reason,
    )


async def open_legs(conn: Conn, source: str) -> frozenset[str]:
    """Return the legs of this PBX that have not ended."""
    rows = await conn.fetch(
        """
        -- connectors.open_legs
        SELECT l.leg_key
          FROM realtime.call_sessions AS c
          JOIN realtime.call_legs AS l ON l.call_id = c.id AND l.ended_at IS NULL
         WHERE c.ended_at IS NULL AND c.source = $1
        """,
        source,
    )
    return frozenset(row["leg_key"] for row in rows)


async def waiting(conn: Conn, source: str) -> frozenset[tuple[str, str]]:
    """Return the callers in queues: (native id of the caller's leg, queue)."""
    rows = await conn.fetch(
        """
        -- connectors.waiting
        SELECT e.leg_key, s.queue
          FROM realtime.call_sessions AS c
          JOIN realtime.queue_stints AS s
            ON s.call_id = c.id AND s.left_at IS NULL AND s.outcome IS NULL
          JOIN realtime.call_events AS e
            ON e.call_id = COALESCE(c.events_in, c.id) AND e.type = 'queue.entered'
               AND e.queue = s.queue AND e.occurred_at = s.entered_at
         WHERE c.ended_at IS NULL AND c.source = $1 AND e.leg_key IS NOT NULL
        """,
        source,
    )
    return frozenset((row["leg_key"], row["queue"]) for row in rows)


async def legs_with_events(conn: Conn, source: str, legs: Collection[str]) -> frozenset[str]:
    """Return those of these legs with events of their own, not only named by others."""
    rows = await conn.fetch(
        """
        -- connectors.legs_with_events
        SELECT DISTINCT a.key
          FROM realtime.call_aliases AS a
          JOIN realtime.call_events AS e ON e.call_id = a.call_id AND e.leg_key = a.key
         WHERE a.source = $1 AND a.key = ANY ($2::text[])
        """,
        source,
        list(legs),
    )
    return frozenset(row["key"] for row in rows)


async def legs_in_open_calls(conn: Conn, source: str, legs: Collection[str]) -> frozenset[str]:
    """Return those of these legs whose call is in progress."""
    rows = await conn.fetch(
        """
        -- connectors.legs_in_open_calls
        SELECT a.key
          FROM realtime.call_aliases AS a
          JOIN realtime.call_sessions AS c ON c.id = a.call_id AND c.ended_at IS NULL
         WHERE a.source = $1 AND a.key = ANY ($2::text[])
         UNION
        -- Calls of other callers in a conference; by a branch of its own, each has its index.
        SELECT a.key
          FROM realtime.call_aliases AS a
          JOIN realtime.call_sessions AS c ON c.events_in = a.call_id AND c.ended_at IS NULL
          JOIN realtime.call_legs AS l ON l.call_id = c.id AND l.leg_key = a.key
         WHERE a.source = $1 AND a.key = ANY ($2::text[])
        """,
        source,
        list(legs),
    )
    return frozenset(row["key"] for row in rows)
