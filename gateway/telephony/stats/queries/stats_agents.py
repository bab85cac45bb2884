"""SQL for the statistics of agents: one statement, a row for each agent.

What an agent did on the telephone, in calls that began in the period.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.db import Conn
from gateway.telephony.stats.counts import AgentCounts, AgentPause, counts, talk_counts
from gateway.telephony.stats.queries.stats import StatsFilter

_AGENT = (
    "employee_id", "telephone", "offered", "answered", "no_answer", "rejected",
    "answered_elsewhere", "placed", "ring_ms", "rings", "staffed_ms", "talking_ms", "working_ms",
    "away_ms",
)  # fmt: skip


async def read(
    conn: Conn, criteria: StatsFilter, *, limit: int, pauses: Sequence[AgentPause] = ()
) -> list[AgentCounts]:
    """Count each agent's offers, answers and conversations, and the length of their days.

    `pauses` are those of the agents, disjoint for each of them.

    What a telephone talks on two lines of a call counts once, and a line on which it talks no more
    than that is no part of its own. Two conversations at once count once in the length of the day:
    of each interval only what no earlier one covers.

    Telephones are counted by day and joined to agents after that: 11,000 rows instead of 1.7
    million. A telephone that belongs to no employee is an agent without employee_id. Agents are
    numbered, so that conversations are sorted by a number, not by two names.

    A merged call has no legs, so only legs need to be read. Of several devices of a telephone that
    rang together, one counts.

    LIMIT ALL limits nothing, but hides the subquery from PostgreSQL's estimate: it would expect a
    day for each leg, and not use parallel workers.
    """
    rows = await conn.fetch(
        """
        -- stats_agents.read
        WITH own AS MATERIALIZED (
            SELECT source, extension, min(employee_id) AS employee_id
              FROM crm.extensions GROUP BY source, extension
        ), edges AS (
            SELECT array_agg(day AT TIME ZONE $6 ORDER BY day) AS days
              FROM generate_series(date_trunc('day', $1::timestamptz AT TIME ZONE $6),
                                   $2::timestamptz AT TIME ZONE $6, interval '1 day') AS day
        ), legs AS NOT MATERIALIZED (
            SELECT l.call_id, l.leg_key, l.source, l.extension, l.ringing_at, l.answered_at,
                   l.ended_at, l.ended_reason, l.hold_ms, l.placed, l.overlap_ms, l.shared,
                   l.talk_ms - COALESCE(l.overlap_ms, 0) AS talk_ms,
                   CASE WHEN NOT l.placed THEN l.ringing_at END AS offered_at,
                   l.ended_at IS NOT NULL AND COALESCE(l.ended_reason, '') <> 'lost' AS known,
                   CASE WHEN l.answered_at >= l.ringing_at AND NOT l.placed
                        THEN l.answered_at - l.ringing_at END AS rung
              FROM realtime.call_legs AS l
             WHERE l.started_at >= $1 AND l.started_at < $2
               AND l.kind = 'agent' AND l.extension IS NOT NULL
               AND l.ended_reason IS DISTINCT FROM 'other_device'
               AND ($3::text IS NULL OR l.call_id IN (
                    SELECT c.id FROM realtime.call_sessions AS c
                     WHERE c.direction = $3 AND c.started_at >= $1 AND c.started_at < $2))
               AND ($4::text IS NULL OR l.call_id IN (
                    SELECT s.call_id FROM realtime.queue_stints AS s
                     WHERE s.queue = $4 AND s.entered_at >= $1
                       AND s.entered_at < $2::timestamptz + interval '24 hours'))
               AND ($5::bigint IS NULL OR l.extension IN (
                    SELECT extension FROM own WHERE employee_id = $5))
        ), days AS MATERIALIZED (
            SELECT source, extension, day,
                   count(offered_at) AS offered,
                   count(answered_at) FILTER (WHERE offered_at IS NOT NULL) AS answered,
                   count(offered_at) FILTER (WHERE ended_reason = 'no_answer') AS no_answer,
                   count(offered_at) FILTER (WHERE ended_reason IN ('busy', 'rejected'))
                       AS rejected,
                   count(offered_at) FILTER (WHERE ended_reason = 'answered_elsewhere')
                       AS answered_elsewhere,
                   count(*) FILTER (WHERE placed OR NOT shared AND ringing_at IS NULL
                                        AND answered_at IS NOT NULL)
                       AS placed,
                   count(talk_ms) FILTER (WHERE known AND (overlap_ms IS NULL OR talk_ms > 0))
                       AS talked,
                   sum(talk_ms) FILTER (WHERE known) AS talk_ms,
                   sum(hold_ms) FILTER (WHERE known AND talk_ms IS NOT NULL) AS hold_ms,
                   sum(rung) AS rung, count(rung) AS rings,
                   min(COALESCE(ringing_at, answered_at)) FILTER (WHERE known) AS began,
                   max(ended_at) FILTER (WHERE known) AS ended
              FROM (SELECT *, width_bucket(COALESCE(ringing_at, answered_at),
                                           (SELECT days FROM edges)) AS day
                      FROM legs LIMIT ALL) AS legs
             GROUP BY source, extension, day
        ), phones AS MATERIALIZED (
            SELECT d.source, d.extension, COALESCE(x.employee_id, y.employee_id) AS employee_id,
                   CASE WHEN COALESCE(x.employee_id, y.employee_id) IS NULL
                        THEN d.source || '/' || d.extension END AS telephone,
                   dense_rank() OVER (ORDER BY COALESCE(x.employee_id, y.employee_id),
                       CASE WHEN COALESCE(x.employee_id, y.employee_id) IS NULL
                            THEN d.source || '/' || d.extension END) AS agent
              FROM (SELECT DISTINCT source, extension FROM days) AS d
              LEFT JOIN own AS x ON x.source = d.source AND x.extension = d.extension
              LEFT JOIN own AS y ON y.source = '*' AND y.extension = d.extension
             WHERE $5::bigint IS NULL OR COALESCE(x.employee_id, y.employee_id) = $5
        ), counted AS (
            SELECT p.agent, min(p.employee_id) AS employee_id, min(p.telephone) AS telephone,
                   sum(d.offered)::bigint AS offered, sum(d.answered)::bigint AS answered,
                   sum(d.no_answer)::bigint AS no_answer, sum(d.rejected)::bigint AS rejected,
                   sum(d.answered_elsewhere)::bigint AS answered_elsewhere,
                   sum(d.placed)::bigint AS placed, sum(d.talked)::bigint AS talked,
                   sum(d.talk_ms)::bigint AS talk_ms, sum(d.hold_ms)::bigint AS hold_ms,
                   sum(d.rung) AS rung, sum(d.rings)::bigint AS rings
              FROM phones AS p
              JOIN days AS d ON d.source = p.source AND d.extension = p.extension
             GROUP BY p.agent
        ), worked AS MATERIALIZED (
            SELECT p.agent, min(d.began) AS began, max(d.ended) AS ended
              FROM phones AS p
              JOIN days AS d ON d.source = p.source AND d.extension = p.extension
             WHERE d.began IS NOT NULL
             GROUP BY p.agent, d.day
        ), spread AS (
            SELECT agent, began, ended,
                   max(ended) OVER (PARTITION BY agent ORDER BY began, ended
                                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS covered
              FROM worked
        ), staffed AS (
            SELECT agent, sum(greatest(ended - greatest(began, covered), interval '0')) AS staffed
              FROM spread GROUP BY agent
        ), paused AS (
            SELECT p.agent, k.began, k.ended, k.wrap_up
              FROM unnest($8::text[], $9::timestamptz[], $10::timestamptz[], $11::boolean[])
                   AS k (person, began, ended, wrap_up)
              JOIN (SELECT DISTINCT agent, COALESCE(employee_id::text, telephone) AS person
                      FROM phones) AS p USING (person)
        ), spans AS (
            SELECT p.agent, l.answered_at AS began, l.ended_at AS ended, 1 AS kind
              FROM (SELECT * FROM legs WHERE known AND answered_at < ended_at LIMIT ALL) AS l
              JOIN phones AS p ON p.source = l.source AND p.extension = l.extension
             UNION ALL
            SELECT k.agent, greatest(k.began, d.began), least(k.ended, d.ended),
                   CASE WHEN k.wrap_up THEN 2 ELSE 3 END
              FROM paused AS k
              JOIN worked AS d ON d.agent = k.agent AND k.began < d.ended AND k.ended > d.began
        ), laid AS (
            SELECT agent, began, ended, kind,
                   max(ended) FILTER (WHERE kind = 1) OVER earlier AS after_talk,
                   max(ended) FILTER (WHERE kind <= 2) OVER earlier AS after_work,
                   max(ended) OVER earlier AS after_all
              FROM spans
            WINDOW earlier AS (PARTITION BY agent ORDER BY began, ended
                               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        ), busy AS (
            SELECT agent,
                   sum(ended - began) FILTER (WHERE kind = 1)
                   - COALESCE(sum(least(ended, after_talk) - began)
                              FILTER (WHERE kind = 1 AND after_talk > began), '0') AS talking,
                   sum(ended - began) FILTER (WHERE kind <= 2)
                   - COALESCE(sum(least(ended, after_work) - began)
                              FILTER (WHERE kind <= 2 AND after_work > began), '0') AS working,
                   sum(ended - began)
                   - COALESCE(sum(least(ended, after_all) - began)
                              FILTER (WHERE after_all > began), '0') AS away
              FROM laid GROUP BY agent
        ), moved AS (
            SELECT p.agent, count(*) AS transferred
              FROM realtime.call_transfers AS t
              JOIN legs AS l ON l.call_id = t.call_id AND l.leg_key = t.by_leg_key
              JOIN phones AS p ON p.source = l.source AND p.extension = l.extension
             WHERE t.at >= $1 AND t.at < $2::timestamptz + interval '24 hours'
             GROUP BY p.agent
        )
        SELECT c.employee_id, c.telephone, c.offered, c.answered, c.no_answer, c.rejected,
               c.answered_elsewhere, c.placed, c.talked, c.talk_ms, c.hold_ms, c.rings,
               floor(extract(epoch FROM c.rung) * 1000)::bigint AS ring_ms,
               floor(extract(epoch FROM s.staffed) * 1000)::bigint AS staffed_ms,
               floor(extract(epoch FROM b.talking) * 1000)::bigint AS talking_ms,
               floor(extract(epoch FROM b.working) * 1000)::bigint AS working_ms,
               floor(extract(epoch FROM b.away) * 1000)::bigint AS away_ms,
               COALESCE(m.transferred, 0) AS transferred
          FROM counted AS c
          LEFT JOIN staffed AS s USING (agent)
          LEFT JOIN busy AS b USING (agent)
          LEFT JOIN moved AS m USING (agent)
         ORDER BY c.talked DESC, c.offered DESC, c.employee_id NULLS FIRST,
                  c.telephone COLLATE "C"
         LIMIT $7
        """,
        criteria.since,
        criteria.until,
        criteria.direction,
        criteria.queue,
        criteria.agent_id,
        criteria.tz,
        limit,
        [one.person for one in pauses],
        [one.began for one in pauses],
        [one.ended for one in pauses],
        [one.wrap_up for one in pauses],
    )
    return [AgentCounts(**counts(row, _AGENT), talks=talk_counts(row)) for row in rows]
