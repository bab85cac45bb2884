"""Retention without waiting for its job: all conversations at once."""

from __future__ import annotations

from gateway.chat import retention
from gateway.context import Services


async def sweep(services: Services, days: int) -> int:
    """Go through all conversations once, without pauses; return how many messages were deleted."""
    total, after = 0, 0
    while True:
        deleted, following = await retention._delete_batch(services, days, after)
        total += deleted
        if following is None:
            return total
        after = following
