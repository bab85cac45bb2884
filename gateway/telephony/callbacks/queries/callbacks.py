"""SQL for whom to call back: reading items, and what people do with them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from gateway.db import Conn
from gateway.protocol.callbacks import CallbackList

MAX_COUNTED = 1_000


@dataclass(frozen=True, slots=True)
class OpenCount:
    """How many items were open, and when: of two counts the later one is right."""

    open: int
    open_as_of: int


@dataclass(frozen=True, slots=True)
class CallbackStatus:
    """Whether an item may be worked on, and by whom, read under its lock."""

    state: Literal["open", "claimed", "closed"]
    held_by: int | None
    """Who has claimed it, by the database's clock: a claim that has ended holds nothing."""
    customer_id: int | None
    number: str
    closed_by: int | None
    outcome: str | None


async def serialise(conn: Conn) -> None:
    """Take turns with all who make, gather and close items, until the end of the transaction."""
    await conn.execute(
        """
        -- callbacks.serialise
        SELECT pg_advisory_xact_lock(hashtextextended('callbacks', 0))
        """
    )


async def lock(conn: Conn, callback_id: int) -> CallbackStatus | None:
    """Lock one item until the end of the transaction; None when there is none."""
    row = await conn.fetchrow(
        """
        -- callbacks.lock
        SELECT state, customer_id, number, closed_by, outcome,
               CASE WHEN claim_until > clock_timestamp() THEN claimed_by END AS held_by
          FROM realtime.callbacks
         WHERE id = $1
           FOR UPDATE
        """,
        callback_id,
    )
    return CallbackStatus(**row) if row else None


async def claim(conn: Conn, callback_id: int, employee_id: int, *, for_s: int) -> None:
    """Give a locked item to somebody; who has it already has it for longer."""
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
    """Give a locked item back."""
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
    """Close a locked item by hand; return when."""
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
    """Open a locked item again; False when its customer has another one that is not closed."""
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
    """Say whether a claim has ended and was not given back."""
    found: bool = await conn.fetchval(
        """
        -- callbacks.any_expired
        SELECT EXISTS (SELECT FROM realtime.callbacks
                        WHERE state = 'claimed' AND claim_until <= clock_timestamp())
        """
    )
    return found


async def release_expired(conn: Conn) -> list[int]:
    """Open items whose claim has ended; return them."""
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


async def load(conn: Conn, ids: Collection[int]) -> list[dict[str, Any]]:
    """Return these items as they are, in any order."""
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
    return [dict(row) for row in rows]


async def changed_since(
    conn: Conn,
    since: datetime,
    *,
    until: datetime | None,
    after: tuple[datetime, int] | None,
    limit: int,
) -> list[tuple[datetime, int]]:
    """Return (changed_at, id) of items that changed after since, up to until, in that order."""
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
    asked: CallbackList,
    *,
    mine: int | None,
    after: tuple[datetime, int] | None,
    limit: int,
) -> list[tuple[datetime, int]]:
    """Return (first_missed_at, id) of what is not closed, who has waited longest first."""
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
        asked.state,
        mine,
        asked.queue,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return [(row["at"], row["id"]) for row in rows]


async def page_closed(
    conn: Conn,
    asked: CallbackList,
    *,
    mine: int | None,
    after: tuple[datetime, int] | None,
    limit: int,
) -> list[tuple[datetime, int]]:
    """Return (closed_at, id) of what is closed, the newest first."""
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
        asked.queue,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return [(row["at"], row["id"]) for row in rows]


async def count_open(conn: Conn) -> OpenCount:
    """Return how many are open and claimed by nobody, at most MOST_COUNTED; not in a transaction.

    now() is then a moment before the snapshot: whatever was committed by then is in the count.
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
