"""SQL of the relay: from the outbox into the order of delivery; one function per statement."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.db import Conn
from gateway.events.event import RelayedEvent
from gateway.events.queries.log import BODY, HEAD, to_event


async def has_due(conn: Conn) -> bool:
    """Return whether an event waits to be relayed."""
    return bool(
        await conn.fetchval(
            """
            -- outbox.has_due
            SELECT EXISTS (SELECT FROM realtime.events_outbox WHERE deliver_at <= now())
            """
        )
    )


async def lock_head(conn: Conn) -> int | None:
    """Return the last position, locked until the COMMIT; None while another node relays."""
    found: int | None = await conn.fetchval(
        f"""
        -- outbox.lock_head
        SELECT {HEAD} FROM realtime.event_head AS h FOR UPDATE OF h SKIP LOCKED
        """  # noqa: S608 - a part of several statements
    )
    return found


async def move(conn: Conn, head: int, *, limit: int) -> list[RelayedEvent]:
    """Move what is due into realtime.events, behind this position, and return it in its order.

    Events of one transaction keep the order in which they were published: it is seen whole or not
    at all, and each statement sees what was committed before it. What is being cancelled is left.
    """
    rows = await conn.fetch(
        f"""
        -- outbox.move
        WITH gone AS (
            DELETE FROM realtime.events_outbox
             WHERE ctid = ANY (ARRAY(
                   SELECT ctid FROM realtime.events_outbox
                    WHERE deliver_at <= now()
                    ORDER BY deliver_at, id
                    LIMIT $2
                      FOR UPDATE SKIP LOCKED))
            RETURNING *
        ), logged AS (
            INSERT INTO realtime.events
                   (position, id, source, type, event_key, users, topics, payload, notify,
                    created_at)
            SELECT $1 + row_number() OVER (ORDER BY deliver_at, id), id, source, type, event_key,
                   users, topics, payload, notify, created_at
              FROM gone
            RETURNING *
        ), moved AS (
            UPDATE realtime.event_head SET position = $1 + (SELECT count(*) FROM gone)
             WHERE EXISTS (SELECT FROM gone)
        )
        SELECT {BODY} FROM logged ORDER BY position
        """,  # noqa: S608 - a part of several statements
        head,
        limit,
    )
    return [to_event(row) for row in rows]


@dataclass(frozen=True, slots=True)
class OutboxBacklog:
    """What waits to be relayed."""

    waiting: int
    """At most the limit that was given."""
    oldest_s: float
    """For how long the first one has been due; 0 when none waits."""


async def backlog(conn: Conn, *, limit: int) -> OutboxBacklog:
    """Count events that are due, up to a limit.

    But for those that a transaction takes back, or relays, at this moment: no relay may have them,
    and a transaction of the CRM may stay open for long.
    """
    row = await conn.fetchrow(
        """
        -- outbox.backlog
        WITH due AS (
            SELECT greatest(deliver_at, created_at) AS since, xmax::text::bigint AS ender
              FROM realtime.events_outbox
             WHERE deliver_at <= now()
             ORDER BY deliver_at, id
             LIMIT $1
        ), next AS (
            SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xid
        )
        SELECT count(*) AS waiting,
               coalesce(extract(epoch FROM now() - min(due.since)), 0)::float8 AS oldest_s
          FROM due, next
         WHERE CASE due.ender WHEN 0 THEN true
               ELSE pg_xact_status((next.xid  -- with the upper half that xmax does not have
                        + ((due.ender - next.xid + 2147483648) & 4294967295)
                        - 2147483648)::text::xid8) IS DISTINCT FROM 'in progress'
               END
        """,
        limit,
    )
    assert row is not None
    return OutboxBacklog(**row)


async def vacuum(conn: Conn) -> None:
    """Free the space of events that were relayed; another one that does so is left alone."""
    await conn.execute(
        """
        -- outbox.vacuum
        VACUUM (SKIP_LOCKED) realtime.events_outbox
        """
    )
