"""SQL for scheduled messages: one function per statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.db import Conn
from gateway.protocol import ScheduledMessage


@dataclass(frozen=True, slots=True)
class DueMessage:
    """A message that this run has claimed and sends now."""

    id: int
    employee_id: int
    conversation_id: int
    client_key: UUID
    text: str
    attempts: int


def to_scheduled(row: Any) -> ScheduledMessage:
    """Make a scheduled message of a row of the table."""
    return ScheduledMessage(
        scheduled_id=row["id"],
        conversation_id=row["conversation_id"],
        client_key=UUID(int=row["client_key"].int),  # asyncpg's UUID class, which orjson refuses
        text=row["text"],
        send_at=row["send_at"],
        state=row["state"],
        failed_code=row["failed_code"],
    )


async def lock(conn: Conn, employee_id: int) -> None:
    """Let this employee's schedule commands take turns until the transaction ends."""
    await conn.execute(
        """
        -- scheduled.lock
        SELECT pg_advisory_xact_lock(hashtextextended('scheduled:' || $1::text, 0))
        """,
        str(employee_id),
    )


async def insert(
    conn: Conn,
    employee_id: int,
    conversation_id: int,
    *,
    client_key: UUID,
    text: str,
    send_at: datetime,
    most: int,
) -> ScheduledMessage | None:
    """Schedule a message; None when the key is known or `most` messages wait already."""
    row = await conn.fetchrow(
        """
        -- scheduled.insert
        INSERT INTO realtime.scheduled_messages
               (employee_id, conversation_id, client_key, text, send_at)
        SELECT $1, $2, $3, $4, $5
         WHERE (SELECT count(*) FROM realtime.scheduled_messages
                 WHERE employee_id = $1 AND state = 'waiting') < $6
            ON CONFLICT (employee_id, conversation_id, client_key) DO NOTHING
        RETURNING *
        """,
        employee_id,
        conversation_id,
        client_key,
        text,
        send_at,
        most,
    )
    return to_scheduled(row) if row else None


async def find_key(
    conn: Conn, employee_id: int, conversation_id: int, client_key: UUID
) -> ScheduledMessage | None:
    """Return the message that this employee scheduled in this conversation with this key."""
    row = await conn.fetchrow(
        """
        -- scheduled.find_key
        SELECT * FROM realtime.scheduled_messages
         WHERE employee_id = $1 AND conversation_id = $2 AND client_key = $3
        """,
        employee_id,
        conversation_id,
        client_key,
    )
    return to_scheduled(row) if row else None


async def find(conn: Conn, employee_id: int, scheduled_id: int) -> ScheduledMessage | None:
    """Return one scheduled message of this person."""
    row = await conn.fetchrow(
        """
        -- scheduled.find
        SELECT * FROM realtime.scheduled_messages WHERE employee_id = $1 AND id = $2
        """,
        employee_id,
        scheduled_id,
    )
    return to_scheduled(row) if row else None


async def reschedule(
    conn: Conn,
    employee_id: int,
    scheduled_id: int,
    *,
    send_at: datetime,
    text: str | None,
    most: int,
) -> ScheduledMessage | None:
    """Change the time of a message that is not being sent; a failed one waits again.

    None when there is none, it is being sent or was sent, or `most` others wait.
    """
    row = await conn.fetchrow(
        """
        -- scheduled.reschedule
        UPDATE realtime.scheduled_messages AS s
           SET send_at = $3, text = coalesce($4, s.text), state = 'waiting', failed_code = NULL,
               attempts = 0, claimed_until = NULL, done_at = NULL
         WHERE s.employee_id = $1 AND s.id = $2 AND s.state <> 'sent'
           AND (s.claimed_until IS NULL OR s.claimed_until < clock_timestamp())
           AND (SELECT count(*) FROM realtime.scheduled_messages AS other
                 WHERE other.employee_id = $1 AND other.state = 'waiting' AND other.id <> $2) < $5
        RETURNING *
        """,
        employee_id,
        scheduled_id,
        send_at,
        text,
        most,
    )
    return to_scheduled(row) if row else None


async def count_waiting(conn: Conn, employee_id: int) -> int:
    """Return how many messages of this employee wait."""
    count: int = await conn.fetchval(
        """
        -- scheduled.count_waiting
        SELECT count(*) FROM realtime.scheduled_messages
         WHERE employee_id = $1 AND state = 'waiting'
        """,
        employee_id,
    )
    return count


async def remove(conn: Conn, employee_id: int, scheduled_id: int) -> ScheduledMessage | None:
    """Delete a message; None when there is none, or it is being sent, or was sent."""
    row = await conn.fetchrow(
        """
        -- scheduled.remove
        DELETE FROM realtime.scheduled_messages
         WHERE employee_id = $1 AND id = $2 AND state <> 'sent'
           AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
        RETURNING *
        """,
        employee_id,
        scheduled_id,
    )
    return to_scheduled(row) if row else None


