"""SQL for the pauses of a period: the events of telephones, and what was known of them before."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.db import Conn
from gateway.telephony.stats.queries.stats import StatsFilter
from ingest import AGENT_EVENTS

LOOKED_BACK = 100
"""The newest events of a telephone before the period, from which its state at the beginning
follows: as many as its live state is folded from."""

_PEOPLE = """
        own AS MATERIALIZED (
            SELECT source, extension, min(employee_id) AS employee_id
              FROM crm.extensions GROUP BY source, extension
        ), phones AS MATERIALIZED (
            SELECT m.source, m.extension,
                   COALESCE(min(x.employee_id), min(y.employee_id)) AS employee_id
              FROM realtime.agent_marks AS m
              LEFT JOIN own AS x ON x.source = m.source AND x.extension = m.extension
              LEFT JOIN own AS y ON y.source = '*' AND y.extension = m.extension
             GROUP BY m.source, m.extension
        ), people AS MATERIALIZED (
            SELECT source, extension,
                   COALESCE(employee_id::text, source || '/' || extension) AS person
              FROM phones
             WHERE $1::bigint IS NULL OR employee_id = $1
        )"""


_OF_TELEPHONE = """FROM realtime.call_events AS e
                               WHERE e.source = p.source AND e.extension = p.extension
                                 AND e.type IN ('agent.paused', 'agent.unpaused', 'agent.login',
                                                'agent.logoff')"""


async def events(conn: Conn, criteria: StatsFilter) -> list[Any]:
    """Return a row for each telephone with its agent.* events, in their order, as arrays.

    Those of the period, and the newest before it. With the employee, or the telephone that belongs
    to none, as `person`. Arrays, as 100,000 rows take 0.35 s to read, and these 0.2.
    """
    return await conn.fetch(
        f"""
        -- pauses.events
        WITH {_PEOPLE}
        SELECT p.person, p.source, p.extension, told.*
          FROM people AS p
         CROSS JOIN LATERAL (
               SELECT array_agg(e.occurred_at) AS at, array_agg(e.type) AS types,
                      array_agg(e.queue) AS queues, array_agg(e.attrs ->> 'reason') AS reasons,
                      array_agg(e.attrs -> 'paused' = 'true') AS joins_paused
                 FROM (SELECT e.occurred_at, e.type, e.queue, e.attrs
                         FROM (SELECT e.* {_OF_TELEPHONE}
                                 AND e.occurred_at >= $2 AND e.occurred_at < $3
                               UNION ALL
                              (SELECT e.* {_OF_TELEPHONE}
                                 AND e.occurred_at < $2
                               ORDER BY e.occurred_at DESC, e.told DESC NULLS LAST
                               LIMIT $4)) AS e
                        ORDER BY e.occurred_at, e.told NULLS FIRST, array_position($5, e.type),
                                 e.event_id) AS e) AS told
         WHERE told.at IS NOT NULL
        """,  # noqa: S608 - ours
        criteria.agent_id,
        criteria.since,
        criteria.until,
        LOOKED_BACK,
        list(AGENT_EVENTS),
    )


async def marks(conn: Conn, criteria: StatsFilter) -> list[Any]:
    """Return the marks of queues that these telephones were in when the period began.

    What has changed since then is left out of them: the events of the period tell it.
    """
    return await conn.fetch(
        f"""
        -- pauses.marks
        WITH {_PEOPLE}
        SELECT p.person, p.source, p.extension, m.queue,
               CASE WHEN m.login_at < $2 THEN m.logged_in END AS logged_in,
               CASE WHEN m.login_at < $2 THEN m.login_at END AS login_at,
               m.paused AND COALESCE(m.paused_at < $2, false) AS paused,
               CASE WHEN m.paused_at < $2 THEN m.reason END AS reason,
               CASE WHEN m.paused_at < $2 THEN m.paused_at END AS paused_at
          FROM realtime.agent_marks AS m JOIN people AS p USING (source, extension)
         WHERE m.login_at < $2 OR m.paused_at < $2 OR EXISTS (
               SELECT {_OF_TELEPHONE}
                  AND e.queue = m.queue AND e.occurred_at < $2)
        """,  # noqa: S608 - ours
        criteria.agent_id,
        criteria.since,
    )


async def clock(conn: Conn) -> datetime:
    """Return the time of the database."""
    now: datetime = await conn.fetchval("-- pauses.clock\nSELECT now()")
    return now
