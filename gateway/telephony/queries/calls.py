"""SQL for reading calls: which ones, in what order. What is in them, ingest loads."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.db import Conn
from gateway.protocol import CallList

IS_THEIRS = """l.extension = mine.extension AND mine.source IN (c.source, '*')
                       AND (mine.source <> '*' OR NOT EXISTS (
                            SELECT FROM crm.extensions AS x
                             WHERE x.extension = l.extension AND x.source = c.source))"""
"""Whether l, a leg of the call c, is on mine, one of somebody's telephones: one of one PBX goes
before one of any, as in lookup.employees."""


async def page(
    conn: Conn,
    *,
    telephones: list[tuple[str, str]] | None,
    sought: CallList,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[tuple[UUID, datetime]]:
    """Return (id, started_at) of calls, newest first.

    telephones restricts to calls in which one of these (source, extension) took part; None is
    everyone's.
    """
    is_e164 = sought.number is not None and sought.number.startswith("+")  # only these are indexed
    rows = await conn.fetch(
        f"""
        -- calls.page
        SELECT c.id, c.started_at
          FROM realtime.call_sessions AS c
         WHERE c.merged_into IS NULL
           AND ($1::boolean IS NULL OR (c.ended_at IS NULL) = $1)
           AND ($2::text IS NULL OR c.outcome = $2)
           AND ($3::timestamptz IS NULL OR (c.started_at, c.id) < ($3, $4::uuid))
           AND ($5::text[] IS NULL OR EXISTS (
                SELECT FROM realtime.call_legs AS l
                  JOIN unnest($6::text[], $5::text[]) AS mine (source, extension)
                    ON {IS_THEIRS}
                 WHERE l.call_id = c.id))
           AND ($8::text IS NULL OR c.direction = $8)
           AND ($9::text IS NULL OR EXISTS (
                SELECT FROM realtime.queue_stints AS s
                 WHERE s.call_id = c.id AND s.queue = $9))
           AND ($10::text IS NULL OR c.number_e164 = $10)
           AND ($13::text IS NULL OR c.number_raw = $13)
           AND ($11::timestamptz IS NULL OR c.started_at >= $11)
           AND ($12::timestamptz IS NULL OR c.started_at < $12)
         ORDER BY c.started_at DESC, c.id DESC
         LIMIT $7
        """,  # noqa: S608 - ours
        None if sought.status is None else sought.status == "live",
        sought.outcome,
        after[0] if after else None,
        after[1] if after else None,
        None if telephones is None else [extension for _, extension in telephones],
        None if telephones is None else [source for source, _ in telephones],
        limit,
        sought.direction,
        sought.queue,
        sought.number if is_e164 else None,
        sought.since,
        sought.until,
        None if is_e164 else sought.number,
    )
    return [(row["id"], row["started_at"]) for row in rows]


async def live(conn: Conn, employee_ids: Collection[int]) -> list[tuple[int, UUID]]:
    """Return (employee, call) of what goes on now on their telephones: the newest 20 of each.

    A call older than 12 hours is one whose end was lost. Few calls are live, and many people ask
    at once: the calls are gone through once for all of them.
    """
    rows = await conn.fetch(
        f"""
        -- calls.live
        WITH mine AS MATERIALIZED (
            SELECT employee_id, source, extension
              FROM crm.extensions
             WHERE employee_id = ANY ($1::bigint[])
        )
        SELECT found.employee_id, found.id
          FROM (SELECT mine.employee_id, c.id, c.started_at,
                       row_number() OVER (PARTITION BY mine.employee_id
                                          ORDER BY c.started_at DESC, c.id DESC) AS place
                  FROM realtime.call_sessions AS c
                  JOIN realtime.call_legs AS l ON l.call_id = c.id
                  JOIN mine
                    ON {IS_THEIRS}
                 WHERE EXISTS (SELECT FROM mine)
                   AND c.ended_at IS NULL AND c.merged_into IS NULL
                   AND c.started_at > now() - interval '12 hours'
                 GROUP BY mine.employee_id, c.id, c.started_at) AS found
         WHERE found.place <= 20
         ORDER BY found.employee_id, found.place
        """,  # noqa: S608 - ours
        list(employee_ids),
    )
    return [(row["employee_id"], row["id"]) for row in rows]


@dataclass(frozen=True, slots=True)
class Changed:
    """A call that has changed, and when."""

    id: UUID
    version: int
    updated_at: datetime


async def changed_since(
    conn: Conn,
    since: datetime,
    *,
    until: datetime | None = None,
    hours: int = 12,
    after: Changed | None = None,
    limit: int,
) -> list[Changed]:
    """Return calls that changed after since, up to until, in the order in which they did.

    Of the last so many hours, and of the last 12 those that go on: an index of updated_at would
    make every update of a call dearer. With 200,000 calls in 12 hours 2 of them take 8 to 25 ms,
    all of them 40 to 120 ms.
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
    return [Changed(row["id"], row["version"], row["updated_at"]) for row in rows]


async def talking(conn: Conn) -> list[tuple[int, UUID]]:
    """Return (employee, call) of all conversations on a telephone that go on now.

    A telephone of one PBX goes before one of any, as in lookup.employees.
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
