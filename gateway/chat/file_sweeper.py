"""Removes unused files: jobs, ordered every minute and whenever a message loses its files.

These are files of deleted messages, files that were declared and never sent, and files of deleted
conversations. A run claims some, removes their bytes, then deletes their rows: what fails in
between is done again. Workers of versions before the jobs sweep in a loop: the claims divide them.
"""

from __future__ import annotations

import structlog

from gateway.chat.queries import attachments as queries
from gateway.context import Services
from gateway.errors import StorageUnavailable
from gateway.files import Files, Storage
from gateway.jobs import Again, Job, NewJob, Outcome

log = structlog.get_logger(__name__)

SWEEP = "files.sweep"
TIDY = "files.tidy"
QUEUE = "upkeep"
ORDER = NewJob(SWEEP, QUEUE, key=SWEEP)
"""For those whose transaction leaves files without a use."""

BATCH = 100
LEASE_S = 300.0
"""Removing a batch takes a second; after this another run takes the claims of one that died."""
TIDY_EVERY_S = 3_600.0
MARGIN_S = 60.0
"""An upload that began in the last second of its link has ended after this, or was aborted."""


async def run(services: Services, _job: Job) -> Outcome | None:
    """Remove a batch of due files, and go on while there are more."""
    return Again() if await sweep(services, services.files.require()) == BATCH else None


async def tidy(services: Services, _job: Job) -> Outcome | None:
    """Remove what uploads that broke off left in the storage."""
    services.files.counts.removed += await services.files.require().tidy()
    return None


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
