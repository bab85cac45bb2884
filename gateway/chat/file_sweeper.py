"""The loop that removes unused files, on every node.

These are files of deleted messages, files that were declared and never sent, and files of deleted
conversations. A node claims some, removes their bytes, then deletes their rows: what fails in
between is done again.
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
"""Removing a batch takes a second; after this another node takes the claims of one that died."""
TIDY_EVERY_S = 3_600.0
MARGIN_S = 60.0
"""An upload that began in the last second of its link has ended after this, or was aborted."""


async def run(services: Services, *, every_s: float) -> None:
    """Remove due files until cancelled: every `every_s`, and at once after a deletion here."""
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
        except Exception as error:  # noqa: BLE001 - an outage: tried again later
            log.warning("files.not_swept", error=type(error).__name__)
        with suppress(TimeoutError):
            async with asyncio.timeout(every_s):
                await files.sweep_requested.wait()


async def sweep(services: Services, storage: Storage) -> int:
    """Remove a batch of due files; return its size, 0 when the storage does not answer."""
    files: Files = services.files
    async with services.connection() as conn:
        doomed = await queries.claim_unwanted(conn, limit=BATCH, lease_s=LEASE_S)
    removed = []
    for one in doomed:
        try:
            await storage.delete(one.key)
        except StorageUnavailable:
            break  # the claim expires
        removed.append(one.id)
    if removed:
        async with services.connection() as conn:
            await queries.delete_removed(conn, removed, link_s=files.limits.upload_s + MARGIN_S)
        files.counts.removed += len(removed)
        log.info("files.removed", files=len(removed))
    return len(doomed) if len(removed) == len(doomed) else 0
