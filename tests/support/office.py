"""An office whose call-backs are kept up to date, and its calls as ingest stores them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg
import orjson

from gateway.context import Services
from gateway.db import Conn, CrmViews
from gateway.telephony.callbacks import missed

IVAN, OLENA = "+380671234567", "+380441234567"
"""Of the customers 1 and 2."""
SWITCHBOARD = "+380445000000"
"""Of the customers 12 and 13; 13 has open work."""
NOBODYS = "+380501000001"
MINUTE_MS = 60_000


class Office:
    """The part of Services that call-backs need; what is published is kept."""

    def __init__(self, conn: Conn) -> None:
        self.conn = conn
        self.crm_views = CrmViews()
        self.published: list[dict[str, Any]] = []
        self.began = datetime.now(UTC) - timedelta(hours=5)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Conn]:
        yield self.conn

    def publish(self, announcements: Any) -> None:
        self.published += [orjson.loads(one.payload) for one in announcements]

    async def process(self) -> list[str]:
        """Process the news; return the types of the events that were published."""
        self.published.clear()
        await missed.process_news(cast("Services", self))
        return [event["type"] for event in self.published]

    async def process_as_owner(self) -> list[str]:
        """Process the news, whatever role the connection has taken."""
        await self.conn.execute("RESET ROLE")
        return await self.process()

    async def call(
        self,
        minute: float,
        *,
        number: str | None = IVAN,
        direction: str = "inbound",
        answered: bool = False,
        at: datetime | None = None,
    ) -> UUID:
        """Store a call that began at this minute and took one."""
        call_id, began = uuid4(), (at or self.began) + timedelta(minutes=minute)
        await self.conn.execute(
            "INSERT INTO realtime.call_sessions (id, source, version, direction, status, outcome,"
            " number_raw, number_e164, started_at, answered_at, ended_at, first_event_at,"
            " last_event_at, answered_extension)"
            " VALUES ($1, 'main', 1, $2, 'ended', $3, $4, $4, $5, $6, $7, $5, $7, $8)",
            call_id, direction, "answered" if answered else "missed", number, began,
            began if answered else None, began + timedelta(minutes=1), "101" if answered else None,
        )  # fmt: skip
        return call_id

    async def miss(
        self,
        minute: float,
        *,
        number: str | None = IVAN,
        queue: str | None = "sales",
        outcome: str = "abandoned",
        wait_ms: int | None = 30_000,
        at: datetime | None = None,
    ) -> UUID:
        """Store a call that nobody took."""
        call_id = await self.call(minute, number=number, at=at)
        await self.conn.execute(
            "INSERT INTO realtime.missed_calls"
            " SELECT id, source, coalesce(number_raw, 'anonymous'), number_e164, $2, $3,"
            " started_at, ended_at, $4 FROM realtime.call_sessions WHERE id = $1",
            call_id, queue, outcome, wait_ms,
        )  # fmt: skip
        return call_id

    async def items(self, **where: Any) -> list[asyncpg.Record]:
        """Return items, the oldest first."""
        rows = await self.conn.fetch("SELECT * FROM realtime.callbacks ORDER BY first_missed_at")
        return [row for row in rows if all(row[name] == value for name, value in where.items())]

    def minute(self, row: asyncpg.Record, name: str = "first_missed_at") -> float:
        """Return a time of an item as the minutes that calls are made of."""
        return float((row[name] - self.began).total_seconds() / 60)
