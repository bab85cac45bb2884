"""SQL for events: find the new ones, store, read back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

import orjson

from ingest.conn import Conn
from ingest.model.events import CallEvent
from ingest.model.native_payload import EventPayload

COLUMNS = (
    "source", "event_id", "type", "occurred_at", "time_quality", "native_type", "call_id",
    "call_key", "leg_key", "peer_leg_key", "queue", "extension", "attrs", "told",
)  # fmt: skip

EVENTS_AT_ONCE = 1_000
"""Events made of rows without a pause: about 5 ms."""

LOCK_CLASS = 0x63616C6C
"""The class of ingest's advisory locks: "call"."""


@dataclass(frozen=True, slots=True)
class SourceTurn:
    """The mark that a transaction wrote for its PBX, and the one that it found."""

    before: UUID | None
    now: UUID
    first: int = 1
    """The first of the numbers that it may give to events; the others follow."""


async def lock_sources(conn: Conn, sources: Mapping[str, int]) -> dict[str, SourceTurn]:
    """Let one transaction at a time fold the calls of a source, on any node.

    `sources` has the number of events that each will store at most: as many numbers are reserved.

    Which rows a batch changes is only known after its aliases are resolved, and resolving may merge
    calls. One lock for each PBX needs no such knowledge, and cannot deadlock, because locks are
    taken in the order of the names. A PBX sends some hundred events a second; one transaction after
    the other stores thousands.

    A process that finds its own mark knows that no other has written since. The mark is a uuid and
    no number: a standby after a failover may have lost the last numbers and would repeat them. The
    numbers of events may repeat like that, as their events were lost with them.
    """
    turns = {}
    for source, events in sorted(sources.items()):
        now = uuid4()
        (row,) = await conn.fetch(
            """
            -- events.lock_sources
            WITH lane AS MATERIALIZED (SELECT pg_advisory_xact_lock($3, hashtext($1)))
            INSERT INTO realtime.ingest_turns AS t (source, turn, told)
            SELECT $1, $2::uuid, $4::bigint FROM lane
                ON CONFLICT (source) DO UPDATE
               SET turn = excluded.turn, before = t.turn, told = t.told + excluded.told
            RETURNING before, told
            """,
            source,
            now,
            LOCK_CLASS,
            events,
        )
        turns[source] = SourceTurn(row["before"], now, row["told"] - events + 1)
    return turns


async def add_keys(conn: Conn, source: str, event_ids: Sequence[UUID]) -> set[UUID] | None:
    """Record ids of events of a PBX; return those that are new, None when all are."""
    fresh: list[UUID] | None = await conn.fetchval(
        """
        -- events.add_keys
        WITH fresh AS (
            INSERT INTO realtime.call_event_keys (event_id, source)
            SELECT id, $2 FROM unnest($1::uuid[]) AS given (id) ORDER BY id
                ON CONFLICT DO NOTHING
            RETURNING event_id
        )
        SELECT CASE WHEN count(*) < cardinality($1) THEN COALESCE(array_agg(event_id), '{}') END
          FROM fresh
        """,
        event_ids,
        source,
    )
    return None if fresh is None else set(fresh)


async def insert(conn: Conn, events: Iterable[tuple[CallEvent, UUID | None]]) -> None:
    """Store new events by COPY, each with its call (None: no call)."""
    await conn.copy_records_to_table(
        "call_events",
        schema_name="realtime",
        records=[
            (e.source, e.event_id, e.type, e.occurred_at, e.time_quality, e.native_type, call_id,
             e.call_key, e.leg_key, e.peer_leg_key, e.queue, e.extension, e.attrs, e.told)
            for e, call_id in events
        ],
        columns=COLUMNS,
    )  # fmt: skip


async def insert_payloads(conn: Conn, payloads: Iterable[EventPayload]) -> None:
    """Store the messages of new events, in the transaction that stores the events."""
    await conn.copy_records_to_table(
        "call_event_payloads",
        schema_name="realtime",
        records=[
            (source, event_id, orjson.Fragment(message)) for source, event_id, message in payloads
        ],
        columns=("source", "event_id", "payload"),
    )


async def load(
    conn: Conn, call_ids: Sequence[UUID], *, since: datetime, until: datetime, limit: int
) -> dict[UUID, list[CallEvent]]:
    """Read the events of each call, at most `limit` of one call.

    The time range lets PostgreSQL read one partition instead of all.
    """
    rows = await conn.fetch(
        """
        -- events.load
        SELECT e.source, e.event_id, e.type, e.occurred_at, e.time_quality, e.native_type,
               c.id AS call_id, e.call_key, e.leg_key, e.peer_leg_key, e.queue, e.extension,
               e.attrs::text AS attrs, e.told
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
    for number_read, row in enumerate(rows, 1):
        fields = dict(row)
        call_id = fields.pop("call_id")
        found[call_id].append(CallEvent(**{**fields, "attrs": orjson.loads(fields["attrs"])}))
        if number_read % EVENTS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return found


async def count(
    conn: Conn, call_ids: Sequence[UUID], *, since: datetime, until: datetime, limit: int
) -> dict[UUID, int]:
    """Count the events that load() would read of each call."""
    rows = await conn.fetch(
        """
        -- events.count
        SELECT c.id, e.events
          FROM unnest($1::uuid[]) AS c (id)
         CROSS JOIN LATERAL (
               SELECT count(*) AS events
                 FROM (SELECT FROM realtime.call_events AS e
                        WHERE e.call_id = c.id AND e.occurred_at BETWEEN $2 AND $3
                        LIMIT $4) AS found) AS e
        """,
        call_ids,
        since,
        until,
        limit,
    )
    return {row["id"]: row["events"] for row in rows}


async def insert_rejects(conn: Conn, source: str, rejects: Sequence[tuple[str, str, str]]) -> None:
    """Save rejected input: code, message and content as text of each."""
    codes, messages, events = zip(*rejects, strict=True)
    await conn.execute(
        """
        -- events.insert_rejects
        INSERT INTO realtime.ingest_rejects (source, code, message, event)
        SELECT $1, given.code, given.message, given.event
          FROM unnest($2::text[], $3::text[], $4::text[]) AS given (code, message, event)
        """,
        source,
        codes,
        messages,
        events,
    )