async def page(
    conn: Conn, employee_id: int, conversation_id: int | None, limit: int
) -> list[ScheduledMessage]:
    """Return waiting messages, the next one first, then failed ones, the newest first."""
    rows = await conn.fetch(
        """
        -- scheduled.page
        SELECT * FROM realtime.scheduled_messages
         WHERE employee_id = $1 AND state <> 'sent'
           AND ($2::bigint IS NULL OR conversation_id = $2)
         ORDER BY state DESC, CASE WHEN state = 'waiting' THEN send_at END, send_at DESC, id
         LIMIT $3
        """,
        employee_id,
        conversation_id,
        limit,
    )
    return [to_scheduled(row) for row in rows]


async def due_soon(
    conn: Conn, *, within_s: float, after: tuple[datetime, int] | None, limit: int
) -> list[tuple[int, datetime]]:
    """Return messages that are due within this time and have no job then, and when they are.

    The earliest after that time and id. A job in work, or one that failed and waits, is the
    message's, however late: ordering it again changes nothing.
    """
    since, above = after or (None, 0)
    rows = await conn.fetch(
        """
        -- scheduled.due_soon
        SELECT id, send_at
          FROM realtime.scheduled_messages AS s
         WHERE state = 'waiting' AND send_at < now() + make_interval(secs => $1)
           AND NOT EXISTS (SELECT FROM realtime.jobs AS j
                            WHERE j.dedupe_key = 'scheduled:' || s.id
                              AND (j.run_at <= s.send_at OR j.claimed_until IS NOT NULL
                                   OR j.attempts <> j.uncounted))
           AND (send_at, id) > (coalesce($3::timestamptz, '-infinity'), $4::bigint)
         ORDER BY send_at, id
         LIMIT $2
        """,
        within_s,
        limit,
        since,
        above,
    )
    return [(row["id"], row["send_at"]) for row in rows]


async def claim(conn: Conn, scheduled_id: int, *, lease_s: float) -> DueMessage | None:
    """Claim a message; None unless it waits, is due, and no other node sends it.

    A claim that ends later than any can was made while PostgreSQL's clock was ahead.
    """
    row = await conn.fetchrow(
        """
        -- scheduled.claim
        UPDATE realtime.scheduled_messages
           SET claimed_until = clock_timestamp() + make_interval(secs => $2),
               attempts = attempts + 1
         WHERE id = $1 AND state = 'waiting' AND send_at <= clock_timestamp()
           AND (claimed_until IS NULL OR claimed_until < clock_timestamp()
                OR claimed_until > clock_timestamp() + make_interval(secs => 2 * $2::float8))
        RETURNING id, employee_id, conversation_id, client_key, text, attempts
        """,
        scheduled_id,
        lease_s,
    )
    return DueMessage(**row) if row else None


async def mark_sent(conn: Conn, scheduled_id: int) -> ScheduledMessage | None:
    """Record that a message was sent; None when it is recorded already."""
    row = await conn.fetchrow(
        """
        -- scheduled.mark_sent
        UPDATE realtime.scheduled_messages
           SET state = 'sent', claimed_until = NULL, done_at = clock_timestamp()
         WHERE id = $1 AND state = 'waiting'
        RETURNING *
        """,
        scheduled_id,
    )
    return to_scheduled(row) if row else None


async def mark_failed(conn: Conn, scheduled_id: int, code: str) -> ScheduledMessage | None:
    """Record why a message could not be sent; None when its result is recorded already."""
    row = await conn.fetchrow(
        """
        -- scheduled.mark_failed
        UPDATE realtime.scheduled_messages
           SET state = 'failed', failed_code = $2, claimed_until = NULL,
               done_at = clock_timestamp()
         WHERE id = $1 AND state = 'waiting'
        RETURNING *
        """,
        scheduled_id,
        code,
    )
    return to_scheduled(row) if row else None


async def release(conn: Conn, scheduled_id: int) -> None:
    """Return a claim after a temporary failure."""
    await conn.execute(
        """
        -- scheduled.release
        UPDATE realtime.scheduled_messages SET claimed_until = NULL
         WHERE id = $1 AND state = 'waiting'
        """,
        scheduled_id,
    )


async def delete_done(conn: Conn, *, days: int) -> None:
    """Delete messages that were sent or failed more than `days` ago."""
    await conn.execute(
        """
        -- scheduled.delete_done
        DELETE FROM realtime.scheduled_messages
         WHERE done_at < clock_timestamp() - make_interval(days => $1)
        """,
        days,
    )
