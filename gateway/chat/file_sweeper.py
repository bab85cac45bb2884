"""The loop that removes files nobody wants, on every node.

Those of deleted messages; those that were declared and never sent; those of conversations that
are gone. A node claims some, removes their bytes, then forgets them: whatever fails in between is
done again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from gateway.chat.queries import attachments as queries
from gateway.context import Services
from gateway.errors import StorageUnavailable
from gateway.files import Files, Storage

log = structlog.get_logger(__name__)

BATCH = 100
LEASE_S = 300.0
"""Removing a batch takes a second; the claims of a node that died are another's after this."""
TIDY_EVERY_S = 3_600.0
MARGIN_S = 60.0
"""An upload that began with a link's last second has ended by then, or is cut."""


async def run(services: Services, *, every_s: float) -> None:
    """Remove what is due until cancelled, and at once what is deleted here."""
    files = services.files
    storage = files.require()
    loop = asyncio.get_running_loop()
    tidy_at = loop.time()
    while True:
        files.sweep_requested.clear()
        try:
            while await sweep(services, storage) == BATCH:
                pass
            if loop.time() >= tidy_at:
                tidy_at = loop.time() + TIDY_EVERY_S
                files.counts.removed += await storage.tidy()
        except Exception as error:  # noqa: BLE001 - an outage: tried again
            log.warning("files.not_swept", error=type(error).__name__)
        with suppress(TimeoutError):
            async with asyncio.timeout(every_s):
                await files.sweep_requested.wait()


async def sweep(services: Services, storage: Storage) -> int:
    """Remove some of what is due; return how many, 0 when the storage does not answer."""
    files: Files = services.files
    async with services.connection() as conn:
        doomed = await queries.claim_unwanted(conn, limit=BATCH, lease_s=LEASE_S)
    removed = []
    for one in doomed:
        try:
            await storage.delete(one.key)
        except StorageUnavailable:
            break  # the claim ends by itself
        removed.append(one.id)
    if removed:
        async with services.connection() as conn:
            await queries.delete_removed(conn, removed, link_s=files.limits.upload_s + MARGIN_S)
        files.counts.removed += len(removed)
        log.info("files.removed", files=len(removed))
    return len(doomed) if len(removed) == len(doomed) else 0
