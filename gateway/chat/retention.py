"""Deletes messages older than the retention period, in small batches.

app ─▶ run, in every worker: rows locked by another worker are skipped, so they share the work.
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
"""Messages deleted by one statement, which takes about 20 ms; nobody waits for it."""
CONVERSATIONS = 1_000
"""Conversations examined by one statement."""
PAUSE_S = 0.1
"""Pause between two statements, for more urgent work."""


async def run(services: Services, days: int) -> None:
    """Sweep every hour until cancelled; an error delays."""
    while True:
        try:
            deleted = await sweep(services, days)
            if deleted:
                log.info("retention.deleted", messages=deleted, older_than_days=days)
        except (GatewayError, OSError) as error:
            log.warning("retention.failed", error=type(error).__name__)
        except Exception:
            log.exception("retention.failed")
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
        if done.messages < BATCH:  # else these conversations may have more
            after = done.last_conversation
        await asyncio.sleep(PAUSE_S)
