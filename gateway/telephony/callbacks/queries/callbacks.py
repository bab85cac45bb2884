"""SQL for call-back requests: reading them, and what employees do with them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime

from gateway.db import Conn
from gateway.protocol.callbacks import Callback, CallbackList, CallbackState

MAX_COUNTED = 1_000

_COLUMNS = tuple(field.name for field in fields(Callback) if field.name != "customer")


@dataclass(frozen=True, slots=True)
class OpenCount:
    """How many requests were open, and when: of two counts the later one is right."""

    open: int
    open_as_of: int
    """In microseconds, by the database's clock."""


@dataclass(frozen=True, slots=True)
class CallbackRow:
    """A request as stored, still without its customer, and the id of that customer."""

    customer_id: int | None
    callback: Callback


@dataclass(frozen=True, slots=True)
class CallbackStatus:
    """The state of a request, read under its lock."""

    state: CallbackState
    claimed_by: int | None
    """Who has claimed it; None once the claim has expired by the database's clock."""
    customer_id: int | None
    number: str
    closed_by: int | None
    outcome: str | None


async def serialise(conn: Conn) -> None:
    """Wait for all others who make, merge or close requests; they wait until the COMMIT."""
    await conn.execute(
        """
        -- callbacks.serialise
        SELECT pg_advisory_xact_lock(hashtextextended('callbacks', 0))
        """
    )


async def lock(conn: Conn, callback_id: int) -> CallbackStatus | None:
    """Lock one request until the end of the transaction; None when there is none."""
    row = await conn.fetchrow(
        """
        -- callbacks.lock
        SELECT state, customer_id, number, closed_by, outcome,
               CASE WHEN claim_until > clock_timestamp() THEN claimed_by END AS claimed_by
          FROM realtime.callbacks
         WHERE id = $1
           FOR UPDATE
        """,
        callback_id,
    )
    return CallbackStatus(**row) if row else None


async def claim(conn: Conn, callback_id: int, employee_id: int, *, for_s: int) -> None:
    """Claim a locked request; for the one who has claimed it already, the claim is extended."""
    await conn.execute(
        """
        -- callbacks.claim
        UPDATE realtime.callbacks
           SET claimed_at = CASE WHEN claimed_by = $2 AND claim_until > clock_timestamp()
                                 THEN claimed_at ELSE clock_timestamp() END,
               state = 'claimed', claimed_by = $2,
               claim_until = clock_timestamp() + make_interval(secs => $3),
               version = version + 1, changed_at = now()
         WHERE id = $1
        """,
        callback_id,
        employee_id,
        for_s,
    )


async def release(conn: Conn, callback_id: int) -> None:
    """Release the claim of a locked request."""
    await conn.execute(
        """
        -- callbacks.release
        UPDATE realtime.callbacks
           SET state = 'open', claimed_by = NULL, claimed_at = NULL, claim_until = NULL,
               version = version + 1, changed_at = now()
         WHERE id = $1
        """,
        callback_id,
    )


async def close(
    conn: Conn, callback_id: int, employee_id: int, *, outcome: str, note: str | None
) -> datetime:
    """Close a locked request by hand; return when."""
    closed_at: datetime = await conn.fetchval(
        """
        -- callbacks.close
        UPDATE realtime.callbacks
           SET state = 'closed', claimed_by = NULL, claimed_at = NULL, claim_until = NULL,
               closed_at = clock_timestamp(), closed_by = $2, outcome = $3, note = $4,
               how = CASE WHEN $3 = 'reached' THEN 'hand' END,
               recover_ms = CASE WHEN $3 = 'reached' THEN greatest(0,
                   extract(epoch FROM clock_timestamp() - first_missed_at) * 1000)::bigint END,
               version = version + 1, changed_at = now()
         WHERE id = $1
        RETURNING closed_at
        """,
        callback_id,
        employee_id,
        outcome,
        note,
    )
    return closed_at


async def reopen(conn: Conn, callback_id: int) -> bool:
    """Reopen a locked request; False when its customer has another one that is not closed."""
    reopened = await conn.fetchval(
        """
        -- callbacks.reopen
        UPDATE realtime.callbacks AS c
           SET state = 'open', reopened_at = clock_timestamp(), closed_at = NULL,
               closed_by = NULL, outcome = NULL, how = NULL, note = NULL, recover_ms = NULL,
               version = version + 1, changed_at = now()
         WHERE c.id = $1
           AND NOT EXISTS (
               SELECT FROM realtime.callbacks AS o
                WHERE o.state <> 'closed' AND o.customer_id = c.customer_id)
           AND NOT EXISTS (
               SELECT FROM realtime.callbacks AS o
                WHERE o.state <> 'closed' AND o.customer_id IS NULL AND c.customer_id IS NULL
                  AND o.number = c.number)
        RETURNING c.id
        """,
        callback_id,
    )
    return reopened is not None


