"""SQL beside the product's: the least that storing events can cost, and the most.

`copy_raw` keeps the rows and nothing else. `one_by_one` is what CRMs do that ask the database
about every event: is it known, which call, which leg, then write each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import orjson

from ingest import CallEvent

COLUMNS = (
    "source", "event_id", "type", "occurred_at", "time_quality", "native_type", "call_id",
    "call_key", "leg_key", "peer_leg_key", "queue", "extension", "attrs",
)  # fmt: skip
PER_CALL = 15
"""Events of a made call; see loadtests/generated_events.py."""

Conn: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
"""A plain one: without codecs of ours, so that jsonb is copied as text."""


async def make_tables(conn: Conn) -> None:
    """Make those of the baselines; the raw one has the columns and indexes of call_events."""
    await conn.execute(
        """
        -- ingest.make_tables
        CREATE TABLE public.loadtest_raw (LIKE realtime.call_events INCLUDING ALL);
        CREATE TABLE public.loadtest_calls (
            id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            call_key   text NOT NULL UNIQUE,
            state      text NOT NULL,
            queue      text,
            started_at timestamptz NOT NULL,
            ended_at   timestamptz
        );
        CREATE TABLE public.loadtest_legs (
            id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            call_id   bigint NOT NULL REFERENCES public.loadtest_calls (id),
            leg_key   text NOT NULL UNIQUE,
            extension text,
            state     text NOT NULL
        );
        CREATE TABLE public.loadtest_events (
            id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            event_id    uuid NOT NULL UNIQUE,
            call_id     bigint NOT NULL REFERENCES public.loadtest_calls (id),
            type        text NOT NULL,
            occurred_at timestamptz NOT NULL,
            payload     jsonb NOT NULL
        );
        CREATE INDEX ON public.loadtest_events (call_id, occurred_at);
        """
    )


async def copy_raw(conn: Conn, rows: Sequence[tuple[Any, ...]]) -> None:
    """Copy the rows, in one transaction."""
    async with conn.transaction():
        await conn.copy_records_to_table(
            "loadtest_raw", schema_name="public", records=rows, columns=list(COLUMNS)
        )


def raw_rows(events: Sequence[CallEvent], call_id: UUID) -> list[tuple[Any, ...]]:
    """Return the events as rows of call_events."""
    return [
        (e.source, e.event_id, e.type, e.occurred_at, e.time_quality, e.native_type, call_id,
         e.call_key, e.leg_key, e.peer_leg_key, e.queue, e.extension,
         orjson.dumps(e.attrs).decode())
        for e in events
    ]  # fmt: skip


async def one_by_one(conn: Conn, event: CallEvent) -> None:
    """Store one event in a transaction of its own, asking before each write."""
    async with conn.transaction():
        known = await conn.fetchval(
            """
            -- ingest.one_known
            SELECT id FROM public.loadtest_events WHERE event_id = $1
            """,
            event.event_id,
        )
        if known is not None:
            return
        call_id = await _one_call(conn, event)
        await conn.execute(
            """
            -- ingest.one_event
            INSERT INTO public.loadtest_events (event_id, call_id, type, occurred_at, payload)
            VALUES ($1, $2, $3, $4, $5)
            """,
            event.event_id,
            call_id,
            event.type,
            event.occurred_at,
            orjson.dumps(event.attrs).decode(),
        )
        if event.leg_key:
            await _one_leg(conn, event, call_id)
        if event.type in {"leg.ended", "call.ended"}:
            await conn.execute(
                """
                -- ingest.one_end
                UPDATE public.loadtest_calls AS c SET state = 'ended', ended_at = $2
                 WHERE id = $1 AND NOT EXISTS (SELECT FROM public.loadtest_legs AS l
                                                WHERE l.call_id = c.id AND l.state <> 'ended')
                """,
                call_id,
                event.occurred_at,
            )


async def _one_call(conn: Conn, event: CallEvent) -> int:
    call_id: int | None = await conn.fetchval(
        """
        -- ingest.one_call
        SELECT id FROM public.loadtest_calls WHERE call_key = $1
        """,
        event.call_key,
    )
    if call_id is None:
        call_id = await conn.fetchval(
            """
            -- ingest.one_new_call
            INSERT INTO public.loadtest_calls (call_key, state, queue, started_at)
            VALUES ($1, $2, $3, $4) RETURNING id
            """,
            event.call_key,
            event.type,
            event.queue,
            event.occurred_at,
        )
    else:
        await conn.execute(
            """
            -- ingest.one_call_state
            UPDATE public.loadtest_calls SET state = $2, queue = COALESCE($3, queue) WHERE id = $1
            """,
            call_id,
            event.type,
            event.queue,
        )
    assert call_id is not None
    return call_id


async def _one_leg(conn: Conn, event: CallEvent, call_id: int) -> None:
    leg_id = await conn.fetchval(
        """
        -- ingest.one_leg
        SELECT id FROM public.loadtest_legs WHERE leg_key = $1
        """,
        event.leg_key,
    )
    state = "ended" if event.type == "leg.ended" else event.type
    if leg_id is None:
        await conn.execute(
            """
            -- ingest.one_new_leg
            INSERT INTO public.loadtest_legs (call_id, leg_key, extension, state)
            VALUES ($1, $2, $3, $4)
            """,
            call_id,
            event.leg_key,
            event.extension,
            state,
        )
    else:
        await conn.execute(
            """
            -- ingest.one_leg_state
            UPDATE public.loadtest_legs SET state = $2 WHERE id = $1
            """,
            leg_id,
            state,
        )


async def fill(conn: Conn, events: int) -> None:
    """Add so many events of calls that are over, with keys, ids and sessions, without a client.

    Indexes are made anew afterwards, which takes a fraction of the time.
    """
    await conn.execute(
        """
        -- ingest.fill_prepare
        SET session_replication_role = replica;
        SET maintenance_work_mem = '256MB';
        DROP INDEX realtime.call_events_call;
        ALTER TABLE realtime.call_event_keys DROP CONSTRAINT call_event_keys_pkey;
        """
    )
    await conn.execute(
        """
        -- ingest.fill_events
        WITH made AS MATERIALIZED (
            SELECT n, md5('call ' || n / $2::bigint)::uuid AS call_id,
                   md5('event ' || n)::uuid AS id,
                   now() - interval '12 hours' - (n % 100000) * interval '1 ms' AS at
              FROM generate_series(1::bigint, $1) AS n
        ), events AS (
            INSERT INTO realtime.call_events
                   (source, event_id, type, occurred_at, time_quality, native_type, call_id,
                    call_key, leg_key, extension, attrs)
            SELECT 'filled', id, 'leg.ringing', at, 'pbx', 'webhook', call_id,
                   'filled.' || n / $2, 'filled.' || n / $2 || '.' || n % 3, '101',
                   '{"kind": "agent"}'
              FROM made
        ), keys AS (
            INSERT INTO realtime.call_event_keys (event_id, source) SELECT id, 'filled' FROM made
        ), ids AS (
            INSERT INTO realtime.call_aliases (source, key, call_id)
            SELECT 'filled', 'filled.' || n, call_id FROM made WHERE n % 5 = 0
        )
        INSERT INTO realtime.call_sessions
               (id, source, version, direction, status, outcome, started_at, ended_at,
                first_event_at, last_event_at)
        SELECT call_id, 'filled', 5, 'inbound', 'ended', 'answered', at, at, at, at
          FROM made WHERE n % $2 = 0
        """,
        events,
        PER_CALL,
        timeout=600,
    )
    await conn.execute(
        """
        -- ingest.fill_finish
        ALTER TABLE realtime.call_event_keys ADD PRIMARY KEY (event_id, source);
        CREATE INDEX call_events_call ON realtime.call_events (call_id, occurred_at)
            WHERE call_id IS NOT NULL;
        RESET session_replication_role;
        """,
        timeout=600,
    )


async def settle(conn: Conn) -> None:
    """Tell the planner what there is, and let nothing that was written before cost later."""
    await conn.execute("-- ingest.settle\nVACUUM (ANALYZE)", timeout=600)
    await checkpoint(conn)


async def checkpoint(conn: Conn) -> None:
    """Write what was changed: whatever is measured next begins alike."""
    await conn.execute("-- ingest.checkpoint\nCHECKPOINT", timeout=600)


async def make_database(conn: Conn, name: str) -> None:
    """Make an empty database beside this one."""
    await conn.execute(f'-- ingest.make_database\nCREATE DATABASE "{name}" TEMPLATE template0')


async def drop_database(conn: Conn, name: str) -> None:
    """Remove it again, whoever is still connected."""
    await conn.execute(f'-- ingest.drop_database\nDROP DATABASE "{name}" WITH (FORCE)')


async def stored(conn: Conn, source: str) -> tuple[int, int]:
    """Return how many events and how many calls of this PBX there are."""
    row = await conn.fetchrow(
        """
        -- ingest.stored
        SELECT (SELECT count(*) FROM realtime.call_events WHERE source = $1) AS events,
               (SELECT count(*) FROM realtime.call_sessions WHERE source = $1) AS calls
        """,
        source,
    )
    assert row is not None
    return row["events"], row["calls"]


async def events(conn: Conn) -> int:
    """Return how many events there are."""
    count: int = await conn.fetchval(
        """
        -- ingest.model.events
        SELECT count(*) FROM realtime.call_events
        """
    )
    return count
