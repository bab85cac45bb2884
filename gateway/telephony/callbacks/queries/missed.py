"""SQL for missed calls: from news to call-back requests, and the list of missed calls.

dequeue ─▶ detach ─▶ find_due ─▶ lock_callbacks ─▶ attach ─▶ refresh_totals ─▶ reached.close_reached

All of them take any number of calls, in one transaction under callbacks.serialise. `now()` is the
beginning of that transaction, so `changed_at = now()` finds what it has changed. Employees work on
requests at the same time: detach and lock_callbacks lock those that may change.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.db import Conn
from gateway.protocol.callbacks import MissedCallList
from gateway.protocol.calls import Outcome

MAX_QUEUES = 20


@dataclass(frozen=True, slots=True)
class CallbackNews:
    """A call that was missed, no longer counts as missed, or was answered; or a customer reached.

    Either call_id is set, or customer_id and how.
    """

    call_id: UUID | None
    customer_id: int | None
    how: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class DueCall:
    """A missed call that needs a request, and the customer who has its number."""

    call_id: UUID
    number: str
    started_at: datetime
    customer_id: int | None = None


@dataclass(frozen=True, slots=True)
class MissedCallRow:
    """A missed call as stored, and the request that it is in."""

    call_id: UUID
    source: str
    number_e164: str | None
    number_raw: str | None
    queue: str | None
    outcome: Outcome
    started_at: datetime
    ended_at: datetime
    wait_ms: int | None
    callback_id: int | None


async def any_news(conn: Conn) -> bool:
    """Whether there are news that were not processed yet."""
    found: bool = await conn.fetchval(
        """
        -- missed.any_news
        SELECT EXISTS (SELECT FROM realtime.callback_news)
        """
    )
    return found


async def dequeue(conn: Conn, *, limit: int) -> list[CallbackNews]:
    """Delete and return the oldest news; a rollback restores them."""
    rows = await conn.fetch(
        """
        -- missed.dequeue
        DELETE FROM realtime.callback_news
         WHERE id IN (SELECT id FROM realtime.callback_news ORDER BY id LIMIT $1)
        RETURNING call_id, customer_id, how, at
        """,
        limit,
    )
    return [CallbackNews(**row) for row in rows]


async def detach(conn: Conn, call_ids: Collection[UUID]) -> dict[UUID, int]:
    """Detach calls from requests that are not closed; return call → request."""
    rows = await conn.fetch(
        """
        -- missed.detach
        WITH locked AS MATERIALIZED (
            SELECT c.id
              FROM realtime.callback_calls AS k
              JOIN realtime.callbacks AS c ON c.id = k.callback_id AND c.state <> 'closed'
             WHERE k.call_id = ANY ($1::uuid[])
             ORDER BY c.id
               FOR UPDATE OF c
        )
        DELETE FROM realtime.callback_calls AS k
         WHERE k.call_id = ANY ($1::uuid[]) AND k.callback_id IN (SELECT id FROM locked)
        RETURNING k.call_id, k.callback_id
        """,
        list(call_ids),
    )
    return {row["call_id"]: row["callback_id"] for row in rows}


async def find_due(
    conn: Conn, call_ids: Collection[UUID], *, owed: Collection[UUID], short_ms: int, days: int
) -> list[DueCall]:
    """Return those of these calls that are missed, have a number and are in no request.

    Calls in owed, which were in a request until now, may be of any age; others only some days old.
    """
    rows = await conn.fetch(
        """
        -- missed.find_due
        SELECT m.call_id, m.number_e164 AS number, m.started_at
          FROM realtime.missed_calls AS m
         WHERE m.call_id = ANY ($1::uuid[])
           AND m.number_e164 IS NOT NULL
           AND (m.started_at > now() - make_interval(days => $3) OR m.call_id = ANY ($4::uuid[]))
           AND NOT (m.outcome = 'abandoned' AND $2::int >
                    coalesce(m.wait_ms, extract(epoch FROM m.ended_at - m.started_at) * 1000))
           AND NOT EXISTS (SELECT FROM realtime.callback_calls AS k WHERE k.call_id = m.call_id)
         ORDER BY m.started_at, m.call_id
        """,
        list(call_ids),
        short_ms,
        days,
        list(owed),
    )
    return [DueCall(**row) for row in rows]


async def lock_callbacks(
    conn: Conn, numbers: Collection[str], customer_ids: Collection[int]
) -> dict[int, str]:
    """Lock the open requests of these; return id → number for those that have no customer.

    An employee who closes one does so before, and it is not among these, or after the COMMIT.
    """
    rows = await conn.fetch(
        """
        -- missed.lock_callbacks
        SELECT id, number, customer_id FROM realtime.callbacks
         WHERE state <> 'closed'
           AND (customer_id = ANY ($2::bigint[])
                OR customer_id IS NULL AND number = ANY ($1::text[]))
         ORDER BY first_missed_at, id
           FOR UPDATE
        """,
        list(numbers),
        list(customer_ids),
    )
    return {row["id"]: row["number"] for row in rows if row["customer_id"] is None}


async def assign_customer(conn: Conn, callback_id: int, customer_id: int) -> None:
    """Give a number's request to a customer; one that the customer has takes over its calls."""
    await conn.execute(
        """
        -- missed.assign_customer
        WITH theirs AS (
            SELECT id FROM realtime.callbacks WHERE state <> 'closed' AND customer_id = $2
        ), moved AS (
            UPDATE realtime.callback_calls AS k SET callback_id = theirs.id
              FROM theirs WHERE k.callback_id = $1
        )
        UPDATE realtime.callbacks AS c
           SET customer_id = $2, version = c.version + 1, changed_at = now(),
               state = CASE WHEN other THEN 'closed' ELSE c.state END,
               outcome = CASE WHEN other THEN 'merged' END,
               closed_at = CASE WHEN other THEN now() END,
               claimed_by = CASE WHEN NOT other THEN c.claimed_by END,
               claimed_at = CASE WHEN NOT other THEN c.claimed_at END,
               claim_until = CASE WHEN NOT other THEN c.claim_until END
          FROM (SELECT EXISTS (SELECT FROM theirs) AS other) AS found
         WHERE c.id = $1 AND c.state <> 'closed'
        """,
        callback_id,
        customer_id,
    )


