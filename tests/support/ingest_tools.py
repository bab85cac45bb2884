"""What the tests of ingest over a real database share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson

from gateway.db import Pool, connect
from ingest import (
    CallChange,
    CallEvent,
    CallState,
    IngestSettings,
    load_calls,
)
from ingest.queries.events import LOCK_CLASS

SETTINGS = IngestSettings(batch_ms=1, retry_s=0.01)
WAIT_S = 20.0

SOME = (
    "l01_answered_caller_hangs_up",
    "l05_ring_no_answer_then_next",
    "l10_blind_transfer_to_queue",
    "l22_queue_full_join_empty_leave_empty",
    "s05_sip_attended_transfer",
    "s22_sip_pickup",
)


class RecordedAnnouncements:
    """Remembers what was announced."""

    def __init__(self) -> None:
        self.changes: list[CallChange] = []

    async def __call__(self, changes: list[CallChange]) -> None:
        self.changes += changes

    @property
    def versions(self) -> dict[UUID, list[int]]:
        found: dict[UUID, list[int]] = {}
        for change in self.changes:
            found.setdefault(change.after.id, []).append(change.after.version)
        return found


@asynccontextmanager
async def delayed_commit(
    database: str, source: str = "pbx"
) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Hold the source's lock, so nothing of it is committed. Yields a way to wait for a waiter."""
    conn = await connect(database, application_name="test-lock")
    try:
        await conn.execute("SELECT pg_advisory_lock($1, hashtext($2))", LOCK_CLASS, source)

        async def waiting() -> int:
            """Return the backend that waits for the lock, once there is one."""
            async with asyncio.timeout(WAIT_S):
                while True:
                    pid = await conn.fetchval(
                        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                    )
                    if pid:
                        return int(pid)

        yield waiting
    finally:
        await conn.close()


async def stored_calls(pool: Pool) -> list[CallState]:
    """Return all calls that were not merged into others, comparable with a pure fold."""
    async with pool.acquire() as conn:
        ids = await conn.fetch("SELECT id FROM realtime.call_sessions WHERE merged_into IS NULL")
        states = await load_calls(conn, [row["id"] for row in ids])
    return sorted(states.values(), key=lambda call: call.started_at)


def anonymous(calls: list[CallState]) -> bytes:
    """Return the calls without their own ids and versions."""
    return orjson.dumps([replace(call, id=UUID(int=0), version=0) for call in calls])


async def count(pool: Pool, table: str) -> int:
    return int(await pool.fetchval(f"SELECT count(*) FROM realtime.{table}"))


def pause_event(**fields: Any) -> CallEvent:
    """Make an event about no call."""
    made = CallEvent(
        event_id=uuid4(), source="pbx", type="agent.paused", occurred_at=datetime.now(UTC)
    )
    return replace(made, **fields)
