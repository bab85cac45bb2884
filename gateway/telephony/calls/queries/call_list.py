"""SQL for lists of calls, newest first: one statement for each access path.

call_filter ─▶ one of these, chosen by access_paths.estimate. Each reads an index in the order of
the list and stops when the page is full; the other criteria are checked call by call.

1,000,000 calls of a year, 2,700,000 legs of 60 telephones, six queues, 400,000 dispositions; two
cores that other work used equally; ms for a page of 50 with its estimate, without access paths in
brackets:

                       20 calls        45,000 calls     everyone's
    nothing            1.0 (7,880)     0.9 (10)         1.1 (0.6)
    a queue            4.3 (2,448)     13 (362)         0.8 (258)
    … unused for long  4.8 (1,376)     5.1 (787)        0.6 (1,130)
    an outcome         4.8 (1,457)     46 (19)          2.2 (0.4)
    … without a call   4.0 (1,365)     2.3 (603)        0.9 (330)
    a number           5.1 (1.5)       2.6 (0.5)        0.7 (0.3)
    "anonymous"        3.8 (1,044)     58 (34)          0.9 (0.7)
    a disposition      4.6             13               1.4

Of all 5,760 combinations of such values 95 % take less than 35 ms. The worst are of criteria that
few calls meet together: they read the 11,000 calls that one page may read, in 0.1 to 0.5 s, 1.3 s
from a cold cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.db import Conn
from gateway.telephony.calls.queries.access_paths import (
    CALL,
    IN_RANGE,
    MATCHES_ALL,
    MATCHES_CALL,
    MATCHES_DISPOSITION,
    MATCHES_QUEUE,
    MATCHES_TELEPHONES,
    TALK_CLASSES,
    WAIT_CLASSES,
    CallFilter,
)

CallPositions = list[tuple[UUID, datetime]]

AND_LIVE_CALLS = f"""UNION ALL
                (SELECT k.id, k.started_at
                   FROM realtime.call_sessions AS k
                  CROSS JOIN {CALL}
                  WHERE k.ended_at IS NULL AND {IN_RANGE} AND {MATCHES_ALL}
                  ORDER BY k.started_at DESC, k.id DESC
                  LIMIT $4)"""  # noqa: S608 - ours
"""After the calls of an index that has only those that are over."""


async def newest(conn: Conn, criteria: CallFilter, *, limit: int) -> CallPositions:
    """Read all calls, newest first."""
    rows = await conn.fetch(
        f"""
        -- call_list.newest
        SELECT k.id, k.started_at
          FROM realtime.call_sessions AS k
         CROSS JOIN {CALL}
         WHERE {IN_RANGE} AND {MATCHES_ALL}
         ORDER BY k.started_at DESC, k.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *criteria.arguments(limit),
    )
    return _positions(rows)


