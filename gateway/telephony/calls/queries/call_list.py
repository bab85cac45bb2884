"""SQL for lists of calls, newest first: one statement for each place where a list may begin.

sought ─▶ call_places.weigh ─▶ the statement that begins where the fewest calls are. Each reads an
index in the order of the list and stops at a page; what else is asked is looked up call by call.

1,000,000 calls of a year, 2,700,000 legs of 60 telephones, six queues, 400,000 dispositions; two
cores with as much else to do; ms for a page of 50 with weighing, before that in brackets:

                       20 calls        45,000 calls     everyone's
    nothing            1.0 (7,880)     0.9 (10)         1.1 (0.6)
    a queue            4.3 (2,448)     13 (362)         0.8 (258)
    … long disused     4.8 (1,376)     5.1 (787)        0.6 (1,130)
    an outcome         4.8 (1,457)     46 (19)          2.2 (0.4)
    … without a call   4.0 (1,365)     2.3 (603)        0.9 (330)
    a number           5.1 (1.5)       2.6 (0.5)        0.7 (0.3)
    "anonymous"        3.8 (1,044)     58 (34)          0.9 (0.7)
    a disposition      4.6             13               1.4

Of all 5,760 combinations of such values 95 % take less than 35 ms; the worst, of things that hardly
meet, go through the 11,000 calls that a page may and take 0.1 to 0.5 s, 1.3 s from a cold cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.db import Conn
from gateway.telephony.calls.queries.access_paths import (
    CALL,
    DISPOSED,
    FITS,
    PLAIN,
    QUEUED,
    THEIRS,
    WITHIN,
    Sought,
)

Found = list[tuple[UUID, datetime]]


async def newest(conn: Conn, sought: Sought, *, limit: int) -> Found:
    """Begin at the newest of all calls."""
    rows = await conn.fetch(
        f"""
        -- call_list.newest
        SELECT k.id, k.started_at
          FROM realtime.call_sessions AS k
         CROSS JOIN {CALL}
         WHERE {WITHIN} AND {FITS}
         ORDER BY k.started_at DESC, k.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *sought.arguments(limit),
    )
    return _found(rows)


