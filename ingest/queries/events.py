"""SQL for events: stage, tell the new ones, store, read back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

import orjson

from ingest.conn import Conn
from ingest.events import CallEvent

STAGED = (
    "source", "event_id", "type", "occurred_at", "time_quality", "native_type", "call_key",
    "leg_key", "peer_leg_key", "queue", "extension", "attrs",
)  # fmt: skip


LOCK_CLASS = 0x63616C6C
"""Advisory locks of ingest: "call"."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The mark that a transaction leaves on its PBX, and the one that it found."""

    before: UUID | None
    now: UUID


async def lock_sources(conn: Conn, sources: Iterable[str]) -> dict[str, Turn]:
    """Let one transaction at a time fold the calls of a source, on whichever node it runs.

    Which rows a batch will touch is only known after its aliases are resolved, and resolving may
    merge calls; one lock per PBX needs no such knowledge and cannot deadlock, being taken in the
    order of the names. A PBX sends some hundred events a second; one lane takes thousands.

    Whoever finds its own mark knows that nobody has written since. It is a uuid, no number, since a
    standby that takes over may have lost the last ones and would give them out again.
    """
    turns = {}
    for source in sorted(sources):
        now = uuid4()
        before = await conn.fetchval(
            """
            -- events.lock_sources
            WITH lane AS MATERIALIZED (SELECT pg_advisory_xact_lock($3, hashtext($1)))
            INSERT INTO realtime.ingest_turns AS t (source, turn)
            SELECT $1, $2::uuid FROM lane
                ON CONFLICT (source) DO UPDATE SET turn = excluded.turn, before = t.turn
            RETURNING before
            """,
            source,
            now,
            LOCK_CLASS,
        )
        turns[source] = Turn(before, now)
    return turns


async def stage(conn: Conn, events: Iterable[CallEvent]) -> None:
    """COPY the events into a table that only this connection sees and the COMMIT empties."""
    await conn.execute(
        """
        -- events.stage
        CREATE TEMPORARY TABLE IF NOT EXISTS staged_call_events (
            source text, event_id uuid, type text, occurred_at timestamptz, time_quality text,
            native_type text, call_key text, leg_key text, peer_leg_key text, queue text,
            extension text, attrs text
        ) ON COMMIT DELETE ROWS
        """
    )
    await conn.copy_records_to_table(
        "staged_call_events",
        records=[
            (e.source, e.event_id, e.type, e.occurred_at, e.time_quality, e.native_type, e.call_key,
             e.leg_key, e.peer_leg_key, e.queue, e.extension, orjson.dumps(e.attrs).decode())
            for e in events
        ],
        columns=list(STAGED),
    )  # fmt: skip


async def keep_new(conn: Conn) -> set[tuple[str, UUID]]:
    """Remember the staged events; return those that nobody knew before.

    Sorted, so that two transactions meeting the same repeats wait for each other in one direction.
    """
    rows = await conn.fetch(
        """
        -- events.keep_new
        INSERT INTO realtime.call_event_keys (event_id, source)
        SELECT DISTINCT event_id, source FROM staged_call_events ORDER BY event_id, source
            ON CONFLICT DO NOTHING
        RETURNING source, event_id
        """
    )
    return {(row["source"], row["event_id"]) for row in rows}


async def insert(conn: Conn, new: Mapping[tuple[str, UUID], UUID | None]) -> None:
    """Store the new ones among the staged events, each under its call (None: under none)."""
    keys = list(new)
    await conn.execute(
        """
        -- events.insert
        INSERT INTO realtime.call_events
               (source, event_id, type, occurred_at, time_quality, native_type, call_id,
                call_key, leg_key, peer_leg_key, queue, extension, attrs)
        SELECT DISTINCT ON (s.source, s.event_id)
               s.source, s.event_id, s.type, s.occurred_at, s.time_quality, s.native_type,
               new.call_id, s.call_key, s.leg_key, s.peer_leg_key, s.queue, s.extension,
               s.attrs::jsonb
          FROM staged_call_events AS s
          JOIN unnest($1::text[], $2::uuid[], $3::uuid[]) AS new (source, event_id, call_id)
         USING (source, event_id)
        """,
        [source for source, _ in keys],
        [event_id for _, event_id in keys],
        [new[key] for key in keys],
    )


async def load(
    conn: Conn, call_ids: Sequence[UUID], *, since: datetime, until: datetime, limit: int
) -> dict[UUID, list[CallEvent]]:
    """Read the events of each call; at most limit of one call.

    The time range lets PostgreSQL look into one partition instead of all of them.
    """
    rows = await conn.fetch(
        """
        -- events.load
        SELECT e.source, e.event_id, e.type, e.occurred_at, e.time_quality, e.native_type,
               c.id AS call_id, e.call_key, e.leg_key, e.peer_leg_key, e.queue, e.extension,
               e.attrs::text AS attrs
          FROM unnest($1::uuid[]) AS c (id)
         CROSS JOIN LATERAL (
               SELECT * FROM realtime.call_events AS e
                WHERE e.call_id = c.id AND e.occurred_at BETWEEN $2 AND $3
                LIMIT $4) AS e
        """,
        call_ids,
        since,
        until,
        limit,
    )
    found: dict[UUID, list[CallEvent]] = {call_id: [] for call_id in call_ids}
    for row in rows:
        fields = dict(row)
        call_id = fields.pop("call_id")
        found[call_id].append(CallEvent(**{**fields, "attrs": orjson.loads(fields["attrs"])}))
    return found


async def reject(conn: Conn, *, source: str, code: str, message: str, event: str) -> None:
    """Keep what could not be stored, and why."""
    await conn.execute(
        """
        -- events.reject
        INSERT INTO realtime.ingest_rejects (source, code, message, event)
        VALUES ($1, $2, $3, $4)
        """,
        source,
        code,
        message,
        event,
    )
