"""SQL for the pauses of a period: the events of telephones, and what was known of them before."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.db import Conn
from gateway.telephony.stats.queries.stats import StatsFilter

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


async def events(conn: Conn, criteria: StatsFilter) -> list[Any]:
    """Return the agent.* events of the period, and the newest before it, of each telephone.

    With the employee, or the telephone that belongs to none, as `person`.
    """
    return await conn.fetch(
        f"""
        -- pauses.events
        WITH {_PEOPLE}
        SELECT p.person, p.source, p.extension, e.occurred_at, e.told, e.type, e.event_id, e.queue,
               e.attrs ->> 'reason' AS reason, e.attrs -> 'paused' = 'true' AS joins_paused
          FROM people AS p
         CROSS JOIN LATERAL (
               SELECT * FROM realtime.call_events AS e
                WHERE e.source = p.source AND e.extension = p.extension
                  AND e.type IN ('agent.paused', 'agent.unpaused', 'agent.login', 'agent.logoff')
                  AND e.occurred_at >= $2 AND e.occurred_at < $3
                UNION ALL
               (SELECT * FROM realtime.call_events AS e
                 WHERE e.source = p.source AND e.extension = p.extension
                   AND e.type IN ('agent.paused', 'agent.unpaused', 'agent.login', 'agent.logoff')
                   AND e.occurred_at < $2
                 ORDER BY e.occurred_at DESC
                 LIMIT $4)) AS e
        """,  # noqa: S608 - ours
        criteria.agent_id,
        criteria.since,
        criteria.until,
        LOOKED_BACK,
    )


async def marks(conn: Conn, criteria: StatsFilter) -> list[Any]:
    """Return the marks of these telephones that have not changed since the period began."""
    return await conn.fetch(
        f"""
        -- pauses.marks
        WITH {_PEOPLE}
        SELECT p.person, m.source, m.extension, m.queue, m.logged_in, m.login_at, m.paused,
               m.reason, m.paused_at
          FROM realtime.agent_marks AS m JOIN people AS p USING (source, extension)
         WHERE (m.login_at IS NULL OR m.login_at < $2)
           AND (m.paused_at IS NULL OR m.paused_at < $2)
        """,  # noqa: S608 - ours
        criteria.agent_id,
        criteria.since,
    )


async def clock(conn: Conn) -> datetime:
    """Return the time of the database."""
    now: datetime = await conn.fetchval("-- pauses.clock\nSELECT now()")
    return now