async def live(conn: Conn, sought: Sought, *, limit: int) -> Found:
    """Begin at the calls that go on."""
    rows = await conn.fetch(
        f"""
        -- call_list.live
        SELECT k.id, k.started_at
          FROM realtime.call_sessions AS k
         CROSS JOIN {CALL}
         WHERE k.ended_at IS NULL AND {WITHIN} AND {FITS}
         ORDER BY k.started_at DESC, k.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *sought.arguments(limit),
    )
    return _found(rows)


async def by_telephones(conn: Conn, sought: Sought, *, limit: int) -> Found:
    """Begin at somebody's telephones: a page of each, then the newest of them."""
    rows = await conn.fetch(
        f"""
        -- call_list.by_telephones
        SELECT DISTINCT ON (found.started_at, found.id) found.id, found.started_at
          FROM unnest($10::text[], $11::text[]) AS mine (source, extension)
         CROSS JOIN LATERAL (
               SELECT DISTINCT ON (k.started_at, k.id) k.id, k.started_at
                 FROM (SELECT source, extension, started_at, call_id AS id
                         FROM realtime.call_legs) AS k
                CROSS JOIN {CALL}
                WHERE k.extension = mine.extension AND k.source = mine.source
                  AND {WITHIN} AND {PLAIN} AND {QUEUED} AND {DISPOSED}
                ORDER BY k.started_at DESC, k.id DESC
                LIMIT $4) AS found
         ORDER BY found.started_at DESC, found.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *sought.arguments(limit),
    )
    return _found(rows)


async def by_numbers(conn: Conn, sought: Sought, *, limit: int) -> Found:
    """Begin at the numbers: a page of each, then the newest of them."""
    rows = await conn.fetch(
        f"""
        -- call_list.by_numbers
        SELECT found.id, found.started_at
          FROM (SELECT one.*
                  FROM unnest($12::text[]) AS asked (number)
                 CROSS JOIN LATERAL (
                       SELECT k.id, k.started_at
                         FROM realtime.call_sessions AS k
                        CROSS JOIN {CALL}
                        WHERE k.number_e164 = asked.number AND {WITHIN} AND {FITS}
                        ORDER BY k.started_at DESC, k.id DESC
                        LIMIT $4) AS one
                 UNION ALL
                SELECT one.*
                  FROM unnest($13::text[]) AS asked (number)
                 CROSS JOIN LATERAL (
                       SELECT k.id, k.started_at
                         FROM realtime.call_sessions AS k
                        CROSS JOIN {CALL}
                        WHERE k.number_raw = asked.number AND k.number_e164 IS NULL
                          AND {WITHIN} AND {FITS}
                        ORDER BY k.started_at DESC, k.id DESC
                        LIMIT $4) AS one) AS found
         ORDER BY found.started_at DESC, found.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *sought.arguments(limit),
    )
    return _found(rows)


async def by_disposition(conn: Conn, sought: Sought, *, limit: int) -> Found:
    """Begin at what somebody said of calls; one that was merged counts with what it became."""
    rows = await conn.fetch(
        f"""
        -- call_list.by_disposition
        SELECT DISTINCT ON (k.started_at, k.id) k.id, k.started_at
          FROM (SELECT disposition, started_at, shown_with AS id
                  FROM realtime.call_annotations) AS k
         CROSS JOIN {CALL}
         WHERE k.disposition = $9 AND {WITHIN} AND {FITS}
         ORDER BY k.started_at DESC, k.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *sought.arguments(limit),
    )
    return _found(rows)


async def by_queue(conn: Conn, sought: Sought, *, limit: int) -> Found:
    """Begin at the stays in a queue."""
    rows = await conn.fetch(
        f"""
        -- call_list.by_queue
        SELECT DISTINCT ON (k.started_at, k.id) k.id, k.started_at
          FROM (SELECT queue, started_at, call_id AS id FROM realtime.queue_stints) AS k
         CROSS JOIN {CALL}
         WHERE k.queue = $8 AND {WITHIN} AND {PLAIN} AND {DISPOSED} AND {THEIRS}
         ORDER BY k.started_at DESC, k.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *sought.arguments(limit),
    )
    return _found(rows)


async def by_kind(conn: Conn, sought: Sought, *, limit: int) -> Found:
    """Begin at a direction, an outcome or both; calls that go on have no outcome yet."""
    rows = await conn.fetch(
        f"""
        -- call_list.by_kind
        SELECT found.id, found.started_at
          FROM (SELECT one.*
                  FROM unnest($14::text[]) AS direction
                 CROSS JOIN unnest($15::text[]) AS outcome
                 CROSS JOIN LATERAL (
                       SELECT k.id, k.started_at
                         FROM realtime.call_sessions AS k
                        CROSS JOIN {CALL}
                        WHERE k.direction = direction.direction AND k.outcome = outcome.outcome
                          AND {WITHIN} AND {FITS}
                        ORDER BY k.started_at DESC, k.id DESC
                        LIMIT $4) AS one
                 UNION ALL
                (SELECT k.id, k.started_at
                   FROM realtime.call_sessions AS k
                  CROSS JOIN {CALL}
                  WHERE $6::text IS NULL AND k.ended_at IS NULL AND k.outcome IS NULL
                    AND {WITHIN} AND {FITS}
                  ORDER BY k.started_at DESC, k.id DESC
                  LIMIT $4)) AS found
         ORDER BY found.started_at DESC, found.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *sought.arguments(limit),
        sought.directions,
        sought.outcomes,
    )
    return _found(rows)


def _found(rows: Sequence[Any]) -> Found:
    return [(row["id"], row["started_at"]) for row in rows]
