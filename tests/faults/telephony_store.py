"""SQL of the telephony laboratory: what is stored at the end, and what was received last."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TypeAlias

import asyncpg

from ingest import load_calls
from tests.faults.telephony_truth import OFFICE, WEB, StoredTelephony

Conn: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
TOLD = ("Newchannel", "DialBegin", "Newstate", "DialEnd", "BridgeEnter", "BridgeLeave", "Hangup")


async def holder(conn: Conn) -> str | None:
    """Return the node that listens to the PBX."""
    found: str | None = await conn.fetchval(
        "SELECT holder FROM realtime.pbx_leases WHERE source = $1 AND lease_until > now()", OFFICE
    )
    return found


async def heard_at(conn: Conn) -> datetime | None:
    """Return the time of the latest event of the PBX that is listened to."""
    found: datetime | None = await conn.fetchval(
        "SELECT max(occurred_at) FROM realtime.call_events"
        " WHERE source = $1 AND native_type = ANY ($2)",
        OFFICE,
        list(TOLD),
    )
    return found


async def read(conn: Conn) -> StoredTelephony:
    """Read everything, as it was at one moment."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        return await _read(conn)


async def _read(conn: Conn) -> StoredTelephony:
    web = await conn.fetch(
        "SELECT event_id, count(*) AS times FROM realtime.call_events WHERE source = $1 GROUP BY 1",
        WEB,
    )
    office = await conn.fetch(
        "SELECT leg_key, type, count(*) AS times FROM realtime.call_events"
        " WHERE source = $1 AND native_type = ANY ($2) GROUP BY 1, 2",
        OFFICE,
        list(TOLD),
    )
    aliases = await conn.fetch("SELECT source, key, call_id FROM realtime.call_aliases")
    calls = await load_calls(conn, list({row["call_id"] for row in aliases}))
    gaps = await conn.fetch(
        "SELECT began_at, ended_at FROM realtime.ingest_gaps WHERE source = $1", OFFICE
    )
    return StoredTelephony(
        Counter({row["event_id"]: row["times"] for row in web}),
        Counter({(row["leg_key"], row["type"]): row["times"] for row in office}),
        {
            (row["source"], row["key"]): calls[row["call_id"]]
            for row in aliases
            if row["call_id"] in calls
        },
        [(row["began_at"], row["ended_at"]) for row in gaps],
    )
