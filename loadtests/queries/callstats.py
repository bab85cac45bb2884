"""SQL for storing made calls, and for reading them all into Python, as one should not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from gateway.db import Conn
from ingest.queries import agent_pauses
from ingest.storing.agent_pauses import refold_stored
from loadtests.generated_calls import GeneratedRows

TABLES = {
    "calls": "call_sessions",
    "stints": "queue_stints",
    "legs": "call_legs",
    "transfers": "call_transfers",
}


async def store(conn: Conn, made: GeneratedRows) -> None:
    """Copy the rows into their tables."""
    for name, table in TABLES.items():
        rows = getattr(made, name)
        if rows:
            columns = list(rows[0])
            await conn.copy_records_to_table(
                table,
                schema_name="realtime",
                columns=columns,
                records=[tuple(row[column] for column in columns) for row in rows],
            )
    await conn.executemany(
        """
        -- callstats.store
        INSERT INTO realtime.call_events
               (source, event_id, type, occurred_at, time_quality, call_id, leg_key, queue,
                extension, attrs, told)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        """,
        [
            (e["source"], e["event_id"], e["type"], e["occurred_at"], e["time_quality"],
             e["call_id"], e["leg_key"], e["queue"], e["extension"], e["attrs"], told)
            for told, e in enumerate(made.events, 1)
        ],
    )  # fmt: skip
    if made.events:
        await _mark(conn)


async def _mark(conn: Conn) -> None:
    """Have ingest fold the marks of all telephones, as it does for the events that it stores."""
    after = ("", "")
    while some := await agent_pauses.telephones(conn, after=after, limit=100):
        await refold_stored(conn, some)
        after = some[-1]


async def settle(conn: Conn) -> None:
    """Tell the planner what there is now."""
    await conn.execute("-- callstats.settle\nVACUUM (ANALYZE)")


async def load(conn: Conn, since: datetime, until: datetime) -> dict[str, list[Any]]:
    """Read every row that statistics of this time are made of."""
    day = timedelta(days=1)
    return {
        "calls": await conn.fetch(
            """
            -- callstats.load
            SELECT id, source, direction, outcome, number_e164, queue, started_at, answered_at,
                   ended_at, wait_ms, talk_ms
              FROM realtime.call_sessions
             WHERE started_at >= $1 AND started_at < $2 AND merged_into IS NULL
            """,
            since - day,
            until,
        ),
        "stints": await conn.fetch(
            """
            -- callstats.load_stints
            SELECT call_id, position, queue, entered_at, answered_at, outcome, wait_ms
              FROM realtime.queue_stints
             WHERE entered_at >= $1 AND entered_at < $2
            """,
            since,
            until + day,
        ),
        "legs": await conn.fetch(
            """
            -- callstats.load_legs
            SELECT call_id, leg_key, extension, kind, ringing_at, answered_at, ended_at,
                   ended_reason, talk_ms, overlap_ms, hold_ms, placed, source
              FROM realtime.call_legs
             WHERE started_at >= $1 AND started_at < $2
            """,
            since - day,
            until,
        ),
        "events": await conn.fetch(
            """
            -- callstats.load_events
            SELECT source, type, occurred_at, event_id, told, queue, extension, attrs
              FROM realtime.call_events
             WHERE occurred_at < $1 AND type LIKE 'agent.%'
            """,
            until,
        ),
        "transfers": await conn.fetch(
            """
            -- callstats.load_transfers
            SELECT call_id, at, by_leg_key
              FROM realtime.call_transfers
             WHERE at >= $1 AND at < $2
            """,
            since,
            until + day,
        ),
        "phones": await conn.fetch(
            """
            -- callstats.load_phones
            SELECT source, extension, min(employee_id) AS employee_id
              FROM crm.extensions GROUP BY source, extension
            """
        ),
    }