async def attach(conn: Conn, due: Sequence[DueCall]) -> dict[UUID, int]:
    """Attach calls to the requests of their customers or numbers, making those that do not exist.

    Returns call → request.
    """
    rows = await conn.fetch(
        """
        -- missed.attach
        WITH due AS (
            SELECT *, coalesce(customer_id::text, number) AS party
              FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::timestamptz[])
                   AS d (call_id, customer_id, number, started_at)
        ), known AS (
            SELECT id, coalesce(customer_id::text, number) AS party
              FROM realtime.callbacks
             WHERE state <> 'closed' AND customer_id = ANY ($2::bigint[])
             UNION ALL
            SELECT id, number
              FROM realtime.callbacks
             WHERE state <> 'closed' AND customer_id IS NULL AND number = ANY ($3::text[])
        ), created AS (
            INSERT INTO realtime.callbacks
                   (customer_id, number, first_missed_at, last_missed_at, last_call_id)
            SELECT DISTINCT ON (party) customer_id, number, started_at, started_at, call_id
              FROM due
             WHERE party NOT IN (SELECT party FROM known)
             ORDER BY party, started_at
            RETURNING id, coalesce(customer_id::text, number) AS party
        )
        INSERT INTO realtime.callback_calls (call_id, callback_id)
        SELECT due.call_id, request.id
          FROM due
          JOIN (SELECT * FROM known UNION ALL SELECT * FROM created) AS request USING (party)
        RETURNING call_id, callback_id
        """,
        [one.call_id for one in due],
        [one.customer_id for one in due],
        [one.number for one in due],
        [one.started_at for one in due],
    )
    return {row["call_id"]: row["callback_id"] for row in rows}


