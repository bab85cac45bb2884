"""SQL for customers who were reached: by which calls, when last, and which requests that closes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.db import Conn

MAX_CUSTOMERS = 100
"""Read of one number."""


@dataclass(frozen=True, slots=True)
class CustomerReached:
    """When and how a customer was reached, or a number that no customer has."""

    customer_id: int | None
    number: str | None
    at: datetime
    how: str


async def by_calls(conn: Conn, call_ids: Collection[UUID]) -> list[CustomerReached]:
    """Return who these calls reached: each number, with each customer who has it."""
    rows = await conn.fetch(
        """
        -- reached.by_calls
        SELECT c.number_e164 AS number, p.customer_id, c.answered_at AS at
          FROM realtime.call_sessions AS c
          LEFT JOIN LATERAL (
               SELECT DISTINCT customer_id FROM crm.customer_phones
                WHERE e164 = c.number_e164
                ORDER BY customer_id
                LIMIT $2) AS p ON true
         WHERE c.id = ANY ($1::uuid[]) AND c.answered_at IS NOT NULL
           AND c.number_e164 IS NOT NULL AND c.direction <> 'internal' AND c.merged_into IS NULL
        """,
        list(call_ids),
        MAX_CUSTOMERS,
    )
    return [CustomerReached(row["customer_id"], row["number"], row["at"], "call") for row in rows]


async def record(conn: Conn, reached: Collection[CustomerReached]) -> None:
    """Record when customers were reached last."""
    theirs = [reach for reach in reached if reach.customer_id is not None]
    await conn.execute(
        """
        -- reached.record
        INSERT INTO realtime.customers_reached AS r (customer_id, reached_at, how)
        SELECT DISTINCT ON (customer_id) customer_id, at, how
          FROM unnest($1::bigint[], $2::timestamptz[], $3::text[]) AS t (customer_id, at, how)
         ORDER BY customer_id, at DESC
            ON CONFLICT (customer_id) DO UPDATE
           SET reached_at = excluded.reached_at, how = excluded.how
         WHERE excluded.reached_at > r.reached_at
        """,
        [reach.customer_id for reach in theirs],
        [reach.at for reach in theirs],
        [reach.how for reach in theirs],
    )


async def close_reached(
    conn: Conn, touched: Collection[int], reached: Collection[CustomerReached]
) -> tuple[set[int], list[UUID]]:
    """Close requests whose customer was reached after the end of one of their missed calls.

    Checks the requests in touched, and those of everyone in reached. Returns the closed requests,
    and the calls that were missed after that: these are in no request any more. The few missed
    calls of a request are looked up one by one: in a join PostgreSQL reads all missed calls, for
    each request.
    """
    rows = await conn.fetch(
        """
        -- reached.close_reached
        WITH reached AS (
            SELECT * FROM unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::text[])
                          AS t (customer_id, number, at, how)
        ), request AS MATERIALIZED (
            SELECT c.id, c.customer_id, c.number,
                   greatest((SELECT min((SELECT ended_at FROM realtime.missed_calls
                                          WHERE call_id = k.call_id))
                               FROM realtime.callback_calls AS k
                              WHERE k.callback_id = c.id),
                            c.reopened_at + interval '1 microsecond') AS since
              FROM realtime.callbacks AS c
             WHERE c.state <> 'closed'
               AND (c.id = ANY ($5::bigint[])
                    OR c.customer_id = ANY ($1::bigint[])
                    OR (c.customer_id IS NULL AND c.number = ANY ($2::text[])))
        ), reach AS (
            SELECT DISTINCT ON (request.id) request.id, r.at, r.how
              FROM request
             CROSS JOIN LATERAL (
                   SELECT t.at, t.how FROM reached AS t
                    WHERE t.customer_id = request.customer_id
                       OR (request.customer_id IS NULL AND t.number = request.number)
                    UNION ALL
                   SELECT k.reached_at, k.how FROM realtime.customers_reached AS k
                    WHERE k.customer_id = request.customer_id
                    UNION ALL
                   SELECT s.answered_at, 'call'
                     FROM (SELECT DISTINCT (SELECT number_e164 FROM realtime.missed_calls
                                             WHERE call_id = k.call_id)
                             FROM realtime.callback_calls AS k
                            WHERE k.callback_id = request.id) AS theirs
                    CROSS JOIN LATERAL (
                          SELECT s.answered_at FROM realtime.call_sessions AS s
                           WHERE s.number_e164 = theirs.number_e164
                             AND s.started_at > request.since - interval '1 hour'
                             AND s.answered_at >= request.since
                             AND s.direction <> 'internal' AND s.merged_into IS NULL
                           ORDER BY s.started_at
                           LIMIT 1) AS s
                   ) AS r
             WHERE r.at >= request.since
             ORDER BY request.id, r.at
        ), closed AS (
            UPDATE realtime.callbacks AS c
               SET state = 'closed', outcome = 'reached', how = reach.how, closed_at = now(),
                   claimed_by = NULL, claimed_at = NULL, claim_until = NULL,
                   recover_ms = (
                       SELECT (extract(epoch FROM reach.at - min((
                                  SELECT started_at FROM realtime.missed_calls
                                   WHERE call_id = k.call_id AND ended_at <= reach.at
                              ))) * 1000)::bigint
                         FROM realtime.callback_calls AS k
                        WHERE k.callback_id = c.id),
                   version = c.version + 1, changed_at = now()
              FROM reach
             WHERE c.id = reach.id AND c.state <> 'closed'
            RETURNING c.id, reach.at
        ), later AS (
            DELETE FROM realtime.callback_calls AS k
             USING closed
             WHERE k.callback_id = closed.id
               AND closed.at < (
                   SELECT ended_at FROM realtime.missed_calls WHERE call_id = k.call_id)
            RETURNING k.call_id
        )
        SELECT id, NULL::uuid AS call_id FROM closed
         UNION ALL
        SELECT NULL, call_id FROM later
        """,
        [reach.customer_id for reach in reached],
        [reach.number for reach in reached],
        [reach.at for reach in reached],
        [reach.how for reach in reached],
        list(touched),
    )
    closed = {row["id"] for row in rows if row["id"] is not None}
    return closed, [row["call_id"] for row in rows if row["call_id"] is not None]
