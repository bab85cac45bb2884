"""SQL that publishes many events at once: one function per statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.db import Conn


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be published. JSON is given as text."""

    type: str
    users: str
    topics: str
    payload: str
    key: str | None
    deliver_at: datetime | None
    notify: str | None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """What became of an event."""

    place: int
    id: int | None
    stored: bool
    wrong: str | None
    """The argument that is invalid."""
    same: bool | None = None
    """Of one that was not stored: whether the event that had its key has the same content."""


async def publish(conn: Conn, source: str, events: Sequence[NewEvent]) -> list[StoredEvent]:
    """Store events, but for those that are invalid, or whose key another event has.

    By the rules of realtime.publish. Keys are taken in their order, so that two batches of one
    source do not wait for each other.
    """
    rows = await conn.fetch(
        """
        -- batches.publish
        WITH given AS MATERIALIZED (
            SELECT g.place, g.type,
                   ARRAY(SELECT jsonb_array_elements_text(g.users::jsonb)::bigint) AS users,
                   ARRAY(SELECT jsonb_array_elements_text(g.topics::jsonb)) AS topics,
                   g.payload::jsonb AS payload, g.key, g.deliver_at, g.notify::jsonb AS notify
              FROM unnest((SELECT $2::text[]), (SELECT $3::text[]), (SELECT $4::text[]),
                          (SELECT $5::text[]), (SELECT $6::text[]), (SELECT $7::timestamptz[]),
                          (SELECT $8::text[]))
                   WITH ORDINALITY
                   AS g (type, users, topics, payload, key, deliver_at, notify, place)
        ), checked AS MATERIALIZED (
            SELECT g.*, realtime.event_fault(g.type, g.users, g.topics, g.payload, g.key,
                                             g.deliver_at, g.notify, $1) AS wrong
              FROM given AS g
        ), numbered AS MATERIALIZED (
            SELECT c.*, nextval('realtime.event_ids') AS id,
                   CASE WHEN c.deliver_at > now() THEN c.deliver_at ELSE '-infinity' END AS due
              FROM checked AS c
             WHERE c.wrong IS NULL
             ORDER BY c.place
        ), keyed AS (
            INSERT INTO realtime.event_keys (source, event_key, digest, event_id, deliver_at)
            SELECT $1, n.key,
                   realtime.event_digest(n.type, n.users, n.topics, n.payload, n.deliver_at,
                                         n.notify), n.id, n.due
              FROM numbered AS n
             WHERE n.key IS NOT NULL
             ORDER BY n.key, n.place
                ON CONFLICT DO NOTHING
            RETURNING event_id
        ), stored AS (
            INSERT INTO realtime.events_outbox
                   (deliver_at, id, source, type, event_key, users, topics, payload, notify)
            SELECT n.due, n.id, $1, n.type, n.key, n.users, n.topics, n.payload, n.notify
              FROM numbered AS n
             WHERE n.key IS NULL OR n.id IN (SELECT event_id FROM keyed)
            RETURNING id
        )
        SELECT c.place - 1 AS place, n.id, s.id IS NOT NULL AS stored, c.wrong
          FROM checked AS c
          LEFT JOIN numbered AS n ON n.place = c.place
          LEFT JOIN stored AS s ON s.id = n.id
         ORDER BY c.place
        """,
        source,
        [one.type for one in events],
        [one.users for one in events],
        [one.topics for one in events],
        [one.payload for one in events],
        [one.key for one in events],
        [one.deliver_at for one in events],
        [one.notify for one in events],
    )
    return [StoredEvent(**row) for row in rows]


async def known(
    conn: Conn, source: str, events: Sequence[tuple[int, NewEvent]]
) -> dict[int, StoredEvent]:
    """Return what has the keys of these events, by their places; what nothing has is left out."""
    rows = await conn.fetch(
        """
        -- batches.known
        SELECT g.place, k.event_id,
               k.digest = realtime.event_digest(
                   g.type, ARRAY(SELECT jsonb_array_elements_text(g.users::jsonb)::bigint),
                   ARRAY(SELECT jsonb_array_elements_text(g.topics::jsonb)), g.payload::jsonb,
                   g.deliver_at, g.notify::jsonb) AS same
          FROM unnest((SELECT $2::int[]), (SELECT $3::text[]), (SELECT $4::text[]),
                      (SELECT $5::text[]), (SELECT $6::text[]), (SELECT $7::text[]),
                      (SELECT $8::timestamptz[]), (SELECT $9::text[]))
               AS g (place, type, users, topics, payload, key, deliver_at, notify)
          JOIN realtime.event_keys AS k ON k.source = $1 AND k.event_key = g.key
        """,
        source,
        [place for place, _ in events],
        [one.type for _, one in events],
        [one.users for _, one in events],
        [one.topics for _, one in events],
        [one.payload for _, one in events],
        [one.key for _, one in events],
        [one.deliver_at for _, one in events],
        [one.notify for _, one in events],
    )
    return {
        row["place"]: StoredEvent(row["place"], row["event_id"], False, None, row["same"])
        for row in rows
    }


async def cancel(conn: Conn, source: str, keys: Sequence[str]) -> list[str]:
    """Take back events that are not relayed; return the keys of those that were there."""
    rows = await conn.fetch(
        """
        -- batches.cancel
        SELECT g.key
          FROM unnest($2::text[]) WITH ORDINALITY AS g (key, place)
         WHERE realtime.cancel_event(g.key, $1)
         ORDER BY g.place
        """,
        source,
        keys,
    )
    return [row["key"] for row in rows]
