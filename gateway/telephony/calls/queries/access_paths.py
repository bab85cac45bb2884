"""SQL for the access paths of a call list: which there are, and how many calls each would read.

call_filter ─▶ estimate ─▶ the statement of call_list with the cheapest path. All of them take the
same arguments, and check call by call the criteria that are not their path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from gateway.db import Conn

AccessPath = Literal[
    "live",
    "numbers",
    "telephones",
    "kind",
    "queue",
    "ring_group",
    "disposition",
    "wait",
    "talk",
    "did",
]

IN_RANGE = """(k.started_at, k.id) < ($1::timestamptz, $2::uuid)
               AND k.started_at >= $3::timestamptz"""
"""Whether a call k is in the part of the list that is read: after a position, within a time."""

CALL = """LATERAL (
                      SELECT * FROM realtime.call_sessions AS one WHERE one.id = k.id
                      OFFSET 0) AS c"""
"""The row of the call k. OFFSET 0, here and below, keeps PostgreSQL on the index in the order of
the list: it may otherwise read and sort calls that no page shows."""

MATCHES_CALL = """c.merged_into IS NULL
               AND ($5::boolean IS NULL OR (c.ended_at IS NULL) = $5)
               AND ($6::text IS NULL OR c.outcome = $6)
               AND ($7::text IS NULL OR c.direction = $7)
               AND ($12::text[] IS NULL OR c.number_e164 = ANY ($12)
                    OR c.number_e164 IS NULL AND c.number_raw = ANY ($13::text[]))
               AND ($14::bigint IS NULL OR c.wait_ms >= $14)
               AND ($15::bigint IS NULL OR c.wait_ms <= $15)
               AND ($16::bigint IS NULL OR c.talk_ms >= $16)
               AND ($17::bigint IS NULL OR c.talk_ms <= $17)
               AND ($18::text[] IS NULL OR c.did = ANY ($18))
               AND ($19::text IS NULL OR c.ring_group = $19)
               AND ($20::text IS NULL OR c.ended_by = $20)"""
"""The criteria that the row of a call c answers alone."""

MATCHES_QUEUE = """($8::text IS NULL OR EXISTS (
                    SELECT FROM realtime.queue_stints AS s
                     WHERE s.call_id = c.id AND s.queue = $8
                    OFFSET 0))"""
MATCHES_DISPOSITION = """($9::text IS NULL OR $9 = (
                    SELECT a.disposition FROM realtime.call_annotations AS a
                     WHERE a.shown_with = c.id
                     ORDER BY a.set_at DESC NULLS LAST, a.call_id
                     LIMIT 1))"""
"""Of several annotations the disposition that was set last counts, as in annotations.read."""

MATCHES_TELEPHONES = """($10::text[] IS NULL OR EXISTS (
                    SELECT FROM realtime.call_legs AS l
                      JOIN unnest($10, $11::text[]) AS mine (source, extension)
                           USING (source, extension)
                     WHERE l.call_id = c.id
                    OFFSET 0))"""

MATCHES_ALL = f"""{MATCHES_CALL}
               AND {MATCHES_QUEUE}
               AND {MATCHES_DISPOSITION}
               AND {MATCHES_TELEPHONES}"""


WAIT_CLASSES = """generate_series(realtime.duration_class(coalesce($14::bigint, 0)),
                                       realtime.duration_class(coalesce($15, 9e15::bigint)))"""
TALK_CLASSES = """generate_series(realtime.duration_class(coalesce($16::bigint, 0)),
                                       realtime.duration_class(coalesce($17, 9e15::bigint)))"""
"""The classes of duration that have calls of a range; the first and the last have others, too."""

Range = tuple[int | None, int | None]
"""From and to, both included; None is open."""
ANY: Range = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """The criteria of a call list; None matches any call."""

    before: tuple[datetime, UUID]
    since: datetime
    live: bool | None
    outcome: str | None
    direction: str | None
    queue: str | None
    disposition: str | None
    telephones: Sequence[tuple[str, str]] | None
    """(source, extension), with the name of each PBX."""
    e164: Sequence[str] | None
    """Numbers in E.164."""
    raw: Sequence[str]
    """What the PBX sent as the number, for calls without a number in E.164."""

    did: Sequence[str] | None = None
    """What the number of ours may be stored as."""
    ring_group: str | None = None
    ended_by: str | None = None
    """Who hung up. No path is for it: each side ends a large part of all calls."""
    wait_ms: Range = ANY
    talk_ms: Range = ANY

    directions: Sequence[str] = ()
    outcomes: Sequence[str] = ()
    """All directions and outcomes that match, when either or who hung up is a criterion; otherwise
    empty."""

    def arguments(self, limit: int) -> tuple[Any, ...]:
        """Return the arguments $1 to $20 of every statement."""
        phones = self.telephones
        return (
            *self.before, self.since, limit, self.live, self.outcome, self.direction, self.queue,
            self.disposition,
            None if phones is None else [source for source, _ in phones],
            None if phones is None else [extension for _, extension in phones],
            self.e164, self.raw, *self.wait_ms, *self.talk_ms,
            self.did, self.ring_group, self.ended_by,
        )  # fmt: skip


async def telephones(conn: Conn, employee_id: int) -> list[tuple[str, str]]:
    """Return each (source, extension) of an employee that has taken part in a call.

    A telephone of one PBX has precedence over one of any PBX, as in lookup.employees. The sources
    of an extension are found by stepping through an index: as many steps as there are PBXs.
    """
    rows = await conn.fetch(
        """
        -- access_paths.telephones
        WITH RECURSIVE met AS (
            SELECT mine.extension, (SELECT min(l.source) FROM realtime.call_legs AS l
                                     WHERE l.extension = mine.extension) AS source
              FROM (SELECT DISTINCT extension FROM crm.extensions WHERE employee_id = $1) AS mine
             UNION ALL
            SELECT met.extension, (SELECT min(l.source) FROM realtime.call_legs AS l
                                    WHERE l.extension = met.extension AND l.source > met.source)
              FROM met WHERE met.source IS NOT NULL
        )
        SELECT DISTINCT met.source, met.extension
          FROM met
          JOIN crm.extensions AS mine
            ON mine.employee_id = $1 AND mine.extension = met.extension
               AND mine.source IN (met.source, '*')
         WHERE met.source IS NOT NULL
           AND (mine.source <> '*' OR NOT EXISTS (
                SELECT FROM crm.extensions AS x
                 WHERE x.extension = met.extension AND x.source = met.source))
        """,
        employee_id,
    )
    return [(row["source"], row["extension"]) for row in rows]


@dataclass(frozen=True, slots=True)
class Estimate:
    """How many calls a path would read, up to a maximum, and how far back these reach."""

    calls: int
    back_to: datetime | None


async def estimate(conn: Conn, criteria: CallFilter, *, most: int) -> dict[str, Estimate]:
    """Count the calls on every path that the criteria allow: 1,000 index entries take 0.3 ms."""
    arguments = criteria.arguments(most)
    rows = await conn.fetch(
        f"""
        -- access_paths.estimate
        SELECT 'live' AS path, count(*) AS calls, min(started_at) AS back_to
          FROM (SELECT k.started_at FROM realtime.call_sessions AS k
                 WHERE $5::boolean AND k.ended_at IS NULL AND {IN_RANGE}
                 ORDER BY k.started_at DESC, k.id DESC LIMIT $4) AS found
         UNION ALL
        SELECT 'telephones', count(*), min(started_at)
          FROM (SELECT one.started_at
                  FROM unnest($10::text[], $11::text[]) AS mine (source, extension)
                 CROSS JOIN LATERAL (
                       SELECT l.started_at FROM realtime.call_legs AS l
                        WHERE l.extension = mine.extension AND l.source = mine.source
                          AND (l.started_at, l.call_id) < ($1, $2) AND l.started_at >= $3
                        ORDER BY l.started_at DESC, l.call_id DESC LIMIT $4) AS one
                 ORDER BY one.started_at DESC LIMIT $4) AS found
         UNION ALL
        SELECT 'numbers', count(*), min(started_at)
          FROM (SELECT one.started_at
                  FROM (SELECT number, true AS whole FROM unnest($12::text[]) AS number
                         UNION ALL
                        SELECT number, false FROM unnest($13::text[]) AS number) AS given
                 CROSS JOIN LATERAL (
                      (SELECT k.started_at FROM realtime.call_sessions AS k
                        WHERE given.whole AND k.number_e164 = given.number AND {IN_RANGE}
                        ORDER BY k.started_at DESC, k.id DESC LIMIT $4)
                        UNION ALL
                      (SELECT k.started_at FROM realtime.call_sessions AS k
                        WHERE NOT given.whole AND k.number_raw = given.number
                          AND k.number_e164 IS NULL AND {IN_RANGE}
                        ORDER BY k.started_at DESC, k.id DESC LIMIT $4)) AS one
                 ORDER BY one.started_at DESC LIMIT $4) AS found
         UNION ALL
        SELECT 'disposition', count(*), min(started_at)
          FROM (SELECT a.started_at FROM realtime.call_annotations AS a
                 WHERE a.disposition = $9::text
                   AND (a.started_at, a.shown_with) < ($1, $2) AND a.started_at >= $3
                 ORDER BY a.started_at DESC, a.shown_with DESC LIMIT $4) AS found
         UNION ALL
        SELECT 'queue', count(*), min(started_at)
          FROM (SELECT s.started_at FROM realtime.queue_stints AS s
                 WHERE s.queue = $8::text
                   AND (s.started_at, s.call_id) < ($1, $2) AND s.started_at >= $3
                 ORDER BY s.started_at DESC, s.call_id DESC LIMIT $4) AS found
         UNION ALL
        SELECT 'kind', count(*), min(started_at)
          FROM (SELECT one.started_at
                  FROM unnest($6::text[]) AS direction
                 CROSS JOIN unnest($7::text[]) AS outcome
                 CROSS JOIN LATERAL (
                       SELECT k.started_at FROM realtime.call_sessions AS k
                        WHERE k.direction = direction.direction AND k.outcome = outcome.outcome
                          AND {IN_RANGE}
                        ORDER BY k.started_at DESC, k.id DESC LIMIT $4) AS one
                 ORDER BY one.started_at DESC LIMIT $4) AS found
         UNION ALL
        SELECT 'wait', count(*), min(started_at)
          FROM (SELECT one.started_at
                  FROM {WAIT_CLASSES} AS class
                 CROSS JOIN LATERAL (
                       SELECT k.started_at FROM realtime.call_sessions AS k
                        WHERE realtime.duration_class(k.wait_ms) = class AND k.wait_ms IS NOT NULL
                          AND k.ended_at IS NOT NULL AND {IN_RANGE}
                        ORDER BY k.started_at DESC, k.id DESC LIMIT $4) AS one
                 WHERE coalesce($14, $15::bigint) IS NOT NULL
                 ORDER BY one.started_at DESC LIMIT $4) AS found
         UNION ALL
        SELECT 'talk', count(*), min(started_at)
          FROM (SELECT one.started_at
                  FROM {TALK_CLASSES} AS class
                 CROSS JOIN LATERAL (
                       SELECT k.started_at FROM realtime.call_sessions AS k
                        WHERE realtime.duration_class(k.talk_ms) = class AND k.talk_ms IS NOT NULL
                          AND k.ended_at IS NOT NULL AND {IN_RANGE}
                        ORDER BY k.started_at DESC, k.id DESC LIMIT $4) AS one
                 WHERE coalesce($16, $17::bigint) IS NOT NULL
                 ORDER BY one.started_at DESC LIMIT $4) AS found
         UNION ALL
        SELECT 'did', count(*), min(started_at)
          FROM (SELECT one.started_at
                  FROM unnest($18::text[]) AS given (number)
                 CROSS JOIN LATERAL (
                       SELECT k.started_at FROM realtime.call_sessions AS k
                        WHERE k.did = given.number AND {IN_RANGE}
                        ORDER BY k.started_at DESC, k.id DESC LIMIT $4) AS one
                 ORDER BY one.started_at DESC LIMIT $4) AS found
         UNION ALL
        SELECT 'ring_group', count(*), min(started_at)
          FROM (SELECT k.started_at FROM realtime.call_sessions AS k
                 WHERE k.ring_group = $19::text AND {IN_RANGE}
                 ORDER BY k.started_at DESC, k.id DESC LIMIT $4) AS found
        """,  # noqa: S608 - ours
        *arguments[:5],
        criteria.directions,
        criteria.outcomes,
        *arguments[7:19],
    )
    return {row["path"]: Estimate(row["calls"], row["back_to"]) for row in rows}