async def any_expired(conn: Conn) -> bool:
    """Whether a claim has expired and was not released yet."""
    found: bool = await conn.fetchval(
        """
        -- callbacks.any_expired
        SELECT EXISTS (SELECT FROM realtime.callbacks
                        WHERE state = 'claimed' AND claim_until <= clock_timestamp())
        """
    )
    return found


async def release_expired(conn: Conn) -> list[int]:
    """Reopen requests whose claim has expired; return their ids."""
    rows = await conn.fetch(
        """
        -- callbacks.release_expired
        UPDATE realtime.callbacks
           SET state = 'open', claimed_by = NULL, claimed_at = NULL, claim_until = NULL,
               version = version + 1, changed_at = now()
         WHERE state = 'claimed' AND claim_until <= clock_timestamp()
        RETURNING id
        """
    )
    return [row["id"] for row in rows]


async def load(conn: Conn, ids: Collection[int]) -> list[CallbackRow]:
    """Return these requests as they are, in any order."""
    rows = await conn.fetch(
        """
        -- callbacks.load
        SELECT id, version, state, customer_id, number, calls, first_missed_at, last_missed_at,
               last_call_id, queues, claimed_by, claimed_at, claim_until, closed_at, closed_by,
               outcome, how, note, recover_ms
          FROM realtime.callbacks
         WHERE id = ANY ($1::bigint[])
        """,
        list(ids),
    )
    return [
        CallbackRow(row["customer_id"], Callback(**{name: row[name] for name in _COLUMNS}))
        for row in rows
    ]


async def changed_since(
    conn: Conn,
    since: datetime,
    *,
    until: datetime | None,
    after: tuple[datetime, int] | None,
    limit: int,
) -> list[tuple[datetime, int]]:
    """Return (changed_at, id) of requests that changed after since, up to until, in that order."""
    rows = await conn.fetch(
        """
        -- callbacks.changed_since
        SELECT changed_at, id
          FROM realtime.callbacks
         WHERE changed_at > $1 AND ($2::timestamptz IS NULL OR changed_at <= $2)
           AND ($3::timestamptz IS NULL OR (changed_at, id) > ($3, $4::bigint))
         ORDER BY changed_at, id
         LIMIT $5
        """,
        since,
        until,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return [(row["changed_at"], row["id"]) for row in rows]


async def page_waiting(
    conn: Conn,
    command: CallbackList,
    *,
    mine: int | None,
    after: tuple[datetime, int] | None,
    limit: int,
) -> list[tuple[datetime, int]]:
    """Return (first_missed_at, id) of requests that are not closed, the longest wait first."""
    rows = await conn.fetch(
        """
        -- callbacks.page_waiting
        SELECT first_missed_at AS at, id
          FROM realtime.callbacks
         WHERE state <> 'closed'
           AND ($1::text IS NULL OR state = $1)
           AND ($2::bigint IS NULL OR claimed_by = $2)
           AND ($3::text IS NULL OR $3 = ANY (queues))
           AND ($4::timestamptz IS NULL OR (first_missed_at, id) > ($4, $5::bigint))
         ORDER BY first_missed_at, id
         LIMIT $6
        """,
        command.state,
        mine,
        command.queue,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return [(row["at"], row["id"]) for row in rows]


async def page_closed(
    conn: Conn,
    command: CallbackList,
    *,
    mine: int | None,
    after: tuple[datetime, int] | None,
    limit: int,
) -> list[tuple[datetime, int]]:
    """Return (closed_at, id) of closed requests, the newest first."""
    rows = await conn.fetch(
        """
        -- callbacks.page_closed
        SELECT closed_at AS at, id
          FROM realtime.callbacks
         WHERE state = 'closed'
           AND ($1::bigint IS NULL OR closed_by = $1)
           AND ($2::text IS NULL OR $2 = ANY (queues))
           AND ($3::timestamptz IS NULL OR (closed_at, id) < ($3, $4::bigint))
         ORDER BY closed_at DESC, id DESC
         LIMIT $5
        """,
        mine,
        command.queue,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return [(row["at"], row["id"]) for row in rows]


async def count_open(conn: Conn) -> OpenCount:
    """Return how many are open and unclaimed, at most MAX_COUNTED; call it outside a transaction.

    now() is then a moment before the snapshot: all that was committed by then is in the count.
    """
    row = await conn.fetchrow(
        """
        -- callbacks.count_open
        SELECT count(*) AS open, (extract(epoch FROM now()) * 1000000)::bigint AS open_as_of
          FROM (SELECT FROM realtime.callbacks
                 WHERE state <> 'closed' AND state = 'open'
                 LIMIT $1) AS counted
        """,
        MAX_COUNTED,
    )
    assert row is not None
    return OpenCount(**row)