async def live(conn: Conn, criteria: CallFilter, *, limit: int) -> CallPositions:
    """Read the live calls."""
    rows = await conn.fetch(
        f"""
        -- call_list.live
        SELECT k.id, k.started_at
          FROM realtime.call_sessions AS k
         CROSS JOIN {CALL}
         WHERE k.ended_at IS NULL AND {IN_RANGE} AND {MATCHES_ALL}
         ORDER BY k.started_at DESC, k.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *criteria.arguments(limit),
    )
    return _positions(rows)


async def by_telephones(conn: Conn, criteria: CallFilter, *, limit: int) -> CallPositions:
    """Read the calls of telephones: a page of each, then the newest of them."""
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
                  AND {IN_RANGE} AND {MATCHES_CALL} AND {MATCHES_QUEUE} AND {MATCHES_DISPOSITION}
                ORDER BY k.started_at DESC, k.id DESC
                LIMIT $4) AS found
         ORDER BY found.started_at DESC, found.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *criteria.arguments(limit),
    )
    return _positions(rows)


async def by_numbers(conn: Conn, criteria: CallFilter, *, limit: int) -> CallPositions:
    """Read the calls of numbers: a page of each, then the newest of them."""
    rows = await conn.fetch(
        f"""
        -- call_list.by_numbers
        SELECT found.id, found.started_at
          FROM (SELECT one.*
                  FROM unnest($12::text[]) AS given (number)
                 CROSS JOIN LATERAL (
                       SELECT k.id, k.started_at
                         FROM realtime.call_sessions AS k
                        CROSS JOIN {CALL}
                        WHERE k.number_e164 = given.number AND {IN_RANGE} AND {MATCHES_ALL}
                        ORDER BY k.started_at DESC, k.id DESC
                        LIMIT $4) AS one
                 UNION ALL
                SELECT one.*
                  FROM unnest($13::text[]) AS given (number)
                 CROSS JOIN LATERAL (
                       SELECT k.id, k.started_at
                         FROM realtime.call_sessions AS k
                        CROSS JOIN {CALL}
                        WHERE k.number_raw = given.number AND k.number_e164 IS NULL
                          AND {IN_RANGE} AND {MATCHES_ALL}
                        ORDER BY k.started_at DESC, k.id DESC
                        LIMIT $4) AS one) AS found
         ORDER BY found.started_at DESC, found.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *criteria.arguments(limit),
    )
    return _positions(rows)


async def by_did(conn: Conn, criteria: CallFilter, *, limit: int) -> CallPositions:
    """Read the calls to a number of ours, in each form in which it may be stored."""
    rows = await conn.fetch(
        f"""
        -- call_list.by_did
        SELECT found.id, found.started_at
          FROM unnest($18::text[]) AS given (number)
         CROSS JOIN LATERAL (
               SELECT k.id, k.started_at
                 FROM realtime.call_sessions AS k
                CROSS JOIN {CALL}
                WHERE k.did = given.number AND {IN_RANGE} AND {MATCHES_ALL}
                ORDER BY k.started_at DESC, k.id DESC
                LIMIT $4) AS found
         ORDER BY found.started_at DESC, found.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *criteria.arguments(limit),
    )
    return _positions(rows)


async def by_ring_group(conn: Conn, criteria: CallFilter, *, limit: int) -> CallPositions:
    """Read the calls of a ring group."""
    rows = await conn.fetch(
        f"""
        -- call_list.by_ring_group
        SELECT k.id, k.started_at
          FROM realtime.call_sessions AS k
         CROSS JOIN {CALL}
         WHERE k.ring_group = $19 AND {IN_RANGE} AND {MATCHES_ALL}
         ORDER BY k.started_at DESC, k.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *criteria.arguments(limit),
    )
    return _positions(rows)


async def by_disposition(conn: Conn, criteria: CallFilter, *, limit: int) -> CallPositions:
    """Read the calls with a disposition; that of a merged call counts for its target."""
    rows = await conn.fetch(
        f"""
        -- call_list.by_disposition
        SELECT DISTINCT ON (k.started_at, k.id) k.id, k.started_at
          FROM (SELECT disposition, started_at, shown_with AS id
                  FROM realtime.call_annotations) AS k
         CROSS JOIN {CALL}
         WHERE k.disposition = $9 AND {IN_RANGE} AND {MATCHES_ALL}
         ORDER BY k.started_at DESC, k.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *criteria.arguments(limit),
    )
    return _positions(rows)


async def by_queue(conn: Conn, criteria: CallFilter, *, limit: int) -> CallPositions:
    """Read the stints of a queue."""
    rows = await conn.fetch(
        f"""
        -- call_list.by_queue
        SELECT DISTINCT ON (k.started_at, k.id) k.id, k.started_at
          FROM (SELECT queue, started_at, call_id AS id FROM realtime.queue_stints) AS k
         CROSS JOIN {CALL}
         WHERE k.queue = $8 AND {IN_RANGE} AND {MATCHES_CALL} AND {MATCHES_DISPOSITION}
           AND {MATCHES_TELEPHONES}
         ORDER BY k.started_at DESC, k.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *criteria.arguments(limit),
    )
    return _positions(rows)


