"""Messages that have been kept long enough are deleted, a little at a time.

app ─▶ run, in every worker: rows that another one holds are skipped, so they share the work.
"""

from __future__ import annotations

import asyncio

import structlog

from gateway.chat.queries import audit
from gateway.chat.queries import retention as queries
from gateway.context import Services
from gateway.errors import GatewayError

log = structlog.get_logger(__name__)

EVERY_S = 3_600.0
BATCH = 1_000
"""Messages deleted by one statement: about 20 ms, in which nobody waits for it."""
CONVERSATIONS = 1_000
"""Looked at by one statement."""
PAUSE_S = 0.1
"""Between two statements, for everything that is more urgent."""


async def run(services: Services, days: int) -> None:
    """Sweep every hour until cancelled; an outage delays."""
    while True:
        try:
            deleted = await sweep(services, days)
            if deleted:
                log.info("retention.deleted", messages=deleted, older_than_days=days)
        except (GatewayError, OSError) as error:
            log.warning("retention.failed", error=type(error).__name__)
        await asyncio.sleep(EVERY_S)


async def sweep(services: Services, days: int) -> int:
    """Go through all conversations once; return how many messages were deleted."""
    total, after = 0, 0
    while True:
        async with services.connection() as conn, conn.transaction():
            done = await queries.delete_old(
                conn, days=days, after=after, conversations=CONVERSATIONS, limit=BATCH
            )
            if done.messages:
                details = {"messages": done.messages, "older_than_days": days}
                await audit.record(conn, "retention.delete", actor_id=None, details=details)
        total += done.messages
        if done.last_conversation is None:
            return total
        if done.messages < BATCH:  # else there may be more in these
            after = done.last_conversation
        await asyncio.sleep(PAUSE_S)
