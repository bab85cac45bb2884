"""SQL for the statistics of all calls together: one statement, one row.

A call counts once, at the time when it began, also when it went through several queues.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from gateway.db import Conn
from gateway.telephony.stats.counts import (
    OverviewCounts,
    WeekHourCount,
    counts,
    talk_counts,
    wait_counts,
)

_OVERVIEW = (
    "calls", "inbound", "outbound", "internal", "live", "inbound_answered", "inbound_missed",
    "inbound_voicemail",
    "outbound_answered", "repeated", "peak",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StatsFilter:
    """What is counted: from since to before until; None means all."""

    since: datetime
    until: datetime
    tz: str
    direction: str | None
    queue: str | None
    agent_id: int | None
    threshold_ms: int
    short_ms: int


async def overview(conn: Conn, criteria: StatsFilter) -> OverviewCounts:
    """Count calls, waiting, talking, repeated callers, and the hours of the week.

    Calls are counted by quarter of an hour before these become local hours: 9,000 conversions
    instead of a million. The offset of every zone is a multiple of a quarter.

    The peak is searched only in minutes that could hold it: those in which the calls live before
    plus all that began exceed the live calls at the end of every minute. That are 33 of 130,000
    minutes, so two million moments need no sort.
    """
    # Not fetchrow: PostgreSQL does without its parallel workers when only one row is wanted.
    (row,) = await conn.fetch(
        """
        -- stats.overview
        WITH own AS MATERIALIZED (
            SELECT source, extension, min(employee_id) AS employee_id
              FROM crm.extensions GROUP BY source, extension
        ), picked AS NOT MATERIALIZED (
            SELECT c.*, c.direction = 'inbound' AND c.queue IS NOT NULL AS queued
              FROM realtime.call_sessions AS c
             WHERE c.started_at >= $1 AND c.started_at < $2 AND c.merged_into IS NULL
               AND ($3::text IS NULL OR c.direction = $3)
               AND ($4::text IS NULL OR c.id IN (
                    SELECT s.call_id FROM realtime.queue_stints AS s
                     WHERE s.queue = $4 AND s.entered_at >= $1
                       AND s.entered_at < $2::timestamptz + interval '24 hours'))
               AND ($5::bigint IS NULL OR c.id IN (
                    SELECT l.call_id
                      FROM own AS x
                      JOIN realtime.call_legs AS l
                        ON l.extension = x.extension AND l.answered_at IS NOT NULL
                           AND l.started_at >= $1 AND l.started_at < $2
                     WHERE x.employee_id = $5
                       AND (x.source = l.source OR x.source = '*' AND NOT EXISTS (
                            SELECT FROM own AS y
                             WHERE y.source = l.source AND y.extension = l.extension))))
        ), kinds AS (
            SELECT direction, direction = 'inbound' AND queue IS NOT NULL AS queued, outcome,
                   answered_at IS NOT NULL AS answered, ended_at IS NOT NULL AS over,
                   wait_ms < $7 AS short, wait_ms <= $6 AS in_time,
                   count(*)::int AS calls, count(wait_ms)::int AS waits, sum(wait_ms) AS wait_ms,
                   max(wait_ms) AS wait_max_ms, count(talk_ms)::int AS talked,
                   sum(talk_ms) AS talk_ms
              FROM picked GROUP BY 1, 2, 3, 4, 5, 6, 7
        ), counted AS (
            SELECT sum(calls) AS calls,
                   sum(calls) FILTER (WHERE direction = 'inbound') AS inbound,
                   sum(calls) FILTER (WHERE direction = 'outbound') AS outbound,
                   sum(calls) FILTER (WHERE direction = 'internal') AS internal,
                   sum(calls) FILTER (WHERE NOT over) AS live,
                   sum(calls) FILTER (WHERE direction = 'inbound' AND answered)
                       AS inbound_answered,
                   sum(calls) FILTER (WHERE direction = 'outbound' AND answered)
                       AS outbound_answered,
                   sum(calls) FILTER (WHERE direction = 'inbound' AND NOT answered AND over)
                       AS inbound_missed,
                   sum(calls) FILTER (WHERE direction = 'inbound' AND outcome = 'voicemail')
                       AS inbound_voicemail,
                   sum(calls) FILTER (WHERE queued) AS offered,
                   sum(calls) FILTER (WHERE queued AND answered) AS answered,
                   sum(calls) FILTER (WHERE queued AND outcome = 'abandoned') AS abandoned,
                   sum(calls) FILTER (WHERE queued AND outcome = 'abandoned' AND short)
                       AS short_abandoned,
                   sum(calls) FILTER (WHERE queued AND answered AND in_time) AS answered_in_time,
                   sum(calls) FILTER (WHERE queued AND outcome = 'abandoned' AND in_time)
                       AS abandoned_in_time,
                   sum(calls) FILTER (WHERE queued AND outcome = 'timeout') AS timeout,
                   sum(calls) FILTER (WHERE queued AND outcome = 'left_queue') AS left_queue,
                   sum(calls) FILTER (WHERE queued AND outcome = 'voicemail') AS voicemail,
                   sum(calls) FILTER (WHERE queued AND outcome = 'failed') AS failed,
                   sum(wait_ms) FILTER (WHERE queued AND answered) AS answered_wait_ms,
                   sum(waits) FILTER (WHERE queued AND answered) AS answered_waits,
                   sum(wait_ms) FILTER (WHERE queued) AS total_wait_ms,
                   sum(waits) FILTER (WHERE queued) AS waits,
                   max(wait_max_ms) FILTER (WHERE queued) AS wait_max_ms,
                   sum(talked) FILTER (WHERE over) AS talked,
                   sum(talk_ms) FILTER (WHERE over) AS talk_ms
              FROM kinds
        ), waited AS (
            SELECT percentile_cont(ARRAY[0.5, 0.9, 0.95]) WITHIN GROUP (ORDER BY wait_ms) AS wait
              FROM picked
             WHERE direction = 'inbound' AND queue IS NOT NULL AND wait_ms IS NOT NULL
        ), held AS (
            SELECT p.id, p.talk_ms, sum(l.hold_ms) AS hold_ms,
                   bool_or(l.ended_reason = 'lost') AS lost
              FROM picked AS p
              JOIN realtime.call_legs AS l
                ON l.call_id = p.id AND l.kind = 'agent'
                   AND (l.hold_ms > 0 OR l.ended_reason = 'lost')
             WHERE p.ended_at IS NOT NULL AND p.talk_ms IS NOT NULL
             GROUP BY p.id, p.talk_ms
        ), lost_calls AS (
            SELECT count(*) FILTER (WHERE lost) AS lost,
                   sum(talk_ms) FILTER (WHERE lost) AS lost_talk_ms,
                   sum(hold_ms) FILTER (WHERE lost IS NOT TRUE) AS hold_ms
              FROM held
        ), transfers AS (
            SELECT count(*) AS transferred
              FROM picked
             WHERE id IN (SELECT t.call_id FROM realtime.call_transfers AS t
                           WHERE t.at >= $1 AND t.at < $2::timestamptz + interval '24 hours')
        ), inbound AS (
            SELECT id, started_at,
                   lag(started_at) OVER (PARTITION BY number_e164 ORDER BY started_at) AS before
              FROM realtime.call_sessions
             WHERE direction = 'inbound' AND merged_into IS NULL AND number_e164 IS NOT NULL
               AND started_at >= $1::timestamptz - interval '24 hours' AND started_at < $2
        ), repeats AS (
            SELECT count(*) AS repeated
              FROM inbound
             WHERE started_at >= $1 AND before >= started_at - interval '24 hours'
               AND ($3::text IS NULL OR $3 = 'inbound')
               AND ($4::text IS NULL AND $5::bigint IS NULL
                    OR id IN (SELECT id FROM picked))
        ), minutes AS MATERIALIZED (
            SELECT minute, (count(*) FILTER (WHERE step > 0))::int AS begun,
                   sum(step)::int AS change, sum(sum(step)::int) OVER (ORDER BY minute) AS after
              FROM (SELECT date_bin('1 minute', started_at, '2000-01-01Z') AS minute, 1 AS step
                      FROM picked
                     UNION ALL
                    SELECT date_bin('1 minute', ended_at, '2000-01-01Z'), -1
                      FROM picked WHERE ended_at IS NOT NULL) AS steps
             GROUP BY minute
        ), busy AS MATERIALIZED (
            SELECT minute, after - change AS before
              FROM minutes
             WHERE after - change + begun > (SELECT max(after) FROM minutes)
        ), busiest AS (
            SELECT max(running) AS peak
              FROM (SELECT max(after) AS running FROM minutes
                     UNION ALL
                    SELECT b.before + sum(s.step) OVER (
                               PARTITION BY b.minute ORDER BY s.at, s.step
                               ROWS UNBOUNDED PRECEDING)
                      FROM picked AS p
                     CROSS JOIN LATERAL (VALUES (p.started_at, 1), (p.ended_at, -1)) AS s (at, step)
                      JOIN busy AS b ON b.minute = date_bin('1 minute', s.at, '2000-01-01Z')
                     WHERE date_bin('1 minute', p.started_at, '2000-01-01Z')
                           IN (SELECT minute FROM busy)
                        OR date_bin('1 minute', p.ended_at, '2000-01-01Z')
                           IN (SELECT minute FROM busy)
                   ) AS running
        ), quarters AS (
            SELECT date_bin('15 minutes', minute, '2000-01-01Z') AS at, sum(begun) AS calls
              FROM minutes GROUP BY 1
        ), disconnected AS (
            SELECT DISTINCT quarter.at
              FROM realtime.ingest_gaps AS gap
             CROSS JOIN LATERAL generate_series(
                   date_bin('15 minutes', greatest(gap.began_at, $1), '2000-01-01Z'),
                   least(gap.ended_at, $2) - interval '1 microsecond',
                   interval '15 minutes') AS quarter (at)
             WHERE gap.began_at < $2 AND gap.ended_at > $1
        ), hours AS (
            SELECT extract(isodow FROM g.at AT TIME ZONE $8)::int AS weekday,
                   extract(hour FROM g.at AT TIME ZONE $8)::int AS hour,
                   COALESCE(sum(q.calls), 0)::bigint AS calls,
                   extract(epoch FROM sum(least(g.at + interval '15 minutes', $2)
                                          - greatest(g.at, $1)))::float8 / 3600 AS hours,
                   bool_or(u.at IS NOT NULL) AS incomplete
              FROM generate_series(date_bin('15 minutes', $1, '2000-01-01Z'),
                                   $2::timestamptz - interval '1 microsecond',
                                   interval '15 minutes') AS g (at)
              LEFT JOIN quarters AS q ON q.at = g.at
              LEFT JOIN disconnected AS u ON u.at = g.at
             GROUP BY 1, 2
        ), matrix AS (
            SELECT jsonb_agg(jsonb_build_object(
                       'weekday', weekday, 'hour', hour, 'calls', calls, 'hours', hours,
                       'incomplete', incomplete) ORDER BY weekday, hour) AS hours
              FROM hours
        )
        SELECT counted.*, waited.wait, lost_calls.*, transfers.*, repeats.*, busiest.*, matrix.*
          FROM counted, waited, lost_calls, transfers, repeats, busiest, matrix
        """,
        criteria.since,
        criteria.until,
        criteria.direction,
        criteria.queue,
        criteria.agent_id,
        criteria.threshold_ms,
        criteria.short_ms,
        criteria.tz,
    )
    talks = talk_counts(row)
    return OverviewCounts(
        **counts(row, _OVERVIEW),
        waits=wait_counts(row),
        talks=replace(  # lost calls are in the sums, but how long they talked is unknown
            talks,
            talked=talks.talked - (row["lost"] or 0),
            talk_ms=talks.talk_ms - (row["lost_talk_ms"] or 0),
        ),
        hours=[WeekHourCount(**hour) for hour in row["hours"] or ()],
    )


async def tune_planner(conn: Conn) -> None:
    """Let this transaction's sorts and hashes stay in memory: a million calls need it.

    And have each statement planned for its own arguments: after five runs PostgreSQL keeps one
    plan for any period and filter, which takes two to three times as long for 90 days. Merge joins
    are off: one side of each join here is small, but PostgreSQL overestimates it, and would sort
    the large side for a merge.
    """
    await conn.execute(
        """
        -- stats.tune_planner
        SELECT set_config('work_mem', '64MB', true),
               set_config('plan_cache_mode', 'force_custom_plan', true),
               set_config('enable_mergejoin', 'off', true)
        """
    )


async def gaps(conn: Conn, criteria: StatsFilter, *, limit: int) -> list[datetime]:
    """Return the first hours of this period in which a PBX was not connected."""
    rows = await conn.fetch(
        """
        -- stats.gaps
        SELECT DISTINCT g.at
          FROM realtime.ingest_gaps AS gap
         CROSS JOIN LATERAL generate_series(
               date_bin('1 hour', greatest(gap.began_at, $1), '2000-01-01Z'),
               least(gap.ended_at, $2) - interval '1 microsecond', interval '1 hour') AS g (at)
         WHERE gap.began_at < $2 AND gap.ended_at > $1
         ORDER BY g.at
         LIMIT $3
        """,
        criteria.since,
        criteria.until,
        limit,
    )
    return [row["at"] for row in rows]