async def by_kind(conn: Conn, criteria: CallFilter, *, limit: int) -> CallPositions:
    """Read by direction, outcome or both; live calls have no outcome yet."""
    rows = await conn.fetch(
        f"""
        -- call_list.by_kind
        SELECT found.id, found.started_at
          FROM (SELECT one.*
                  FROM unnest($21::text[]) AS direction
                 CROSS JOIN unnest($22::text[]) AS outcome
                 CROSS JOIN LATERAL (
                       SELECT k.id, k.started_at
                         FROM realtime.call_sessions AS k
                        CROSS JOIN {CALL}
                        WHERE k.direction = direction.direction AND k.outcome = outcome.outcome
                          AND {IN_RANGE} AND {MATCHES_ALL}
                        ORDER BY k.started_at DESC, k.id DESC
                        LIMIT $4) AS one
                 UNION ALL
                (SELECT k.id, k.started_at
                   FROM realtime.call_sessions AS k
                  CROSS JOIN {CALL}
                  WHERE $6::text IS NULL AND k.ended_at IS NULL AND k.outcome IS NULL
                    AND {IN_RANGE} AND {MATCHES_ALL}
                  ORDER BY k.started_at DESC, k.id DESC
                  LIMIT $4)) AS found
         ORDER BY found.started_at DESC, found.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *criteria.arguments(limit),
        criteria.directions,
        criteria.outcomes,
    )
    return _positions(rows)


async def by_wait(conn: Conn, criteria: CallFilter, *, limit: int) -> CallPositions:
    """Read by how long the caller waited: each class of duration, and the live calls."""
    rows = await conn.fetch(
        f"""
        -- call_list.by_wait
        SELECT found.id, found.started_at
          FROM (SELECT one.*
                  FROM {WAIT_CLASSES} AS class
                 CROSS JOIN LATERAL (
                       SELECT k.id, k.started_at
                         FROM realtime.call_sessions AS k
                        CROSS JOIN {CALL}
                        WHERE realtime.duration_class(k.wait_ms) = class AND k.wait_ms IS NOT NULL
                          AND k.ended_at IS NOT NULL AND {IN_RANGE} AND {MATCHES_ALL}
                        ORDER BY k.started_at DESC, k.id DESC
                        LIMIT $4) AS one
                 {AND_LIVE_CALLS}) AS found
         ORDER BY found.started_at DESC, found.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *criteria.arguments(limit),
    )
    return _positions(rows)


async def by_talk(conn: Conn, criteria: CallFilter, *, limit: int) -> CallPositions:
    """Read by how long was talked: each class of duration, and the live calls."""
    rows = await conn.fetch(
        f"""
        -- call_list.by_talk
        SELECT found.id, found.started_at
          FROM (SELECT one.*
                  FROM {TALK_CLASSES} AS class
                 CROSS JOIN LATERAL (
                       SELECT k.id, k.started_at
                         FROM realtime.call_sessions AS k
                        CROSS JOIN {CALL}
                        WHERE realtime.duration_class(k.talk_ms) = class AND k.talk_ms IS NOT NULL
                          AND k.ended_at IS NOT NULL AND {IN_RANGE} AND {MATCHES_ALL}
                        ORDER BY k.started_at DESC, k.id DESC
                        LIMIT $4) AS one
                 {AND_LIVE_CALLS}) AS found
         ORDER BY found.started_at DESC, found.id DESC
         LIMIT $4
        """,  # noqa: S608 - ours
        *criteria.arguments(limit),
    )
    return _positions(rows)


def _positions(rows: Sequence[Any]) -> CallPositions:
    return [(row["id"], row["started_at"]) for row in rows]
