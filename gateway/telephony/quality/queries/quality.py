"""SQL for the summary of reviews: one statement for any number of agents and criteria."""

from __future__ import annotations

from datetime import datetime

from gateway.db import Conn
from gateway.protocol.reviews import AgentQuality, CriterionMean


async def summary(
    conn: Conn,
    *,
    since: datetime,
    until: datetime,
    agent_id: int | None,
    after: int | None,
    limit: int,
) -> list[AgentQuality]:
    """Return a summary of the reviews published in this period for each agent, by id.

    A year of 50,000 reviews with 10 criteria each: 1.2 s on a busy core; a week of 1,000: 35 ms.
    """
    rows = await conn.fetch(
        """
        -- quality.summary
        WITH published AS MATERIALIZED (
            SELECT agent_id, scorecard_id, score, points, disputed_at, resolution
              FROM realtime.call_reviews
             WHERE published_at >= $1 AND published_at < $2
               AND ($3::bigint IS NULL OR agent_id = $3)
               AND ($4::bigint IS NULL OR agent_id > $4)
        ), agents AS (
            SELECT agent_id, count(*) AS reviews, count(score) AS scored,
                   round(avg(score), 2)::float8 AS mean, min(score)::float8 AS lowest,
                   max(score)::float8 AS highest, count(disputed_at) AS disputed,
                   count(*) FILTER (WHERE resolution = 'changed') AS changed
              FROM published GROUP BY agent_id ORDER BY agent_id LIMIT $5
        ), counted AS MATERIALIZED (
            -- Points are summed before criteria are joined: many rows become few.
            SELECT p.agent_id, p.scorecard_id, given.key, count(*) AS reviews,
                   sum(given.value::int) AS points
              FROM published AS p
              JOIN agents USING (agent_id)
             CROSS JOIN LATERAL jsonb_each(p.points) AS given
             GROUP BY p.agent_id, p.scorecard_id, given.key
        ), given AS (
            SELECT c.agent_id, s.name AS scorecard, c.key, sum(c.reviews) AS reviews,
                   (array_agg(defined.label ORDER BY s.version DESC))[1] AS label,
                   round(sum(100 * c.points / defined.max) / sum(c.reviews), 2)::float8 AS mean,
                   row_number() OVER (PARTITION BY c.agent_id ORDER BY s.name, c.key) AS place
              FROM counted AS c
              JOIN realtime.scorecards AS s ON s.id = c.scorecard_id
             CROSS JOIN LATERAL (
                   SELECT one ->> 'label' AS label, (one ->> 'max')::numeric AS max
                     FROM jsonb_array_elements(s.criteria) AS one
                    WHERE one ->> 'key' = c.key) AS defined
             GROUP BY c.agent_id, s.name, c.key
        )
        SELECT agents.*, e.name,
               (SELECT jsonb_agg(jsonb_build_object('scorecard', g.scorecard, 'key', g.key,
                                 'label', g.label, 'reviews', g.reviews, 'mean', g.mean)
                                 ORDER BY g.place)
                  FROM given AS g WHERE g.agent_id = agents.agent_id AND g.place <= 200) AS criteria
          FROM agents LEFT JOIN crm.employees AS e ON e.id = agents.agent_id
         ORDER BY agents.agent_id
        """,
        since,
        until,
        agent_id,
        after,
        limit,
    )
    return [
        AgentQuality(
            **{name: value for name, value in row.items() if name != "criteria"},
            criteria=[CriterionMean(**one) for one in row["criteria"] or ()],
        )
        for row in rows
    ]
