"""Keeps the search words of employees, which a search otherwise makes anew each time.

search ─▶ Services.unkept_words ─▶ follow, one task of a node with clients. Searches never wait for
it, nor fail with it. Of several nodes one works at a time, by an advisory lock.
"""

from __future__ import annotations

import asyncio

import structlog

from gateway.context import Services
from gateway.people.queries import words as queries

log = structlog.get_logger(__name__)

PORTION = 500
"""Employees whose words one transaction makes."""
RETRY_AFTER_FAILURE_S = 30.0
"""A standby refuses each time."""


async def follow(services: Services) -> None:
    """Keep words whenever a search of this node has found some missing, until cancelled."""
    while True:
        await services.unkept_words.wait()
        services.unkept_words.clear()
        try:
            await keep(services)
        except Exception as error:  # noqa: BLE001 - a later search asks again
            log.warning("employee_words.not_kept", error=type(error).__name__)
            await asyncio.sleep(RETRY_AFTER_FAILURE_S)


async def keep(services: Services) -> int:
    """Keep the words of those whose words are not kept, forget who has gone; return how many.

    Ends at once when another node is doing it.
    """
    kept, after = 0, 0
    while True:
        async with services.connection() as conn, conn.transaction():
            if not await queries.try_lock(conn):
                return kept
            if not after:
                await queries.forget_gone(conn)
            ids = await queries.keep(conn, after=after, limit=PORTION)
        kept += len(ids)
        if len(ids) < PORTION:
            return kept
        after = max(ids)
