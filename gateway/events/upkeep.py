"""Forgets relayed events and old keys: a job of its own, once for all workers.

job_kinds ─▶ forget ─▶ realtime.events, realtime.event_keys. In portions, so that no statement takes
long and nobody's report waits for them.
"""

from __future__ import annotations

from typing import Final

from gateway.context import Services
from gateway.events.queries import log, outbox
from gateway.jobs import Again, Job

FORGET: Final = "events.forget"
EVERY_S = 300.0
KEPT_S = 3_600.0
"""A node that could not read for so long has lost its clients long before."""
KEY_DAYS = 7
PORTION = 5_000
PORTIONS = 20
"""In one run; then other jobs have their turn."""


async def forget(services: Services, _job: Job) -> Again | None:
    """Delete what is old, a part of it at a time."""
    for _ in range(PORTIONS):
        async with services.connection() as conn:
            events = await log.forget(conn, seconds=KEPT_S, limit=PORTION)
            keys = await log.forget_keys(conn, days=KEY_DAYS, limit=PORTION)
        if max(events, keys) < PORTION:
            async with services.connection() as conn:
                await outbox.vacuum(conn)
            return None
    return Again()
