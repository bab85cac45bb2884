"""Deletes messages older than the retention period, in small batches: a job, ordered every hour.

A run does a portion and says where the next one goes on. Workers of versions before the jobs sweep
in a loop: rows locked by another worker are skipped, so they share the work.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from gateway.audit import Act, Origin
from gateway.chat.queries import retention as queries
from gateway.context import Services
from gateway.jobs import Again, Job, Outcome

log = structlog.get_logger(__name__)

DELETE = "retention.delete"
EVERY_S = 3_600.0
PORTION_S = 10.0
"""A run goes on for this long, and in another run."""
BATCH = 1_000
"""Messages deleted by one statement, which takes about 20 ms; nobody waits for it."""
CONVERSATIONS = 1_000
"""Conversations examined by one statement."""
PAUSE_S = 0.1
"""Pause between two statements, for more urgent work."""


async def run(services: Services, job: Job, *, days: int) -> Outcome | None:
    """Delete a portion; `after` in the payload: conversations up to this one are done."""
    until = time.monotonic() + PORTION_S
    after, total = int(job.payload.get("after", 0)), 0
    while time.monotonic() < until:
        deleted, following = await _delete_batch(services, days, after)
        total += deleted
        if following is None:
            _log(total, days)
            return None
        after = following
        await asyncio.sleep(PAUSE_S)
    _log(total, days)
    return Again({"after": after})


async def _delete_batch(services: Services, days: int, after: int) -> tuple[int, int | None]:
    """Delete a batch; return its size, and after which conversation to go on, None at the end."""
    act = Act(DELETE, Origin("job"), details={"older_than_days": days})
    async with services.connection() as conn:
        done = await queries.delete_old(
            conn, days=days, after=after, conversations=CONVERSATIONS, limit=BATCH, audit=act
        )
    if done.last_conversation is None or done.messages < BATCH:
        return done.messages, done.last_conversation
    return done.messages, after  # these conversations may have more


def _log(deleted: int, days: int) -> None:
    if deleted:
        log.info("retention.deleted", messages=deleted, older_than_days=days)