async def refresh_totals(conn: Conn, ids: Collection[int]) -> None:
    """Recompute requests from their calls; one without calls is closed as mistaken."""
    await conn.execute(
        """
        -- missed.refresh_totals
        WITH totals AS (
            SELECT c.id, count(m.call_id)::int AS calls, min(m.started_at) AS first_missed_at,
                   max(m.started_at) AS last_missed_at,
                   (array_agg(m.call_id ORDER BY m.started_at DESC, m.call_id)
                       FILTER (WHERE m.call_id IS NOT NULL))[1] AS last_call_id,
                   (array_agg(m.number_e164 ORDER BY m.started_at DESC, m.call_id)
                       FILTER (WHERE m.number_e164 IS NOT NULL))[1] AS number,
                   coalesce((array_agg(DISTINCT m.queue)
                       FILTER (WHERE m.queue IS NOT NULL))[:$2], '{}') AS queues
              FROM realtime.callbacks AS c
              LEFT JOIN realtime.callback_calls AS k ON k.callback_id = c.id
              LEFT JOIN realtime.missed_calls AS m ON m.call_id = k.call_id
             WHERE c.id = ANY ($1::bigint[]) AND c.outcome IS DISTINCT FROM 'merged'
             GROUP BY c.id
        ), emptied AS (
            UPDATE realtime.callbacks AS c
               SET state = 'closed', outcome = 'mistaken', closed_at = now(), calls = 0,
                   claimed_by = NULL, claimed_at = NULL, claim_until = NULL,
                   version = c.version + 1, changed_at = now()
              FROM totals
             WHERE c.id = totals.id AND totals.calls = 0 AND c.state <> 'closed'
        )
        UPDATE realtime.callbacks AS c
           SET calls = totals.calls, first_missed_at = totals.first_missed_at,
               last_missed_at = totals.last_missed_at, last_call_id = totals.last_call_id,
               number = CASE WHEN c.customer_id IS NULL THEN c.number ELSE totals.number END,
               queues = totals.queues, version = c.version + 1, changed_at = now()
          FROM totals
         WHERE c.id = totals.id AND totals.calls > 0
           AND (c.calls, c.first_missed_at, c.last_missed_at, c.last_call_id, c.queues)
               IS DISTINCT FROM (totals.calls, totals.first_missed_at, totals.last_missed_at,
                                 totals.last_call_id, totals.queues)
        """,
        list(ids),
        MAX_QUEUES,
    )


async def changed_in_transaction(conn: Conn) -> list[int]:
    """Return the ids of the requests that this transaction has changed."""
    rows = await conn.fetch(
        """
        -- missed.changed_in_transaction
        SELECT id FROM realtime.callbacks WHERE changed_at = now()
        """
    )
    return [row["id"] for row in rows]


IN_ORDER = """($1::text IS NULL OR m.queue = $1)
                   AND ($4::timestamptz IS NULL OR m.started_at >= $4)
                   AND ($5::timestamptz IS NULL OR m.started_at < $5)
                   AND ($6::timestamptz IS NULL OR (m.started_at, m.call_id) < ($6, $7::uuid))
                 ORDER BY m.started_at DESC, m.call_id DESC
                 LIMIT $8"""
"""The other filters, order and length of a page: of each number, an index leads to it."""


async def page(
    conn: Conn,
    command: MissedCallList,
    *,
    e164: Sequence[str],
    raw: Sequence[str],
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[MissedCallRow]:
    """Return missed calls, newest first.

    A text that is no E.164 number finds only calls without one, by what the PBX sent instead.
    """
    rows = await conn.fetch(
        f"""
        -- missed.page
        SELECT m.call_id, m.source, m.number_e164, m.number_raw, m.queue, m.outcome,
               m.started_at, m.ended_at, m.wait_ms, k.callback_id
          FROM ((SELECT * FROM realtime.missed_calls AS m
                 WHERE cardinality($2::text[]) = 0 AND cardinality($3::text[]) = 0
                   AND {IN_ORDER})
                 UNION ALL
                SELECT one.*
                  FROM unnest($2) AS given (number)
                 CROSS JOIN LATERAL (
                SELECT * FROM realtime.missed_calls AS m
                 WHERE m.number_e164 = given.number AND {IN_ORDER}) AS one
                 UNION ALL
                SELECT one.*
                  FROM unnest($3) AS given (number)
                 CROSS JOIN LATERAL (
                SELECT * FROM realtime.missed_calls AS m
                 WHERE m.number_raw = given.number AND m.number_e164 IS NULL
                   AND {IN_ORDER}) AS one) AS m
          LEFT JOIN realtime.callback_calls AS k ON k.call_id = m.call_id
         ORDER BY m.started_at DESC, m.call_id DESC
         LIMIT $8
        """,  # noqa: S608 - ours
        command.queue,
        e164,
        [] if e164 else raw,
        command.since,
        command.until,
        after[0] if after else None,
        after[1] if after else None,
        limit,
    )
    return [MissedCallRow(**row) for row in rows]
