"""SQL for the statistics of agents: a row an agent, one statement.

What an agent did on the telephone, in calls that began in this time.
"""

from __future__ import annotations

from typing import Any

from gateway.db import Conn
from gateway.telephony.queries.stats import WRAP_UP, Asked


async def read(conn: Conn, asked: Asked, *, limit: int) -> list[dict[str, Any]]:
    """Count each agent's offers, answers and conversations, and the length of their days.

    Two conversations at once are busy once: each interval counts from where those that began
    before it end. A telephone that the CRM gives to nobody is an agent without employee_id; until
    the end that is 0, because NULLs cannot be joined by hash.
    """
    rows = await conn.fetch(
        """
        -- stats_agents.read
        WITH own AS MATERIALIZED (
            SELECT source, extension, min(employee_id) AS employee_id
              FROM crm.extensions GROUP BY source, extension
        ), legs AS MATERIALIZED (
            SELECT l.call_id, l.leg_key, l.ringing_at, l.answered_at, l.ended_at, l.ended_reason,
                   l.talk_ms, l.hold_ms,
                   COALESCE(x.employee_id, y.employee_id, 0) AS employee_id,
                   CASE WHEN COALESCE(x.employee_id, y.employee_id) IS NULL
                        THEN c.source || '/' || l.extension ELSE '' END AS telephone,
                   l.ended_at IS NOT NULL AND COALESCE(l.ended_reason, '') <> 'lost' AS known
              FROM realtime.call_sessions AS c
              JOIN realtime.call_legs AS l
                ON l.call_id = c.id AND l.kind = 'agent' AND l.extension IS NOT NULL
              LEFT JOIN own AS x ON x.source = c.source AND x.extension = l.extension
              LEFT JOIN own AS y ON y.source = '*' AND y.extension = l.extension
             WHERE c.started_at >= $1 AND c.started_at < $2 AND c.merged_into IS NULL
               AND ($3::text IS NULL OR c.direction = $3)
               AND ($4::text IS NULL OR c.id IN (
                    SELECT s.call_id FROM realtime.queue_stints AS s
                     WHERE s.queue = $4 AND s.entered_at >= $1
                       AND s.entered_at < $2::timestamptz + interval '1 day'))
               AND ($5::bigint IS NULL OR COALESCE(x.employee_id, y.employee_id) = $5)
        ), counted AS (
            SELECT employee_id, telephone,
                   count(ringing_at) AS offered,
                   count(answered_at) FILTER (WHERE ringing_at IS NOT NULL) AS answered,
                   count(ringing_at) FILTER (WHERE ended_reason = 'no_answer') AS no_answer,
                   count(ringing_at) FILTER (WHERE ended_reason IN ('busy', 'rejected'))
                       AS rejected,
                   count(ringing_at) FILTER (WHERE ended_reason = 'answered_elsewhere')
                       AS answered_elsewhere,
                   count(*) FILTER (WHERE ringing_at IS NULL AND answered_at IS NOT NULL)
                       AS placed,
                   count(talk_ms) FILTER (WHERE known) AS talked,
                   (sum(talk_ms) FILTER (WHERE known))::bigint AS talk_ms,
                   (sum(hold_ms) FILTER (WHERE known AND talk_ms IS NOT NULL))::bigint AS hold_ms,
                   sum(answered_at - ringing_at) FILTER (WHERE answered_at >= ringing_at) AS rung,
                   count(*) FILTER (WHERE answered_at >= ringing_at) AS rings
              FROM legs GROUP BY employee_id, telephone
        ), edges AS (
            SELECT array_agg(day AT TIME ZONE $6 ORDER BY day) AS days
              FROM generate_series(date_trunc('day', $1::timestamptz AT TIME ZONE $6),
                                   $2::timestamptz AT TIME ZONE $6, interval '1 day') AS day
        ), worked AS (
            SELECT employee_id, telephone,
                   min(COALESCE(ringing_at, answered_at)) AS began, max(ended_at) AS ended
              FROM legs, edges
             WHERE COALESCE(ringing_at, answered_at) IS NOT NULL AND known
             GROUP BY employee_id, telephone,
                      width_bucket(COALESCE(ringing_at, answered_at), edges.days)
        ), days AS (
            SELECT employee_id, telephone, began, ended,
                   max(ended) OVER (PARTITION BY employee_id, telephone ORDER BY began, ended
                                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS covered
              FROM worked
        ), staffed AS (
            SELECT employee_id, telephone,
                   sum(greatest(ended - greatest(began, covered), interval '0')) AS staffed
              FROM days GROUP BY employee_id, telephone
        ), marks AS (
            SELECT e.source, e.extension, e.queue, e.occurred_at, e.type, e.event_id,
                   COALESCE(x.employee_id, y.employee_id, 0) AS employee_id,
                   CASE WHEN COALESCE(x.employee_id, y.employee_id) IS NULL
                        THEN e.source || '/' || e.extension ELSE '' END AS telephone,
                   lower(e.attrs ->> 'reason') AS reason, lag(e.type) OVER keyed AS before
              FROM realtime.call_events AS e
              LEFT JOIN own AS x ON x.source = e.source AND x.extension = e.extension
              LEFT JOIN own AS y ON y.source = '*' AND y.extension = e.extension
             WHERE e.type IN ('agent.paused', 'agent.unpaused') AND e.extension IS NOT NULL
               AND e.occurred_at >= $1::timestamptz - interval '1 day' AND e.occurred_at < $2
               AND ($5::bigint IS NULL OR COALESCE(x.employee_id, y.employee_id) = $5)
            WINDOW keyed AS (PARTITION BY e.source, e.extension, COALESCE(e.queue, '')
                             ORDER BY e.occurred_at, e.type, e.event_id)
        ), pauses AS (
            SELECT employee_id, telephone, type, reason, occurred_at AS began,
                   COALESCE(lead(occurred_at) OVER (
                                PARTITION BY source, extension, COALESCE(queue, '')
                                ORDER BY occurred_at, type, event_id),
                            least($2, now())) AS ended
              FROM marks WHERE type IS DISTINCT FROM before
        ), spans AS (
            SELECT employee_id, telephone, answered_at AS began, ended_at AS ended, 1 AS kind
              FROM legs WHERE known AND answered_at < ended_at
             UNION ALL
            SELECT p.employee_id, p.telephone, greatest(p.began, d.began),
                   least(p.ended, d.ended),
                   CASE WHEN p.reason = ANY ($8::text[]) THEN 2 ELSE 3 END
              FROM pauses AS p
              JOIN worked AS d
                ON d.employee_id = p.employee_id AND d.telephone = p.telephone
                   AND p.began < d.ended AND p.ended > d.began
             WHERE p.type = 'agent.paused'
        ), laid AS (
            SELECT employee_id, telephone, began, ended, kind,
                   max(ended) FILTER (WHERE kind = 1) OVER earlier AS after_talk,
                   max(ended) FILTER (WHERE kind <= 2) OVER earlier AS after_work,
                   max(ended) OVER earlier AS after_all
              FROM spans
            WINDOW earlier AS (PARTITION BY employee_id, telephone ORDER BY began, ended
                               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        ), busy AS (
            SELECT employee_id, telephone,
                   sum(greatest(ended - greatest(began, after_talk), interval '0'))
                       FILTER (WHERE kind = 1) AS talking,
                   sum(greatest(ended - greatest(began, after_work), interval '0'))
                       FILTER (WHERE kind <= 2) AS working,
                   sum(greatest(ended - greatest(began, after_all), interval '0')) AS away
              FROM laid GROUP BY employee_id, telephone
        ), moved AS (
            SELECT l.employee_id, l.telephone, count(*) AS transferred
              FROM realtime.call_events AS e
              JOIN legs AS l ON l.call_id = e.call_id AND l.leg_key = e.leg_key
             WHERE e.type IN ('transfer.blind', 'transfer.attended')
               AND e.occurred_at >= $1 AND e.occurred_at < $2::timestamptz + interval '1 day'
             GROUP BY l.employee_id, l.telephone
        )
        SELECT NULLIF(employee_id, 0) AS employee_id, NULLIF(telephone, '') AS telephone,
               c.offered, c.answered, c.no_answer, c.rejected,
               c.answered_elsewhere, c.placed, c.talked, c.talk_ms, c.hold_ms, c.rings,
               floor(extract(epoch FROM c.rung) * 1000)::bigint AS ring_ms,
               floor(extract(epoch FROM s.staffed) * 1000)::bigint AS staffed_ms,
               floor(extract(epoch FROM b.talking) * 1000)::bigint AS talking_ms,
               floor(extract(epoch FROM b.working) * 1000)::bigint AS working_ms,
               floor(extract(epoch FROM b.away) * 1000)::bigint AS away_ms,
               COALESCE(m.transferred, 0) AS transferred
          FROM counted AS c
          LEFT JOIN staffed AS s USING (employee_id, telephone)
          LEFT JOIN busy AS b USING (employee_id, telephone)
          LEFT JOIN moved AS m USING (employee_id, telephone)
         ORDER BY c.talked DESC, c.offered DESC, c.employee_id, c.telephone COLLATE "C"
         LIMIT $7
        """,
        asked.since,
        asked.until,
        asked.direction,
        asked.queue,
        asked.agent_id,
        asked.tz,
        limit,
        WRAP_UP,
    )
    return [dict(row) for row in rows]
