"""A timeout that a stalled event loop does not use up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def stall_safe_timeout(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError when the body takes longer than `seconds`.

    After a stall of the event loop (a long computation, a paused machine) its timers and the
    replies that arrived meanwhile are due at the same time, and a plain timeout would fire although
    the reply is there. So the time runs in two halves, and the loop reads its sockets between them:
    one stall, however long, uses up at most half of the time.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as bound:
        half = loop.call_later(seconds / 2, lambda: bound.reschedule(loop.time() + seconds / 2))
        try:
            yield
        finally:
            half.cancel()
