"""A bound on waiting that a loop which stands still does not use up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def stall_safe_timeout(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError when what is inside takes longer than `seconds`.

    After a stall of the loop (a long computation, a paused machine) its timers are due at once,
    together with the answers that came meanwhile, and a plain timeout wins although its answer is
    there. So the time passes in two halves, and the loop reads its sockets between them: one
    stall, however long, takes no more than half of it.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as bound:
        half = loop.call_later(seconds / 2, lambda: bound.reschedule(loop.time() + seconds / 2))
        try:
            yield
        finally:
            half.cancel()
