"""SQL for the statistics of queues: one statement, a row for each queue.

A stint counts at the time when it began: a call that went through two queues counts in both.
"""

from __future__ import annotations

from gateway.db import Conn
from gateway.telephony.stats.counts import QueueCounts, talk_counts, wait_counts
from gateway.telephony.stats.queries.stats import StatsFilter


async def read(conn: Conn, criteria: StatsFilter, *, limit: int) -> list[QueueCounts]:
    """Count stints by queue, and the conversations that followed.

    A conversation belongs to the stint from which it was answered: until the call's next stint.
    """
    rows = await conn.fetch(
        """
        -- stats_queues.read
        WITH own AS MATERIALIZED (
            SELECT source, extension, min(employee_id) AS employee_id
              FROM crm.extensions GROUP BY source, extension
        ), picked AS NOT MATERIALIZED (
            SELECT s.*
              FROM realtime.queue_stints AS s
             WHERE s.entered_at >= $1 AND s.entered_at < $2
               AND ($4::text IS NULL OR s.queue = $4)
               AND ($3::text IS NULL OR s.call_id IN (
                    SELECT c.id FROM realtime.call_sessions AS c
                     WHERE c.direction = $3 AND c.started_at < $2
                       AND c.started_at >= $1::timestamptz - interval '24 hours'))
               AND ($5::bigint IS NULL OR s.call_id IN (
                    SELECT l.call_id
                      FROM own AS x
                      JOIN realtime.call_legs AS l
                        ON l.extension = x.extension AND l.answered_at IS NOT NULL
                           AND l.started_at < $2
                           AND l.started_at >= $1::timestamptz - interval '24 hours'
                     WHERE x.employee_id = $5
                       AND (x.source = l.source OR x.source = '*' AND NOT EXISTS (
                            SELECT FROM own AS y
                             WHERE y.source = l.source AND y.extension = l.extension))))
        ), kinds AS (
            SELECT queue, outcome, wait_ms < $7 AS short, wait_ms <= $6 AS in_time,
                   count(*)::int AS stints, count(wait_ms)::int AS waits, sum(wait_ms) AS wait_ms,
                   max(wait_ms) AS wait_max_ms
              FROM picked GROUP BY queue, outcome, 3, 4
        ), counted AS (
            SELECT queue, sum(stints) AS offered,
                   sum(stints) FILTER (WHERE outcome = 'connected') AS answered,
                   sum(stints) FILTER (WHERE outcome = 'abandoned') AS abandoned,
                   sum(stints) FILTER (WHERE outcome = 'abandoned' AND short) AS short_abandoned,
                   sum(stints) FILTER (WHERE outcome = 'connected' AND in_time)
                       AS answered_in_time,
                   sum(stints) FILTER (WHERE outcome = 'abandoned' AND in_time)
                       AS abandoned_in_time,
                   sum(stints) FILTER (WHERE outcome = 'timeout') AS timeout,
                   sum(stints) FILTER (WHERE outcome IN ('key', 'leave_empty', 'withdrawn'))
                       AS left_queue,
                   0::bigint AS voicemail,
                   sum(stints) FILTER (WHERE outcome IN ('join_empty', 'full')) AS failed,
                   sum(wait_ms) FILTER (WHERE outcome = 'connected') AS answered_wait_ms,
                   sum(waits) FILTER (WHERE outcome = 'connected') AS answered_waits,
                   sum(wait_ms) AS total_wait_ms, sum(waits) AS waits,
                   max(wait_max_ms) AS wait_max_ms
              FROM kinds GROUP BY queue
        ), waited AS (
            SELECT queue,
                   percentile_cont(ARRAY[0.5, 0.9, 0.95]) WITHIN GROUP (ORDER BY wait_ms) AS wait
              FROM picked WHERE wait_ms IS NOT NULL GROUP BY queue
        ), connected AS NOT MATERIALIZED (
            SELECT p.call_id, p.position, p.queue, p.entered_at, n.entered_at AS until
              FROM picked AS p
              LEFT JOIN realtime.queue_stints AS n
                ON n.call_id = p.call_id AND n.position = p.position + 1 AND n.position > 0
             WHERE p.outcome = 'connected'
        ), talks AS (
            SELECT c.queue, sum(l.talk_ms - COALESCE(l.overlap_ms, 0)) AS talk_ms,
                   sum(l.hold_ms) AS hold_ms
              FROM connected AS c
              JOIN realtime.call_legs AS l
                ON l.call_id = c.call_id AND l.kind = 'agent'
                   AND l.answered_at >= c.entered_at
                   AND (c.until IS NULL OR l.answered_at < c.until)
             GROUP BY c.queue, c.call_id, c.position
            HAVING bool_and(l.ended_at IS NOT NULL) AND NOT bool_or(
                       COALESCE(l.ended_reason = 'lost', false)) AND count(l.talk_ms) > 0
        ), talked AS (
            SELECT queue, count(*) AS talked, sum(talk_ms)::bigint AS talk_ms,
                   sum(hold_ms)::bigint AS hold_ms
              FROM talks GROUP BY queue
        ), moved AS (
            SELECT c.queue, count(DISTINCT (c.call_id, c.position)) AS transferred
              FROM realtime.call_transfers AS t
              LEFT JOIN realtime.call_legs AS l
                ON l.call_id = t.call_id AND l.leg_key = t.by_leg_key
              JOIN connected AS c
                ON c.call_id = t.call_id AND COALESCE(l.answered_at, t.at) >= c.entered_at
                   AND (c.until IS NULL OR COALESCE(l.answered_at, t.at) < c.until)
             WHERE t.at >= $1 AND t.at < $2::timestamptz + interval '24 hours'
             GROUP BY c.queue
        )
        SELECT *
          FROM counted
          LEFT JOIN waited USING (queue)
          LEFT JOIN talked USING (queue)
          LEFT JOIN moved USING (queue)
         ORDER BY offered DESC, queue COLLATE "C"
         LIMIT $8
        """,
        criteria.since,
        criteria.until,
        criteria.direction,
        criteria.queue,
        criteria.agent_id,
        criteria.threshold_ms,
        criteria.short_ms,
        limit,
    )
    return [
        QueueCounts(
            queue=row["queue"],
            waits=wait_counts(row),
            talks=talk_counts(row),
        )
        for row in rows
    ]
