"""SQL for which calls are live, and which have changed; ingest loads their states."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.db import Conn

LEG_ON_TELEPHONE = """l.extension = mine.extension AND mine.source IN (c.source, '*')
                       AND (mine.source <> '*' OR NOT EXISTS (
                            SELECT FROM crm.extensions AS x
                             WHERE x.extension = l.extension AND x.source = c.source))"""
"""Whether l, a leg of the call c, is on mine, one of an employee's telephones. A telephone of one
PBX has precedence over one of any PBX, as in lookup.employees."""


@dataclass(frozen=True, slots=True)
class LiveCall:
    """A live call on an employee's telephones."""

    call_id: UUID
    extensions: frozenset[str]


async def live(conn: Conn, employee_ids: Collection[int]) -> dict[int, list[LiveCall]]:
    """Return employee → the live calls on their telephones, the newest 20; only who has one.

    A call older than 12 hours is one whose end was lost. Few calls are live, and many employees
    are asked for at once: the live calls are read once for all of them.
    """
    rows = await conn.fetch(
        f"""
        -- calls.live
        WITH mine AS MATERIALIZED (
            SELECT employee_id, source, extension
              FROM crm.extensions
             WHERE employee_id = ANY ($1::bigint[])
        ), found AS (
            SELECT mine.employee_id, c.id, c.started_at,
                   array_agg(DISTINCT mine.extension) AS extensions,
                   row_number() OVER (PARTITION BY mine.employee_id
                                      ORDER BY c.started_at DESC, c.id DESC) AS rank
              FROM realtime.call_sessions AS c
              JOIN realtime.call_legs AS l ON l.call_id = c.id
              JOIN mine
                ON {LEG_ON_TELEPHONE}
             WHERE EXISTS (SELECT FROM mine)
               AND c.ended_at IS NULL AND c.merged_into IS NULL
               AND c.started_at > now() - interval '12 hours'
             GROUP BY mine.employee_id, c.id, c.started_at
        )
        SELECT owner.employee_id, found.id, found.extensions
          FROM (SELECT DISTINCT employee_id FROM mine) AS owner
          LEFT JOIN found ON found.employee_id = owner.employee_id AND found.rank <= 20
         ORDER BY owner.employee_id, found.rank
        """,  # noqa: S608 - ours
        list(employee_ids),
    )
    theirs: dict[int, list[LiveCall]] = {}
    for row in rows:
        calls = theirs.setdefault(row["employee_id"], [])
        if row["id"] is not None:
            calls.append(LiveCall(row["id"], frozenset(row["extensions"])))
    return theirs


@dataclass(frozen=True, slots=True)
class ChangedCall:
    """A call that has changed, its version, and when it changed."""

    id: UUID
    version: int
    updated_at: datetime


async def changed_since(
    conn: Conn,
    since: datetime,
    *,
    until: datetime | None = None,
    hours: int = 12,
    after: ChangedCall | None = None,
    limit: int,
) -> list[ChangedCall]:
    """Return calls that changed after since, up to until, in the order of their changes.

    Only calls that began in the last hours, or are live and began in the last 12, are read: an
    index on updated_at would make every update of a call more expensive. With 200,000 calls in 12
    hours, hours=2 takes 8 to 25 ms, hours=12 takes 40 to 120 ms.
    """
    rows = await conn.fetch(
        """
        -- calls.changed_since
        SELECT id, version, updated_at
          FROM realtime.call_sessions
         WHERE started_at > now() - interval '12 hours'
           AND (started_at > now() - make_interval(hours => $2) OR ended_at IS NULL)
           AND updated_at > $1
           AND ($3::timestamptz IS NULL OR updated_at <= $3)
           AND ($4::timestamptz IS NULL OR (updated_at, id) > ($4, $5::uuid))
         ORDER BY updated_at, id
         LIMIT $6
        """,
        since,
        hours,
        until,
        after.updated_at if after else None,
        after.id if after else None,
        limit,
    )
    return [ChangedCall(row["id"], row["version"], row["updated_at"]) for row in rows]


async def talking(conn: Conn) -> list[tuple[int, UUID]]:
    """Return (employee, call) of all live conversations.

    A telephone of one PBX has precedence over one of any PBX, as in lookup.employees.
    """
    rows = await conn.fetch(
        """
        -- calls.talking
        SELECT DISTINCT who.employee_id, c.id
          FROM realtime.call_sessions AS c
          JOIN realtime.call_legs AS l
            ON l.call_id = c.id AND l.status IN ('talking', 'held')
         CROSS JOIN LATERAL (
               SELECT x.employee_id
                 FROM crm.extensions AS x
                WHERE x.extension = l.extension AND x.source IN (c.source, '*')
                ORDER BY x.source = '*', x.employee_id
                LIMIT 1) AS who
         WHERE c.ended_at IS NULL AND c.merged_into IS NULL
           AND c.started_at > now() - interval '12 hours'
        """
    )
    return [(row["employee_id"], row["id"]) for row in rows]
